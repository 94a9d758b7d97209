"""The figures and the card of released weights, on answers known by hand."""

import re

import numpy as np
import pytest

from samtl.release import card, figures

GENDER, AGE = ("female", "male"), ("0-2", "4-6", "8-13")
CLASSES = {"gender": GENDER, "age": AGE, "ethnicity": ("black", "white")}


def _logits(answers, classes, confidence):
    """Logits whose largest probability is `confidence`, at the answers."""
    rest = (1 - confidence) / (classes - 1)
    return np.log(np.where(np.eye(classes)[answers] > 0, confidence, rest))


def _split(labels, answers, classes, confidence=0.75, **groups):
    groups = {
        kind: figures.Group(CLASSES[kind], np.array(values))
        for kind, values in groups.items()
    }
    logits = _logits(answers, classes, confidence)
    return figures.Outputs(logits, np.array(labels), groups)


@pytest.fixture
def tasks():
    """Gender, right in 3 of 4, and age, right in 4 of 6, 2 of them unknown."""
    gender = [0, 0, 1, 1]
    validation = _split([0, 1] * 200, [0, 0] * 200, 2, 0.9)
    test = _split(*(gender, [0, 1, 1, 1], 2), gender=gender, age=[0, 0, 2, -1])
    ages = [0, 0, 1, 2, 2, 2]
    test_of_age = _split(
        *(ages, [0, 0, 2, 2, 2, 0], 3),
        gender=[0, 1, 1, 0, -1, -1],
        age=ages,
    )
    return [
        figures.Task("gender", GENDER, validation, test),
        figures.Task("age", AGE, _split(ages * 9, ages * 9, 3), test_of_age),
    ]


def _cells(text, heading):
    """Rows of the table that starts with `heading`, as lists of cells."""
    lines = text[text.index(heading) :].splitlines()
    rows = [line[2:-2].split(" | ") for line in lines[2:]]
    return rows[: next(i for i, row in enumerate([*rows, [""]]) if row == [""])]


def test_a_temperature_is_used_where_the_validation_images_reject_one(tasks):
    overconfident, underconfident = tasks
    # Half right at 0.9: no temperature is hot enough.
    assert overconfident.p_value < 1e-6
    assert overconfident.temperature == overconfident.fitted > 5
    right = _split([0, 0, 0, 1] * 20, [0] * 80, 2, 0.75)
    calibrated = figures.Task("gender", GENDER, right, right)
    assert calibrated.fitted == pytest.approx(1, abs=1e-3)
    assert calibrated.p_value > 0.9
    assert calibrated.temperature == 1
    # All right: no temperature is cold enough, and so none is taken.
    assert underconfident.fitted == underconfident.temperature == 1


def test_surplus_by_hand(tasks):
    gender, age = tasks
    assert gender.test.surplus(1) == pytest.approx(0.75 - 3 / 4)
    assert gender.validation.surplus(1) == pytest.approx(0.9 - 1 / 2)
    assert gender.validation.error(1) == pytest.approx(0.9 - 1 / 2)
    # Both classes are as frequent in validation as in test.
    weights = gender.as_on_validation()
    assert gender.test.surplus(1, weights) == pytest.approx(0)
    # One label of 0 for every three of 1: 1 and 3 instead of 2 and 2.
    other = figures.Task(
        "gender", GENDER, _split([0, 1, 1, 1], [0] * 4, 2), gender.test
    )
    weights = other.as_on_validation()
    assert np.average(other.test.is_right, weights=weights) == pytest.approx(
        (1 / 2 * 1 + 2 / 2 * 3) / 4
    )
    assert (age.as_on_validation() == 9).all()


def test_tables_by_hand(tasks):
    text = figures.write_up(tasks)
    gender, age = text.split("## age")
    assert "4 test images: accuracy 75.0 %, balanced 75.0 %." in gender
    assert "accuracy 66.7 %, balanced 55.6 %, within one class 83.3 %" in age
    assert _cells(gender, "|  | female | male | images |") == [
        ["**female**", "1", "1", "2", "50.0 %"],
        ["**male**", "0", "2", "2", "100.0 %"],
    ]
    assert _cells(age, "|  | 0-2 | 4-6 | 8-13 | images |") == [
        ["**0-2**", "2", "0", "0", "2", "100.0 %"],
        ["**4-6**", "0", "0", "1", "1", "0.0 %"],
        ["**8-13**", "1", "0", "2", "3", "66.7 %"],
    ]
    assert _cells(gender, "| group |") == [
        ["age: 0-2", "2", "50.0 %"],
        ["age: 4-6", "0", ""],
        ["age: 8-13", "1", "100.0 %"],
    ]
    crossed = age[age.index("by gender and age") :]
    assert _cells(crossed, "|  | 0-2") == [
        ["female", "100.0 % of 1", "", "100.0 % of 1"],
        ["male", "100.0 % of 1", "0.0 % of 1", ""],
    ]
    shown = _cells(gender, "| shown |")
    assert ["0% to 50%", "0", ""] in shown
    # The temperature of gender lowers 0.75.
    assert ["50% to 60%", "4", "75.0 %"] in shown


def test_probabilities_on_an_edge_are_counted_once():
    split = _split([0, 1], [0, 0], 2, 0.5 + 1e-12)
    task = figures.Task("gender", GENDER, split, split)
    counts = [
        int(row[1]) for row in _cells(figures.write_up([task]), "| shown")
    ]
    assert sum(counts) == 2


def _facts():
    command = (
        "python ALTERNATIVE_EPGA.py --dataset_age=utkface --data_dir=/a/b "
        "--run_dir /c/d --epoch=3"
    )
    return {
        "name": "four_tasks",
        "args": {
            "arguments": {
                "model": "mini_xception",
                "method": "naive",
                "seed": 4,
                "weights_sha256": "ef56",
                "teachers": {
                    "/home/me/runs/large/best.keras": {
                        "sha256": "0a1b",
                        "command": "python x.py --data_dir=/a --epoch=9",
                        "commit": {"id": "fedcba9876543210", "dirty": True},
                    },
                    "other.onnx": {
                        "sha256": "2c3d",
                        "command": None,
                        "commit": None,
                    },
                },
            },
            "command": command,
            "commit": {"id": "0123456789abcdef", "dirty": True},
            "backend": "jax",
            "versions": {"keras": "3.15.1"},
        },
        "result": {"rounds": 24, "best_round": 23},
        "input": (64, 64, 1),
        "size": 712_345,
        "sha256": {"four_tasks.onnx": "ab12", "four_tasks.keras": "cd34"},
        "agreement": {"images": 1000, "largest_difference": 2.5e-7},
        "datasets": {
            "utkface": {
                "labels": ["gender", "age"],
                "images": 7172,
                "terms": "for research",
                "citation": "Zhang 2017",
            }
        },
        "seeds": [_seed(4, 0.8, 0.5), _seed(5, 0.7, 0.6)],
        "sample": "male 52%",
        "age_error": (1234, 5.91),
    }


def _seed(number, validation, test):
    accuracies = {"gender": test, "age": 0.25}
    return {"seed": number, "validation": validation, "test": accuracies}


def test_the_card_reports_what_was_measured(tasks):
    text = card.write_up(tasks, _facts())
    for words in (
        "# four_tasks: gender, age from one face",
        "64 x 64 gray pixels in, 0.7 MB",
        "| `four_tasks.onnx` | pixels in, probabilities out; what the demos "
        "read | `ab12` |",
        "On 1,000 test crops",
        "2.5e-07",
        "seed 4, 24 rounds; the network of round 23",
        "Commit 0123456, with changes that were not committed",
        "It started from weights of SHA-256 `ef56`.",
        "Distilled from large/best.keras, of commit fedcba9, with changes that "
        "were not committed: `0a1b`.\n\n"
        "```bash\npython x.py --epoch=9\n```\n",
        "Distilled from other.onnx: `2c3d`.\n\n|",
        "\npython ALTERNATIVE_EPGA.py --dataset_age=utkface --epoch=3\n",
        "| utkface | gender, age | 7,172 | for research |",
        "- utkface: Zhang 2017",
        "| gender | 2 | 4 | 75.0 % | 75.0 % | 73.3 % |  |",
        "| age | 3 | 6 | 66.7 % | 55.6 % |",
        "| 4 | 80.0 % | 50.0 % | 25.0 % |",
        "| mean | 75.0 ± 7.1 | 55.0 ± 7.1 | 25.0 ± 0.0 |",
        "Grace Hopper's portrait: male 52%",
        "expected age: 5.9 years, on 1,234 test images with an age in years",
        "Not for decisions about people",
    ):
        assert words in text
    assert "AFLW" not in text
    alone = _facts() | {"seeds": [_seed(4, 0.8, 0.5)]}
    assert "One seed was trained" in card.write_up(tasks, alone)
    ((name, count, fitted, chance, used, *errors),) = [
        row
        for row in _cells(text, "| task | validation images")
        if row[0] == "gender"
    ]
    assert (name, count, chance) == ("gender", "400", "< 0.001")
    assert fitted == used
    assert errors[0] == "40.0 %"
    assert float(errors[1].split()[0]) < 5
    assert errors[2] == "0.0 %"


def test_a_test_split_without_any_class_of_validation_has_no_surplus():
    task = figures.Task(
        "gender", GENDER, _split([0, 0], [0, 0], 2), _split([1], [1], 2)
    )
    text = card.write_up([task], _facts())
    (row,) = _cells(text, "| task | validation | test | test, classes")
    assert row[1:] == ["-25.0", "-25.0", ""]


def test_the_card_names_no_folder_of_one_machine():
    command = (
        "python /home/me/x/A.py --runs=/a --run_dir /b --epoch=3 --teacher "
        "/home/me/t1/best.keras /t2/best.keras --weights=/home/me/w/v.h5"
    )
    assert card._portable(command) == (
        "python A.py --epoch=3 --teacher t1/best.keras t2/best.keras "
        "--weights=w/v.h5"
    )


def test_the_card_names_the_makers_of_votes():
    tasks = [figures.Task("gender", GENDER, *[_split([0, 1], [0, 1], 2)] * 2)]
    assert "Votes of others" not in card.write_up(tasks, _facts())
    facts = _facts()
    votes = {"weight": 0.5, "made_by": "InsightFace", "licence": ""}
    votes["images"] = {"gender": 1234, "age": 7}
    name = next(iter(facts["datasets"]))
    facts["datasets"][name]["annotations"] = [votes]
    (row,) = _cells(card.write_up(tasks, facts), "| dataset | votes (images)")
    assert row == [
        *(name, "gender (1,234), age (7)", "0.5", "InsightFace", "unknown")
    ]


def test_the_card_names_groups_far_below_the_mean_and_those_too_small():
    labels = [0] * 100 + [1] * 100 + [2] * 5
    answers = [0] * 100 + [1] * 60 + [0] * 45
    ethnicity = [0] * 5 + [1] * 200
    split = _split(
        labels,
        answers,
        3,
        gender=[0] * 100 + [1] * 105,
        ethnicity=ethnicity,
    )
    gender = _split([0, 1], [0, 1], 2)
    text = card.write_up(
        [
            figures.Task("gender", GENDER, gender, gender),
            figures.Task("age", AGE, split, split),
        ],
        _facts(),
    )
    assert (
        "- age (78.0 % in all): 4-6 60.0 % of 100, male 57.1 % of 105; too few "
        "test images to tell: 8-13 (5), black (5)." in text
    )
    assert re.search(r"- gender .*: no group far below the mean; too few", text)

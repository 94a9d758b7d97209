"""Which runs of a comparison are compared, and what is refused."""

import invented
import pandas as pd
import pytest
from reading import Page

from samtl.common.errors import UserError
from samtl.comparison import (
    differences,
    loading,
    report,
    resampling,
    summary,
    text,
)

METHODS = ("single-task", "naive")
PAIRS = {"emotion-pose": ("emotion", "pose")}


def _differences(comparison):
    images = resampling.image_sets(comparison, draws=100)
    return differences.differences(comparison, images)


@pytest.mark.parametrize(
    ("title", "sentence"),
    [("Single task", "single task"), ("SA-MTL, hard", "SA-MTL, hard")],
)
def test_the_baseline_is_named_within_a_sentence(title, sentence):
    empty = pd.DataFrame()
    tables = (empty, empty, empty)
    comparison = loading.Comparison(*tables, None, [], ["a"], {"a": title})
    assert comparison.baseline_title == sentence


def test_the_baseline_is_the_single_task_by_any_name():
    empty = pd.DataFrame()
    plan = {"methods": {"a": {"family": "joint"}, "stl": {"family": "single"}}}
    titles = {"a": "A", "stl": "One task"}
    about = (empty, empty, empty, plan, [], list(titles), titles)
    assert loading.Comparison(*about).baseline == "stl"


@pytest.mark.parametrize("name", ["results.csv", "rounds.csv", "failed.csv"])
@pytest.mark.parametrize("text", ["", "pair\nx\n", 'pair,"\nx\n'])
def test_a_damaged_table_is_named(tmp_path, name, text):
    invented.write(tmp_path, ("naive",), {})
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"cannot read .*{name}: .*compare"):
        loading.read_comparison(tmp_path)


def test_a_second_seed_of_one_method_tells_nothing_of_seeds(tmp_path):
    methods = ("single-task", "naive", "distilled")
    invented.write(tmp_path, methods, PAIRS, (0, 1), images=20, rounds=2)
    table = pd.read_csv(tmp_path / "results.csv", dtype={"correct": str})
    is_kept = (table["method"] == "single-task") | (table["seed"] == 0)
    table[is_kept].to_csv(tmp_path / "results.csv", index=False)
    report.write_report(tmp_path)
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "2 seeds, tested over test images alone" in text


def test_methods_are_compared_on_the_seeds_that_both_have(tmp_path):
    table = invented.write(tmp_path, METHODS, PAIRS, images=50, rounds=2)
    is_gone = (table["method"] == "naive") & (table["seed"] == 2)
    table[~is_gone].to_csv(tmp_path / "results.csv", index=False)
    comparison = loading.read_comparison(tmp_path)
    rows = _differences(comparison)
    assert set(rows["seeds"]) == {2}
    means = table[table["seed"] < 2].groupby(["task", "method"])["accuracy"]
    means = 100 * means.mean()
    for row in rows.itertuples():
        expected = means[row.task, row.method] - means[row.task, row.baseline]
        assert row.difference == pytest.approx(expected)
    report.write_report(tmp_path)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.found("seeds", method="naive") == ["2"]
    lines = (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()
    assert [line.split(" | ")[0] for line in lines[4:6]] == [
        "| single-task",
        "| naive (2 of 3 seeds)",
    ]


def test_other_test_images_are_not_compared_but_named(tmp_path):
    table = invented.write(tmp_path, METHODS, PAIRS, images=50, rounds=2)
    invented.write(tmp_path, METHODS, PAIRS, images=60, rounds=2)
    other = pd.read_csv(tmp_path / "results.csv", dtype={"correct": str})
    both = [
        table[table["method"] == "naive"],
        other[other["method"] != "naive"],
    ]
    pd.concat(both).to_csv(tmp_path / "results.csv", index=False)
    report.write_report(tmp_path)
    assert pd.read_csv(tmp_path / "comparisons.csv").empty
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    names = {"task": "pose", "pair": "emotion-pose"}
    assert page.found("count", method="naive", **names) == ["50"]
    assert page.found("count", method="single-task", **names) == ["60"]


def test_the_images_of_most_seeds_decide(tmp_path):
    table = invented.write(tmp_path, METHODS, PAIRS, images=50, rounds=2)
    expected = _differences(
        loading.Comparison(
            table[table["seed"] != 2], *[None] * 3, [*PAIRS], [*METHODS], {}
        )
    )
    other = invented.write(tmp_path, METHODS, PAIRS, images=60, rounds=2)
    both = pd.concat([table[table["seed"] != 2], other[other["seed"] == 2]])
    both.to_csv(tmp_path / "results.csv", index=False)
    found = _differences(loading.read_comparison(tmp_path))
    assert set(found["seeds"]) == {2}
    pd.testing.assert_frame_equal(found, expected)
    report.write_report(tmp_path)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    names = {"task": "pose", "pair": "emotion-pose"}
    for method in METHODS:
        assert page.found("count", method=method, **names) == ["50", "60"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["SA-MTL", "x" * 32], ["SA-MTL", "x" * 32]),
        (["x" * 33], [f"{'x' * 15}…{'x' * 16}"]),
        (
            [
                "SA-MTL with hard selection at 0.8 and local density",
                "SA-MTL with hard selection at 0.85 and local density",
                "SA-MTL with interpolation at 0.8 and local density",
            ],
            [
                "SA-MTL w…0.8 and local density",
                "SA-MTL w…0.85 and local density",
                "SA-MTL with int…nd local density",
            ],
        ),
        (
            ["a" * 40 + "b" * 40 + "c" * 20, "a" * 40 + "d" * 40 + "c" * 20],
            [f"aaaaaaaa…aaaaaaaa{'b' * 14}…", f"aaaaaaaa…aaaaaaaa{'d' * 14}…"],
        ),
        (
            ["e" * 40, "e" * 50],
            [f"{'e' * 8}…{'e' * 8}", f"{'e' * 8}…{'e' * 18}"],
        ),
    ],
)
def test_a_short_name_tells_a_long_one_from_others(names, expected):
    short = text.shortened([*names, *names])
    assert [short[name] for name in names] == expected


def test_a_missing_run_does_not_make_single_tasks_cheaper(tmp_path):
    table = invented.write(tmp_path, METHODS, PAIRS, images=20, rounds=2)
    expected = summary.costs(table, None)
    assert expected["seconds"].tolist() == [115, 242]  # naive, single tasks
    is_gone = table["run"].str.endswith("single-task/seed1/pose")
    assert is_gone.sum() == 1
    found = summary.costs(table[~is_gone], None)
    pd.testing.assert_frame_equal(found, expected)


def test_costs_are_relative_to_joint_training(tmp_path):
    methods = ("single-task", "all-in-one", "naive")
    table = invented.write(tmp_path, methods, PAIRS, (0,), images=20, rounds=2)
    facts = {  # trained, predicted, seconds of each run
        "single-task": (1000, 0, 60),
        "all-in-one": (1600, 0, 100),
        "naive": (1600, 800, 150),
    }
    columns = ["trained_images", "predicted_images", "seconds"]
    table[columns] = [facts[method] for method in table["method"]]
    table.to_csv(tmp_path / "results.csv", index=False)
    comparison = loading.read_comparison(tmp_path)
    assert comparison.reference == "all-in-one"
    found = summary.costs(comparison.results, comparison.reference)
    found = found.loc["emotion-pose"]
    expected = {"all-in-one": 1, "naive": 1.5, "single-task": 1.2}
    assert found["relative_seconds"].to_dict() == expected
    expected = {"all-in-one": 1, "naive": 1.5, "single-task": 1.25}
    assert found["forward"].to_dict() == expected
    assert found["backward"].to_list() == [1, 1, 1.25]
    report.write_report(tmp_path)
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| 1.50 | 1.50 | 1.00 |" in text
    assert "relative to all-in-one" in text


def test_images_that_were_not_counted_are_left_out(tmp_path):
    methods = ("single-task", "all-in-one")
    table = invented.write(tmp_path, methods, PAIRS, (0,), images=20, rounds=2)
    table = table.drop(columns=["trained_images", "predicted_images"])
    table.to_csv(tmp_path / "results.csv", index=False)
    report.write_report(tmp_path)
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| time |\n" in text
    assert "| 1.00 |\n" in text
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert not page.found("forward")


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        ({"b": {"family": "joint"}}, "b"),
        ({"a": {"family": "joint", "is_naive": True}, "b": {}}, "a"),
        (
            {"b": {"family": "joint"}}
            | {"a": {"family": "joint", "is_naive": True}},
            "a",
        ),
        ({"a": {"family": "single"}}, None),
    ],
)
def test_costs_are_those_of_the_first_joint_method(methods, expected):
    empty, titles = pd.DataFrame(), dict.fromkeys("ba", "x")
    about = (empty, empty, empty, {"methods": methods}, [], [*titles], titles)
    assert loading.Comparison(*about).reference == expected


def test_methods_that_are_level_everywhere_have_equal_ranks(tmp_path):
    methods = ("single-task", "naive", "distilled")
    table = invented.write(tmp_path, methods, PAIRS, images=50, rounds=2)
    table.assign(accuracy=0.5).to_csv(tmp_path / "results.csv", index=False)
    found = summary.ranks(loading.read_comparison(tmp_path))
    assert set(found["ranks"].values()) == {2.0}
    assert (found["statistic"], found["p"]) == (0, 1)


def test_a_title_may_be_long_and_hold_any_letters(tmp_path):
    title = "SA-MTL with $\\gamma$ | and a name that no figure has room for"
    invented.write(tmp_path, METHODS, PAIRS, images=20, rounds=2)
    (tmp_path / "plan.toml").write_text(
        "seeds = [0]\n[settings]\npasses = 1\n"
        '[pairs.emotion-pose]\ndataset_emotion = "ferplus"\n'
        f"[methods.naive]\ntitle = '{title}'\nfamily = 'joint'\n"
    )
    report.write_report(tmp_path)
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    row = next(line for line in table.splitlines() if "gamma" in line)
    assert row.startswith("| " + title.replace("|", "\\|") + " | ")
    short = text.shortened([title])[title]
    assert len(short) == text.LONGEST
    drawn = (tmp_path / "figures" / "forest_emotion-pose_pose.svg").read_text()
    assert short in drawn

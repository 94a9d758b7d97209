"""All rows of a plan see the same labels in batches of the same size."""

import json
import re
from pathlib import Path

import pytest

import compare
from samtl.common.errors import UserError
from samtl.comparison import plan, protocol, tuning
from samtl.comparison.protocol import Seen, TrainingSet

PLANS = sorted(Path(__file__).parents[2].glob("plans/*.toml"))
# Training images and labels of the prepared datasets (docs/datasets.md).
PREPARED = {
    "ferplus": (21378, {"emotion"}),
    "mtfl": (4999, {"pose", "gender", "smile", "glasses"}),
    "utkface": (7172, {"gender", "age", "ethnicity"}),
    "synthetic_emotion": (700, {"emotion"}),
    "synthetic_pose": (700, {"pose"}),
}
TEXT = """
seeds = [0]
[settings]
passes = 5
batch_size = 30
limit = { ferplus = 1000, mtfl = 2000 }
[pairs.pair]
dataset_emotion = "ferplus"
dataset_pose = "mtfl"
[methods.single-task]
title = "Single task"
family = "single"
[methods.all-in-one]
title = "All-in-one"
family = "joint"
is_naive = true
[methods.naive]
title = "Naive"
family = "alternating"
is_naive = true
"""
EQUAL = TEXT.replace("= 30", "= { ferplus = 10, mtfl = 20 }")


def _plan(folder, text):
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return plan.read_plan(path)


def _sets(run):
    """The prepared datasets of a run, with its limits."""
    words = dict(word.rpartition(":")[::2] for word in run.args.limit or ())
    found = {}
    for name in run.datasets:
        rows, tasks = PREPARED[name]
        limit = int(words.get(name, words.get("", 0)))
        found[name] = TrainingSet(min(rows, limit or rows), frozenset(tasks))
    return found


def _prepare(data_dir, **sizes):
    """Leave what is known of prepared datasets."""
    (data_dir / "db").mkdir(parents=True)
    for name, rows in sizes.items():
        tasks = {task: ["a", "b"] for task in PREPARED[name][1]}
        facts = {"tasks": tasks, "counts": {"train": {"rows": rows}}}
        path = data_dir / "db" / f"{name}.json"
        path.write_text(json.dumps(facts), encoding="utf-8")
        path.with_suffix(".csv").touch()


def _fault(planned, data_dir):
    return protocol.fault(planned, plan.runs(planned), data_dir)


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_rows_of_every_plan_are_equal(path):
    """Batches and steps; images but for those of a pass's last batch."""
    planned = plan.read_plan(path)
    runs = [
        run
        for run in plan.runs(plan.override(planned, planned["seeds"][:1]))
        if "unequal" not in planned["methods"][run.method]
    ]
    passes = planned["settings"]["passes"]
    rows = {}
    for run in runs:
        for task, by_dataset in protocol.seen(run, _sets(run)).items():
            rows.setdefault((run.pair, task), []).append(by_dataset)
    for found in rows.values():
        first = found[0]
        for other in found[1:]:
            assert other.keys() == first.keys()
            for name in other:
                assert other[name][1:] == first[name][1:]
                off = abs(other[name].images - first[name].images)
                assert off < passes * first[name].per_step
                assert off <= 0.005 * first[name].images


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_plans_and_trials_have_equal_learning_rates(path, tmp_path):
    planned = plan.read_plan(path)
    trials = [tuning.trial_plan(planned)] if "trials" in planned else []
    for wanted in [planned, *trials]:
        assert _fault(wanted, tmp_path) is None


def test_what_runs_see_by_hand(tmp_path):
    """1,000 images in batches of 30, the joint ones with 10 of them."""
    single, _, joint, naive = plan.runs(_plan(tmp_path, TEXT))
    sets = _sets(joint)
    alone = {"emotion": {"ferplus": Seen(5000, 30, 5 * 34)}}
    assert protocol.seen(single, sets) == alone
    taking_turns = {"pose": {"mtfl": Seen(10000, 30, 5 * 67)}}
    assert protocol.seen(naive, sets) == alone | taking_turns
    assert protocol.seen(joint, sets) == {
        "emotion": {"ferplus": Seen(5000, 10, 5 * 100)},
        "pose": {"mtfl": Seen(10000, 20, 5 * 100)},
    }


def test_rows_with_batches_of_each_dataset_are_equal(tmp_path):
    runs = plan.runs(_plan(tmp_path, EQUAL))
    found = [protocol.seen(run, _sets(run)) for run in runs]
    assert found[0] | found[1] == found[2] == found[3]
    assert protocol.difference(runs, _sets(runs[-1])) is None


def test_a_pool_adds_no_labels(tmp_path):
    pools = 'family = "single"\nunlabelled = ["utkface"]'
    text = EQUAL.replace('family = "single"', pools)
    text = text.replace("mtfl = 20", "mtfl = 20, utkface = 9")
    single, *_ = plan.runs(_plan(tmp_path, text))
    assert single.args.epoch == 10
    found = protocol.seen(single, _sets(single))
    assert found == {"emotion": {"ferplus": Seen(5000, 10, 500)}}


def test_an_unequal_plan_is_refused_with_its_cure(tmp_path):
    planned = _plan(tmp_path, TEXT)
    _prepare(tmp_path, ferplus=1000, mtfl=2000)
    assert _fault(planned, tmp_path) == (
        "unequal rows on pair: All-in-one sees ferplus: 5,000 images, 10 a "
        "step in 500 steps of emotion, Single task ferplus: 5,000 images, 30 a "
        "step in 170 steps; batch_size = { ferplus = 10, mtfl = 20 } in "
        '[settings], or unequal = "why" in [methods.all-in-one] '
        "(docs/comparison.md)"
    )
    planned = _plan(tmp_path, EQUAL)
    assert _fault(planned, tmp_path) is None


def test_a_row_may_say_why_it_is_unequal(tmp_path):
    planned = _plan(tmp_path, TEXT + 'unequal = "it is naive"\n')
    _prepare(tmp_path, ferplus=1000, mtfl=2000)
    assert re.search("All-in-one sees", _fault(planned, tmp_path))
    text = EQUAL + 'batch_size = 30\nunequal = "it is naive"\n'
    planned = _plan(tmp_path, text)
    assert _fault(planned, tmp_path) is None
    with pytest.raises(UserError, match="unequal of method naive is not"):
        _plan(tmp_path, EQUAL + "unequal = true\n")


def test_labels_that_only_joint_rows_have_are_refused(tmp_path):
    """MTFL knows gender, too, which UTKFace is given for."""
    text = EQUAL.replace(
        'dataset_pose = "mtfl"',
        'dataset_pose = "mtfl"\ndataset_gender = "utkface"',
    ).replace("mtfl = 2000", "mtfl = 2000, utkface = 3000")
    text = text.replace("mtfl = 20 ", "mtfl = 20, utkface = 30 ")
    text = text[: text.index("[methods.naive]")]
    planned = _plan(tmp_path, text)
    _prepare(tmp_path, ferplus=1000, mtfl=2000, utkface=3000)
    assert re.search(
        r"hide the labels of gender .*of mtfl", _fault(planned, tmp_path)
    )
    hidden = 'dataset_gender = "utkface"\nlabels = ["mtfl:pose"]'
    planned = _plan(
        tmp_path, text.replace('dataset_gender = "utkface"', hidden)
    )
    assert _fault(planned, tmp_path) is None


def test_early_stopping_is_refused(tmp_path):
    text = EQUAL.replace("passes = 5", "passes = 5\npatience = 3")
    planned = _plan(tmp_path, text)
    assert re.search("patience lets the rows", _fault(planned, tmp_path))


@pytest.mark.parametrize(
    "flag", ["learning_rate = 0.1", 'schedule = "constant"']
)
def test_unequal_learning_rates_are_refused(tmp_path, flag):
    planned = _plan(tmp_path, f"{EQUAL}{flag}\n")
    assert re.search(
        r"Naive has the learning rate .*, Single task 0\.003 \(cosine\); set "
        r".*\[methods\.naive\]",
        _fault(planned, tmp_path),
    )
    planned = _plan(tmp_path, f'{EQUAL}{flag}\nunequal = "a test"\n')
    assert _fault(planned, tmp_path) is None


def test_without_the_data_nothing_is_checked(tmp_path):
    planned = _plan(tmp_path, TEXT)
    assert _fault(planned, tmp_path) is None


def test_compare_refuses_before_it_trains(tmp_path, capsys):
    _plan(tmp_path, TEXT)
    _prepare(tmp_path, ferplus=1000, mtfl=2000)
    words = [f"--plan={tmp_path / 'plan.toml'}", f"--data_dir={tmp_path}"]
    words += [f"--out={tmp_path / 'out'}"]
    with pytest.raises(UserError, match="unequal rows on pair"):
        compare.main(words)
    assert compare.main([*words, "--dry_run"]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("unequal rows on pair")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"a": 1000, "b": 2000}, {"a": 10, "b": 20}),
        ({"a": 1000, "b": 4999}, {"a": 5, "b": 25}),
        ({"a": 24, "b": 20}, {"a": 12, "b": 10}),
        ({"a": 7, "b": 300}, {"a": 1, "b": 43}),
        ({"a": 40}, {"a": 40}),
    ],
)
def test_equal_batches_are_near_the_asked_size(sizes, expected):
    found = protocol.equal_batches(sizes, 30)
    assert len({-(-sizes[name] // found[name]) for name in sizes}) == 1
    assert found == expected

"""Plans are read, checked, and turned into the scripts' command lines."""

import itertools
import shlex
from pathlib import Path

import pytest

from samtl.cli import command_line
from samtl.cli.methods import TASK_WEIGHTINGS
from samtl.common.errors import UserError
from samtl.comparison import plan

PLANS = sorted(Path(__file__).parents[2].glob("plans/*.toml"))
TEXT = """
seeds = [0, 1]

[settings]
passes = 5
batch_size = 16
limit = { ferplus = 100, utkface = 200 }

[pairs.emotion-age]
dataset_emotion = "ferplus"
dataset_age = "utkface"

[pairs.all]
dataset_emotion = "ferplus"
dataset_pose = "mtfl"
dataset_gender = ["utkface", "adience"]
dataset_age = ["utkface", "adience"]
labels = ["mtfl:pose"]

[methods.naive]
title = "Naive"
family = "alternating"
is_naive = true
batch_size = 8

[methods.dcn-ap]
title = "DCN-AP"
family = "joint"
is_MRF = true

[methods.slrm]
title = "SLRM"
family = "manifold"
"""
SINGLE = """
[methods.single-task]
title = "Single task"
family = "single"
"""


def _plan(tmp_path, text):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return plan.read_plan(path)


def _command(run):
    return f"{run.script} {shlex.join(run.words)}"


def test_a_plan_becomes_command_lines(tmp_path):
    runs = plan.runs(_plan(tmp_path, TEXT))
    assert len(runs) == 2 * 2 * 3
    assert [_command(run) for run in runs[:6]] == [
        "ALTERNATIVE_EA --dataset_emotion=ferplus --dataset_age=utkface "
        "--epoch=10 --batch_size=8 --limit ferplus:100 utkface:200 "
        "--is_naive=True --seed=0",
        "CONFUSION_EP_multitask --dataset_emotion=ferplus "
        "--dataset_age=utkface --epoch=5 --batch_size=16 "
        "--limit ferplus:100 utkface:200 --is_MRF=True --seed=0",
        "CONFUSION_EP_multitask_manifold --dataset_emotion=ferplus "
        "--dataset_age=utkface --epoch=5 --batch_size=16 "
        "--limit ferplus:100 utkface:200 --seed=0",
        # Four datasets, each in its turn.
        "ALTERNATIVE_EPGA --dataset_emotion=ferplus --dataset_pose=mtfl "
        "--dataset_gender utkface adience --dataset_age utkface adience "
        "--epoch=20 --batch_size=8 --limit ferplus:100 utkface:200 "
        "--labels=mtfl:pose --is_naive=True --seed=0",
        "CONFUSION_EP_multitask --dataset_emotion=ferplus "
        "--dataset_pose=mtfl --dataset_gender utkface adience "
        "--dataset_age utkface adience --epoch=5 --batch_size=16 "
        "--limit ferplus:100 utkface:200 --labels=mtfl:pose --is_MRF=True "
        "--seed=0",
        "CONFUSION_EP_multitask_manifold --dataset_emotion=ferplus "
        "--dataset_pose=mtfl --dataset_gender utkface adience "
        "--dataset_age utkface adience --epoch=5 --batch_size=16 "
        "--limit ferplus:100 utkface:200 --labels=mtfl:pose --seed=0",
    ]
    assert runs[3].datasets == ["ferplus", "mtfl", "utkface", "adience"]
    assert runs[3].folder == Path("runs/all/naive/seed0")
    assert [run.seed for run in runs] == [0] * 6 + [1] * 6


def test_text_may_hold_the_pair_and_the_seed_of_a_run(tmp_path):
    text = TEXT.replace(
        "is_MRF = true",
        'is_distilled = true\nteacher = ["{pair}/{seed}.onnx", "a.onnx"]',
    )
    runs = plan.runs(_plan(tmp_path, text))
    assert runs[1].args.teacher == ["emotion-age/0.onnx", "a.onnx"]
    assert runs[-2].args.teacher == ["all/1.onnx", "a.onnx"]


def test_seeds_and_limit_can_be_given_anew(tmp_path):
    given = plan.override(_plan(tmp_path, TEXT), [7], ["50", "utkface:60"])
    runs = plan.runs(given)
    assert {run.seed for run in runs} == {7}
    assert "--limit 50 utkface:60" in _command(runs[0])
    assert runs[0].args.limit == ["50", "utkface:60"]


def test_a_given_limit_replaces_all_of_the_plans(tmp_path):
    old = 'dataset_age = "utkface"\n'
    text = TEXT.replace(old, f"{old}limit = 9\n", 1)
    loaded = _plan(tmp_path, text)
    found = plan.runs(plan.override(loaded, limit=["50"]))
    assert {tuple(run.args.limit) for run in found} == {("50",)}
    with pytest.raises(UserError, match="--limit names ferplus twice"):
        plan.override(loaded, limit=["ferplus:5", "ferplus:6"])


@pytest.mark.parametrize(
    ("seeds", "limit"),
    [(None, None), ([7, 8], None), (None, ["50"]), ([0], ["9", "mtfl:0"])],
)
def test_what_was_given_is_written_and_read_again(tmp_path, seeds, limit):
    old = 'dataset_age = "utkface"\n'
    text = TEXT.replace(old, f"{old}limit = 9 # of a pair\n", 1)
    text = text.replace("[settings]", "[settings] # a remark")
    loaded = _plan(tmp_path, text)
    given = plan.override(loaded, seeds, limit)
    assert loaded == plan.read_plan(tmp_path / "plan.toml"), "changed in place"
    path = tmp_path / "out" / "plan.toml"
    plan.write_plan(given, tmp_path / "plan.toml", path)
    assert plan.read_plan(path) == given
    assert plan.runs(plan.read_plan(path)) == plan.runs(given)
    written = path.read_text()
    assert "# a remark" in written
    assert ("# of a pair" in written) is (limit is None)
    if seeds is limit is None:
        assert written == text
    # A plan may be given back to the folder that it came from.
    plan.write_plan(given, path, path)
    assert path.read_text() == written


def test_a_seed_counts_once(tmp_path):
    text = TEXT.replace("seeds = [0, 1]", "seeds = [3, 0, 3]")
    loaded = _plan(tmp_path, text)
    assert [run.seed for run in plan.runs(loaded)] == [3] * 6 + [0] * 6
    assert len(plan.runs(plan.override(loaded, [5, 5]))) == 6


def test_a_dataset_is_the_same_in_any_spelling(tmp_path):
    text = TEXT + SINGLE
    text = text.replace('= ["utkface", "adience"]', '= "UTKFace"')
    expected = plan.runs(_plan(tmp_path, text))
    text = text.replace('"ferplus"', '"Fer+"', 1)
    text = text.replace("{ ferplus", '{ "FER+"')
    assert plan.runs(_plan(tmp_path, text)) == expected
    assert expected[-1].words[0] == "--dataset=utkface"


def test_a_single_task_is_a_run_for_each_task(tmp_path):
    text = TEXT.replace('["utkface", "adience"]', '"utkface"') + SINGLE
    runs = plan.runs(_plan(tmp_path, text))
    single = [run for run in runs if run.method == "single-task"][:6]
    assert [(run.pair, run.tasks, str(run.folder)) for run in single] == [
        (pair, (task,), f"runs/{pair}/single-task/seed0/{task}")
        for pair, task in [
            ("emotion-age", "emotion"),
            ("emotion-age", "age"),
            ("all", "emotion"),
            ("all", "pose"),
            ("all", "gender"),
            ("all", "age"),
        ]
    ]
    assert _command(single[0]) == (
        "STL_general_train --dataset=ferplus --task_type=emotion --epoch=5 "
        "--batch_size=16 --limit=ferplus:100 --seed=0"
    )
    assert _command(single[3]) == (  # no limit for mtfl, no --labels
        "STL_general_train --dataset=mtfl --task_type=pose --epoch=5 "
        "--batch_size=16 --seed=0"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds = [0, 1]", "", "seeds is missing"),
        ("seeds = [0, 1]", "seeds = 3", "seeds is missing"),
        ("seeds = [0, 1]", "seeds = [0, 1", "cannot read the plan"),
        ("seeds", "batch_size = 8\nseeds", "batch_size is not one of seeds"),
        ("passes = 5", "", "settings has no passes"),
        ("is_MRF", "passes = 9\nis_MRF", r"passes is .* \(dcn-ap"),
        ("passes = 5", "passes = 5\nepoch = 7", "epoch is not for a plan"),
        ("[settings]", "pairs.a = 1\n[settings]", "a is not a table of flags"),
        ('family = "joint"', 'family = "both"', "dcn-ap needs a title"),
        ("[pairs.all]", '[pairs."a/b"]', "'a/b' cannot be a folder"),
        ("seeds = [0, 1]", 'seeds = ["0"]', "seeds are whole numbers"),
        ("seeds = [0, 1]", "seeds = [true]", "seeds are whole numbers"),
        ('family = "joint"', 'family = ["joint"]', "dcn-ap needs a title"),
        ('"DCN-AP"', "5", "dcn-ap needs a title"),
        ('"DCN-AP"', '"DCN\\nAP"', "dcn-ap needs a title"),
        ('"DCN-AP"', r'"DCN\u001b[2J"', "dcn-ap needs a title"),
        ("is_MRF", 'task_type = "pose"\nis_MRF', "task_type is not for a plan"),
        ("[pairs.all]", "[pairs.none]\n[pairs.all]", "pair none needs"),
        ('dataset_pose = "mtfl"', "dataset_pose = []", "pair all needs"),
        ('"ferplus"', '"[a,b]"', "is a placeholder"),
    ],
)
def test_a_faulty_plan_is_refused(tmp_path, old, new, message):
    with pytest.raises(UserError, match=message) as caught:
        _plan(tmp_path, TEXT.replace(old, new, 1))
    assert "\n" not in str(caught.value)


def test_a_single_task_takes_one_dataset(tmp_path):
    text = (TEXT + SINGLE).replace('= "ferplus"', '= ["ferplus", "expw"]', 1)
    with pytest.raises(UserError, match="emotion has ferplus, expw"):
        plan.runs(_plan(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("is_MRF", "is_MFR", "dcn-ap on emotion-age: .* mean --is_MRF"),
        ("ferplus = 100", "expw = 100", "limit names expw"),
        ("{ ferplus = 100,", '["mtfl:9"] #', "naive on emotion-age: .*mtfl:9"),
        ('"mtfl:pose"', '"mtfl:gender"', "naive on all: .*hides pose of mtfl"),
        (
            "is_MRF",
            "augmentation_strength = 'sfew:2'\nis_MRF",
            "sfew:2.0 names",
        ),
    ],
)
def test_a_wrong_flag_is_reported_with_its_place(tmp_path, old, new, message):
    text = TEXT.replace(old, new)
    with pytest.raises(UserError, match=message):
        plan.runs(_plan(tmp_path, text))


def test_any_tasks_and_pools_may_be_compared(tmp_path):
    text = TEXT.replace('dataset_age = "utkface"', 'dataset_smile = "mtfl"', 1)
    text = text.replace(
        'dataset_smile = "mtfl"',
        'dataset_smile = "mtfl"\nunlabelled = ["UTKFace", "expw"]',
    )
    text = text.replace('["utkface", "adience"]', '"utkface"') + SINGLE
    runs = plan.runs(_plan(tmp_path, text))
    runs = [run for run in runs if run.pair == "emotion-age" and run.seed == 0]
    alternating = next(r for r in runs if r.script.startswith("ALTERNATIVE"))
    assert alternating.script == "ALTERNATIVE_general_train"
    assert alternating.tasks == ("emotion", "smile")
    assert "--epoch=20" in alternating.words  # 5 passes over each of four
    assert list(alternating.datasets) == ["ferplus", "mtfl", "utkface", "expw"]
    single = next(r for r in runs if r.tasks == ("smile",))
    assert "--epoch=15" in single.words
    assert "--task_type=smile" in single.words


def test_the_others_of_a_pair_are_pools_of_a_single_task(tmp_path):
    text = TEXT.replace('["utkface", "adience"]', '"utkface"') + SINGLE
    text += 'unlabelled = ["{others}", "expw"]\nbatch_size = 4\n'
    runs = plan.runs(_plan(tmp_path, text))
    single = [run for run in runs if run.method == "single-task"][:6]
    assert [run.datasets for run in single] == [
        ["ferplus", "utkface", "expw"],
        ["utkface", "ferplus", "expw"],
        ["ferplus", "mtfl", "utkface", "expw"],
        ["mtfl", "ferplus", "utkface", "expw"],
        ["utkface", "ferplus", "mtfl", "expw"],
        ["utkface", "ferplus", "mtfl", "expw"],
    ]
    assert [run.args.epoch for run in single] == [15, 15, 20, 20, 20, 20]
    text = text.replace("single", "joint")
    with pytest.raises(UserError, match=r"\{others\} is for the family single"):
        plan.runs(_plan(tmp_path, text))


def test_a_pair_of_one_task_is_for_single_training(tmp_path):
    text = TEXT.replace(
        "[pairs.all]", '[pairs.one]\ndataset_age = "a"\n[pairs.all]'
    )
    with pytest.raises(UserError, match="on one: a pair of age alone is for"):
        plan.runs(_plan(tmp_path, text))


def test_a_missing_plan_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.toml: No such file"):
        plan.read_plan(tmp_path / "none.toml")


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_plans_of_the_repository_are_good(path):
    runs = plan.runs(plan.read_plan(path))
    least = {"ablations": {"sa-mtl-hard"}, "teachers": {"all-in-one"}}
    expected = least.get(path.stem, {"single-task", "sa-mtl-hard"})
    assert {run.method for run in runs} >= expected
    passes = set()
    for run in runs:
        is_joint = run.script.startswith("CONFUSION")
        turns = 1 if is_joint else len(run.datasets)
        passes.add(run.args.epoch / turns)
    assert len(passes) == 1
    commands = {(r.pair, r.method, r.words) for r in runs}
    assert len({(pair, words) for pair, _, words in commands}) == len(commands)


def _methods(name):
    """Runs of a plan of the repository with its first seed, and their names."""
    path = next(path for path in PLANS if path.stem == name)
    runs = [
        run
        for run in plan.runs(plan.override(plan.read_plan(path), [0]))
        if "is_naive" in run.args
    ]
    return runs, {command_line.method_name(run.args) for run in runs}


def test_the_small_plan_has_every_method():
    _, names = _methods("small")
    assert names == {
        "all-in-one",
        "sfsmr",
        "slrm",
        "lel-ltn",
        "dcn-ap",
        "distribution-matching",
        "naive",
        "dml-lwf",
        "distilled",
        "sa-mtl-hard",
        "sa-mtl-interpolation",
        "fixmatch",
        "softmatch",
        "mean-teacher",
        *(f"all-in-one-{name}" for name in TASK_WEIGHTINGS[1:]),
    }


def test_the_ablations_are_each_weight_two_and_one_metric():
    runs, names = _methods("ablations")
    weights = ["confidence", "density", "distribution"]
    pairs = ["-".join(two) for two in itertools.combinations(weights, 2)]
    assert names == {"sa-mtl-hard", *(f"hard-{n}" for n in (*weights, *pairs))}
    metrics = {run.args.distribution_metric for run in runs}
    assert metrics == {"both", "emd", "mmd"}

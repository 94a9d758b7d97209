"""Trials: equally many for each method, chosen on validation alone."""

from pathlib import Path

import pandas as pd
import pytest

from samtl.common.errors import UserError
from samtl.comparison import plan, tuning
from samtl.comparison.loading import read_comparison
from samtl.comparison.states import is_recorded

ROOT = Path(__file__).parents[2]
PLANS = ROOT / "plans"
TEXT = """
seeds = [0, 1]
trial_seeds = [100]

[settings]
passes = 5
limit = { ferplus = 100 }

[pairs.emotion-pose]
dataset_emotion = "ferplus"
dataset_pose = "mtfl"

[methods.naive]
title = "Naive"
family = "alternating"
is_naive = true

[methods.slrm]
title = "SLRM"
family = "manifold"

[trials.naive]
learning_rate = [0.001, 0.003]

[trials.slrm]
lnorm_weight = [0.1, 0.2]
trace_norm_weight = [1.0, 2.0]
"""


def _plan(tmp_path, text=TEXT):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return plan.read_plan(path)


def test_each_trial_is_a_method_with_the_trials_seeds(tmp_path):
    trials = tuning.trial_plan(_plan(tmp_path))
    runs = plan.runs(trials)
    assert {run.seed for run in runs} == {100}
    assert [run.method for run in runs] == [
        *("naive-1", "naive-2", "slrm-1", "slrm-2")
    ]
    assert [run.args.learning_rate for run in runs[:2]] == [0.001, 0.003]
    found = [(r.args.lnorm_weight, r.args.trace_norm_weight) for r in runs[2:]]
    assert found == [(0.1, 1.0), (0.2, 2.0)]
    assert runs[0].title == "Naive: learning_rate = 0.001"


def test_a_plan_of_trials_is_written_and_read_again(tmp_path):
    trials = tuning.trial_plan(_plan(tmp_path))
    plan.write_plan(trials, tmp_path / "plan.toml", tmp_path / "trials.toml")
    again = plan.read_plan(tmp_path / "trials.toml")
    assert plan.runs(again) == plan.runs(trials)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[100]", "[1]", "seed 1 is of the trials and of the table"),
        ("[0.001, 0.003]", "[0.001]", "slrm has 2 trials, naive 1"),
        ("[1.0, 2.0]", "[1.0]", "the trials of slrm are not one to 3 flags"),
        ("[trials.naive]\nlearning_rate = [0.001, 0.003]", "", "naive has no"),
        ("trial_seeds = [100]", "", r"no \[trials\] and trial_seeds"),
    ],
)
def test_unfair_trials_are_refused(tmp_path, old, new, message):
    found = _plan(tmp_path, TEXT.replace(old, new))
    with pytest.raises(UserError, match=message):
        tuning.trial_plan(found)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[trials.naive]", "[trials.naiv]", "trials.naiv is not of a method"),
        ("[0.001, 0.003]", "0.001", "trials.naive needs a list of values"),
        ("[100]", "100", "trial_seeds is not a list"),
        ("[100]", "[1.5]", "seeds are whole numbers"),
        ("learning_rate", "seed", "seed is not for a plan"),
    ],
)
def test_wrong_trials_are_refused(tmp_path, old, new, message):
    with pytest.raises(UserError, match=message):
        _plan(tmp_path, TEXT.replace(old, new))


def test_the_best_trial_has_the_highest_validation_accuracy(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("COLUMNS", "120")
    text = TEXT.replace('"Naive"', '"Naive [/b]"')  # no markup
    trials = tuning.trial_plan(_plan(tmp_path, text))
    values = {
        "naive-1": ([0.5, 0.7], [0.8, 0.8]),  # seeds of emotion, of pose
        "naive-2": ([0.6, 0.3], [0.9, 0.9]),
        "slrm-2": ([0.6, 0.6], [0.72, 0.72]),
    }
    rows = [
        (name, task, value, 1 - value)
        for name, both in values.items()
        for task, several in zip(("emotion", "pose"), both, strict=True)
        for value in several
    ]
    columns = ["method", "task", "validation_accuracy", "accuracy"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "results.csv")
    tuning.print_choice(tmp_path, trials)
    lines = {
        line.split("│")[1].strip(): line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("│")
    }
    assert set(lines) == {
        *(f"Naive [/b]: learning_rate = {rate}" for rate in (0.001, 0.003)),
        "SLRM: lnorm_weight = 0.2, trace_norm_weight = 2.0",
    }
    found = [line for line in lines.values() if "best" in line]
    assert ["70.0" in line for line in found] == [True, False]
    assert "66.0" in found[1]


def test_every_row_of_the_small_plan_has_three_trials():
    trials = tuning.trial_plan(plan.read_plan(PLANS / "small.toml"))
    count = len(plan.read_plan(PLANS / "small.toml")["methods"])
    assert len(trials["methods"]) == 3 * count
    assert plan.runs(trials)


@pytest.mark.parametrize(
    "out", sorted(ROOT.glob("docs/results/*-trials")), ids=lambda out: out.name
)
def test_kept_trials_are_those_of_their_plan(out):
    """So that the trials go on from them."""
    name = out.name.removesuffix("-trials")
    planned = plan.read_plan(PLANS / f"{name}.toml")
    runs = plan.runs(tuning.trial_plan(planned))
    recorded = {str(run.folder) for run in runs if is_recorded(run, out)}
    assert recorded == set(read_comparison(out).results["run"])

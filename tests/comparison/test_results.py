"""The tables of a comparison, from run folders made by hand."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from samtl.common.errors import UserError
from samtl.comparison import plan, results

CLASSES = {"emotion": ["happy", "sad"], "age": ["0-2", "4-6", "60+"]}
COMMIT = {"id": "abc123", "dirty": True}


def _run(pair, method, seed, tasks, folder):
    return plan.Run(
        pair, method, method, seed, tasks, Path(folder), "none", (), Namespace()
    )


def _finish(out, run, predicted):
    """Leave what a finished run leaves.

    Args:
        predicted: {task: [(label, prediction), ...] of the test images}.
    """
    folder = out / run.folder
    folder.mkdir(parents=True)
    tasks, forgetting = {}, {}
    for task, rows in predicted.items():
        names = CLASSES[task]
        frame = pd.DataFrame(rows, columns=["label", "prediction"])
        frame.to_csv(folder / f"predictions_{task}_test.csv", index=False)
        counts = pd.crosstab(frame["label"], frame["prediction"])
        counts = counts.reindex(names, fill_value=0)
        counts = counts.reindex(names, axis=1, fill_value=0)
        counts.to_csv(folder / f"confusion_{task}_test.csv")
        right = float((frame["label"] == frame["prediction"]).mean())
        scores = {"accuracy": right, "balanced_accuracy": 0.5, "macro_f1": 0.25}
        scores["count"] = len(frame)
        if task == "age":
            scores["one_off_accuracy"] = 1.0
        validation = scores | {"accuracy": 0.125}
        tasks[task] = {
            "classes": names,
            "validation": validation,
            "test": scores,
        }
        forgetting[task] = {"drop": 0.1 if task == "emotion" else None}
    result = {name: 2 for name in results.COSTS}
    result |= {"tasks": tasks, "forgetting": forgetting}
    if "age" in predicted:  # the other one is older
        result |= {"trained_images": 50, "predicted_images": 20}
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "args.json").write_text(json.dumps({"commit": COMMIT}))
    metrics = pd.DataFrame({"round": [1, 2], "loss": [0.5, 0.25]})
    if "age" in predicted:
        metrics["pseudo_age_accuracy"] = [np.nan, 0.75]
    metrics.to_csv(folder / "metrics.csv", index=False)


@pytest.fixture
def runs(tmp_path):
    both = ("emotion", "age")
    shared = "runs/p/single/seed0/emotion"
    listed = [
        _run("p", "single", 0, ("emotion",), shared),
        _run("p", "naive", 0, both, "runs/p/naive/seed0"),
        _run("q", "single", 0, ("emotion",), shared),
        _run("p", "naive", 1, both, "runs/p/naive/seed1"),
    ]
    right, wrong = ("happy", "happy"), ("sad", "happy")
    emotion = [right] * 8 + [wrong, right]
    age = [("60+", "60+"), ("0-2", "4-6"), ("4-6", "4-6")]
    _finish(tmp_path, listed[0], {"emotion": emotion})
    _finish(tmp_path, listed[1], {"emotion": emotion, "age": age})
    return listed


def test_every_number_is_that_of_the_run(tmp_path, runs):
    results.write_tables(runs, tmp_path)
    table = pd.read_csv(tmp_path / "results.csv")
    assert list(table.columns) == list(results.RESULTS)
    names = table[["pair", "method", "seed", "task"]].to_numpy().tolist()
    assert names == [
        ["p", "single", 0, "emotion"],
        ["p", "naive", 0, "emotion"],
        ["p", "naive", 0, "age"],
        ["q", "single", 0, "emotion"],
    ]
    age = table.iloc[2]
    assert age["accuracy"] == 2 / 3
    assert age["validation_accuracy"] == 0.125
    assert age["one_off_accuracy"] == 1.0
    assert age["commit"] == "abc123-dirty"
    assert json.loads(age["confusion"]) == [[0, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert json.loads(age["classes"]) == CLASSES["age"]
    assert np.isnan(age["forgetting"])
    assert (age["trained_images"], age["predicted_images"]) == (50, 20)
    assert np.isnan(table.iloc[0]["trained_images"])
    emotion = table.iloc[1]
    assert emotion["forgetting"] == 0.1
    assert np.isnan(emotion["one_off_accuracy"])
    right = np.frombuffer(bytes.fromhex(emotion["correct"]), np.uint8)
    right = np.unpackbits(right, count=emotion["count"])
    assert right.tolist() == [1] * 8 + [0, 1]
    # Pairs that share a run name the same folder.
    assert table["run"].iloc[0] == table["run"].iloc[3]


def test_rounds_are_those_of_all_runs(tmp_path, runs):
    results.write_tables(runs, tmp_path)
    table = pd.read_csv(tmp_path / "rounds.csv")
    assert (
        table["method"].tolist()
        == ["single"] * 2 + ["naive"] * 2 + ["single"] * 2
    )
    assert table["round"].tolist() == [1, 2] * 3
    assert table["round"].dtype == int
    seen = table["pseudo_age_accuracy"].tolist()
    np.testing.assert_array_equal(seen, [np.nan] * 3 + [0.75] + [np.nan] * 2)


def test_failures_are_written_down(tmp_path, runs):
    results.write_failed(runs, tmp_path, {runs[3].folder: "no, memory"})
    (row,) = pd.read_csv(tmp_path / "failed.csv").to_dict("records")
    assert row == {
        "pair": "p",
        "method": "naive",
        "seed": 1,
        "error": "no, memory",
        "run": "runs/p/naive/seed1",
    }
    known = {runs[3].folder: "no, memory"}
    folders = [run.folder for run in runs]
    assert results.read_failed(tmp_path, folders) == known
    assert results.read_failed(tmp_path, folders[:3]) == {}
    assert results.read_failed(tmp_path / "nowhere", folders) == {}


def test_nothing_finished_leaves_tables_with_headers(tmp_path, runs):
    results.write_tables(runs[3:], tmp_path)
    results.write_failed(runs, tmp_path, {})
    for name in ("results", "rounds", "failed"):
        table = pd.read_csv(tmp_path / f"{name}.csv")
        assert len(table) == 0
        assert list(table.columns)[:3] == ["pair", "method", "seed"]


def test_a_damaged_run_is_named(tmp_path, runs):
    (tmp_path / runs[1].folder / "result.json").write_text("{")
    with pytest.raises(UserError, match=r"result of .*naive/seed0: .*delete"):
        results.write_tables(runs, tmp_path)

"""The benchmark of a small run, on a smaller one."""

import time

import pytest

from benchmarks import small_run
from tests import quick, tiny


def test_a_part_is_without_those_that_it_calls(monkeypatch):
    clock = iter([0, 1, 3, 7, 15, 31])
    monkeypatch.setattr(time, "process_time", lambda: next(clock))
    meter = small_run.Meter()
    for part in ("outer", "inner", "outer", "rest", None):
        meter.enter(part)
    assert meter.seconds == {
        "loading": 0,
        "outer": 1 + 4,
        "inner": 2,
        "rest": 8,
    }


def test_every_part_and_its_floor(tmp_path, monkeypatch, capsys):
    quick.shrink(monkeypatch)
    tiny.dataset(tmp_path, "faces", ["emotion"], (16, 8, 8))
    tiny.dataset(tmp_path, "poses", ["pose"], (12, 6, 6), seed=1)
    meter = small_run.run(
        [
            "--dataset_emotion=faces",
            "--dataset_pose=poses",
            "--epoch=2",
            "--cluster_k=1",
            f"--data_dir={tmp_path}",
            f"--run_dir={tmp_path / 'run'}",
        ]
    )
    parts = {part for part in small_run.FUNCTIONS.values() if part}
    assert parts | {"loading", "rest"} == set(meter.seconds)
    monkeypatch.setattr(small_run, "loading", lambda: 0.25)
    least = small_run.floor(meter)
    assert set(least) == {
        *("loading", "decoding", "training", "statistics"),
        *("pseudo labels", "validation", "report"),
    }
    assert all(value > 0 for value in least.values())
    ratio = small_run.report(meter.seconds, least)
    total = sum(meter.seconds.values())
    assert ratio == pytest.approx(total / sum(least.values()))
    assert "| loading |" in capsys.readouterr().out

"""What Ctrl-C says, and that it holds."""

import shlex

import cv2
import numpy as np
import pytest

import ALTERNATIVE_EP
import compare
from data_preparation import __main__ as preparation
from data_preparation import duplicates
from samtl.common.errors import run_script
from samtl.comparison import sweep
from samtl.data import tables
from samtl.training import state
from tests import quick, tiny
from tests.comparison import small_plan


def _stopped(main, capsys):
    """The one line of a script that Ctrl-C stops."""
    with pytest.raises(SystemExit) as caught:
        run_script(main)
    assert caught.value.code == 130
    (line,) = capsys.readouterr().err.splitlines()
    return line


def _interrupt(*_, **__):
    raise KeyboardInterrupt


def test_training_names_the_command_that_resumes(tmp_path, monkeypatch, capsys):
    quick.shrink(monkeypatch)
    tiny.dataset(tmp_path, "ferplus", [tiny.FERPLUS_EMOTION])
    tiny.dataset(tmp_path, "mtfl", ["pose"], seed=1)
    run = tmp_path / "a run"
    words = [
        *("--dataset_emotion=ferplus", "--dataset_pose=mtfl"),
        *(f"--data_dir={tmp_path}", f"--run_dir={run}", "--epoch=2"),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(state, "save", _interrupt)
        line = _stopped(lambda: ALTERNATIVE_EP.main(words), capsys)
    start = "stopped; go on with: python ALTERNATIVE_EP.py "
    assert line.startswith(start)
    ALTERNATIVE_EP.main(shlex.split(line.removeprefix(start)))
    assert (run / "result.json").exists()


def test_a_comparison_is_repeated(tmp_path, monkeypatch, capsys):
    small_plan.write(tmp_path)
    words = small_plan.words(tmp_path, tmp_path / "out")
    monkeypatch.setattr(sweep, "train", _interrupt)
    line = _stopped(lambda: compare.main(words), capsys)
    assert line == "stopped; the same command goes on from here"


def test_a_preparation_is_repeated(tmp_path, monkeypatch, capsys):
    album = tmp_path / "album"
    album.mkdir()
    for seed in range(3):
        image = np.random.default_rng(seed).integers(0, 256, (12, 12), np.uint8)
        cv2.imwrite(str(album / f"{seed}.png"), image)
    words = ["own", "mine", f"--source={album}", f"--data_dir={tmp_path}"]
    with monkeypatch.context() as patch:
        patch.setattr(duplicates, "report", _interrupt)
        line = _stopped(lambda: preparation.main(words), capsys)
    assert line == "stopped; the same command goes on from here"
    preparation.main(words)
    assert "resuming after 3 images" in capsys.readouterr().out
    assert len(tables.read("mine", tmp_path)) == 3

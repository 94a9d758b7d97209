"""SIGKILL at random moments with fixed seeds: no loss, the same result.

A kill leaves the files of that moment. Training takes seconds to start, so
every such state of one run is kept, and runs are resumed from some of them.
tests/test_scripts.py kills a real one.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

import ALTERNATIVE_EP
import final_video_demo
from samtl.common.errors import UserError
from samtl.faces import detect
from samtl.faces.media import recording, video
from tests import quick, tiny
from tests.faces import stand_ins
from tests.robustness.trials import COUNTS, case

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")


@posix
def test_killed_preparations(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.robustness.kills", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    verdicts = done.stdout.splitlines()
    COUNTS["tried"] += len(verdicts)
    COUNTS["survived"] += verdicts.count("survived")
    assert set(verdicts) == {"survived"}


@posix
def test_killed_pairs():
    command = [sys.executable, "-m", "tests.robustness.pairs", "--trials=6"]
    done = subprocess.run(
        [*command, "--kinds", "sets", "sweeps"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    COUNTS["tried"] += 6
    assert done.returncode == 0, done.stdout + done.stderr
    COUNTS["survived"] += 6


class Witness:
    """Keeps every state of a folder between two changes.

    Attributes:
        states: list of folders, oldest first.
    """

    def __init__(self, folder, kept, monkeypatch):
        self.states = []
        self._folder, self._kept = folder, kept
        for name in ("mkdir", "replace", "unlink", "open"):
            self._watch(name, monkeypatch)

    def _watch(self, name, monkeypatch):
        original = getattr(Path, name)

        def watched(path, *arguments, **options):
            if path.is_relative_to(self._folder) and self._folder.exists():
                state = self._kept / str(len(self.states))
                shutil.copytree(self._folder, state)
                self.states.append(state)
            return original(path, *arguments, **options)

        monkeypatch.setattr(Path, name, watched)


def _end(run):
    """Result of a finished run, without times."""
    network = keras.saving.load_model(run / "best.keras")
    result = json.loads((run / "result.json").read_text())
    rows = pd.read_csv(run / "metrics.csv")
    return (
        [array.tolist() for array in network.get_weights()],
        {name: result[name] for name in ("best_round", "tasks", "forgetting")},
        rows.filter(regex="^(round|dataset|.*loss|validation)").to_csv(),
    )


def test_killed_training(tmp_path, monkeypatch):
    data_dir, run = tmp_path / "data", tmp_path / "run"
    tiny.dataset(data_dir, "moods", ["emotion"], (16, 8, 8))
    tiny.dataset(data_dir, "turns", ["pose"], (12, 6, 6))
    quick.shrink(monkeypatch)
    words = ["--dataset_emotion=moods", "--dataset_pose=turns", "--epoch=3"]
    words += [f"--data_dir={data_dir}", f"--run_dir={run}", "--is_naive=True"]
    with pytest.MonkeyPatch.context() as patch:
        witness = Witness(run, tmp_path / "states", patch)
        ALTERNATIVE_EP.main(words)
    whole = _end(run)
    states = witness.states
    assert len(states) > 30
    chosen = np.random.default_rng(0).choice(len(states), 8, replace=False)
    for number in [*sorted(chosen), len(states) - 1]:
        with case():
            state = states[number]
            is_begun = (state / "args.json").exists()
            is_finished = (state / "result.json").exists()
            if is_begun and not is_finished:
                ALTERNATIVE_EP.main([f"--resume={state}"])
            else:
                with pytest.raises(UserError, match=r"finished|no readable"):
                    ALTERNATIVE_EP.main([f"--resume={state}"])
            assert not is_begun or _end(state) == whole


DEMO = """
import sys, time
import final_video_demo
from tests.faces import stand_ins
from samtl.faces import detect

class Slow(stand_ins.Detector):
    def __call__(self, image):
        time.sleep(0.03)
        return super().__call__(image)

detect.open = lambda *_: Slow()
final_video_demo.main(sys.argv[1:])
"""


def _lines(path):
    return path.read_text().splitlines() if path.exists() else []


@posix
def test_killed_videos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(detect, "open", lambda *_, **__: stand_ins.Detector())
    with recording.Writer(tmp_path / "walk.mp4", 25) as writer:
        for index in range(40):
            box = (10 + 3 * index, 20, 60 + 3 * index, 80)
            writer.write(
                stand_ins.picture([box, (5, 120, 70, 200)]), index / 25
            )
    words = [tmp_path / "walk.mp4", "--csv=a.csv", "--jsonl=a.jsonl"]
    words += ["--detect_every=1"]
    words += [f"--weights={stand_ins.network(tmp_path)}", "--overwrite"]
    words = list(map(str, words))
    final_video_demo.main(words)
    whole = _lines(tmp_path / "a.jsonl"), _lines(tmp_path / "a.csv")
    assert len(whole[0]) == 80
    made = tmp_path / "demo_output" / "walk_faces.mp4"
    for seed in range(3):
        for path in (tmp_path / "a.jsonl", tmp_path / "a.csv", made):
            path.unlink()
        rng = np.random.default_rng(seed)
        moment, delay = rng.integers(1, 40), rng.uniform(0.05, 0.3)
        with case():
            _kill(words, tmp_path / "a.jsonl", moment, delay)
            # FFmpeg survives and finishes the file.
            while b"mfra" not in made.read_bytes():
                time.sleep(0.05)
            lines, rows = (
                _lines(tmp_path / "a.jsonl"),
                _lines(tmp_path / "a.csv"),
            )
            assert lines == whole[0][: len(lines)]
            assert rows == whole[1][: len(rows)]
            assert moment <= len(lines)
            frames = sum(1 for _ in video.Source(str(made)).frames())
            # No line waits in memory for later frames.
            assert 0 <= frames - json.loads(lines[-1])["frame"] <= 2
        with case():
            final_video_demo.main(words)
            again = _lines(tmp_path / "a.jsonl"), _lines(tmp_path / "a.csv")
            assert again == whole


def _kill(words, table, moment, delay):
    """Run the demo; kill it some time after the table has so many lines."""
    process = subprocess.Popen(
        [sys.executable, "-c", DEMO, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    while len(_lines(table)) < moment and process.poll() is None:
        time.sleep(0.002)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)

"""Run folders, checkpoints and networks that are damaged.

What a run writes has checksums, in the zip archives, in the sealed JSON files
or, for ONNX, in labels.json: damage is found, never read as something else.
"""

import argparse
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)

import STL_general_train
from data_preparation import imdb
from samtl import networks
from samtl.cli import command_line
from samtl.common import files, isolation
from samtl.comparison import plan, results
from samtl.data.tasks import POSE, Task
from samtl.faces import detect
from samtl.inference import loading
from samtl.runs import event_log, onnx_export, run_folder
from samtl.training import experiment, state
from tests import quick
from tests.faces import stand_ins
from tests.robustness.trials import REFUSED, attempt, case, damages

TASK = Task("pose", POSE)


@pytest.fixture(scope="module")
def network():
    return quick.build("mini_xception", [TASK])


@pytest.fixture
def run(tmp_path, network, monkeypatch):
    """The folder of a finished run, made by the functions that write it."""
    monkeypatch.setattr(
        onnx_export,
        "_export_onnx",
        lambda network, path: path.write_bytes(b"net"),
    )
    parser = STL_general_train.parser()
    words = ["--dataset=mtfl", "--task_type=pose"]
    args = command_line.parse(parser, words)
    run_folder.write_args(tmp_path, vars(args))
    network.save(tmp_path / "best.keras")
    run_folder.export(network, tmp_path, [TASK])
    return tmp_path


def test_damaged_arguments(run):
    path = run / "args.json"

    def resumed(word=f"--resume={run}"):
        parser = STL_general_train.parser()
        return vars(command_line.parse(parser, [word]))

    whole = resumed()
    content = path.read_bytes()
    for damaged in damages(content, 150):
        path.write_bytes(damaged)
        attempt(resumed, lambda args: args == whole)
    # Without a checksum, as somebody may have edited it.
    saved = json.loads(content)
    del saved["checksum"]
    for name, value in (
        ("epoch", "many"),
        ("epoch", -3),
        ("batch_size", 3.5),
        ("votes", 7),
        ("seed", [1, 2]),
        ("dataset", {}),
    ):
        edited = {**saved["arguments"], name: value}
        path.write_text(json.dumps({**saved, "arguments": edited}))
        assert attempt(resumed) is REFUSED
    for arguments in ([[1, 2]], [], "text", 3, None):
        path.write_text(json.dumps({**saved, "arguments": arguments}))
        for word in (f"--resume={run}", f"--config={path}"):
            assert attempt(lambda word=word: resumed(word)) is REFUSED


def _state(path):
    arrays = {
        f"network/{number:04d}": np.full((3, 4), number, "float32")
        for number in range(6)
    }
    text = json.dumps({"state": {"round": 2}, "rows": [{"loss": 0.5}]})
    np.savez(path, **arrays, json=np.array(text))


def test_damaged_states(tmp_path):
    path = tmp_path / state.FILE
    _state(path)
    current, rows, arrays = state.read(path)

    def is_whole(found):
        assert found[:2] == (current, rows)
        assert found[2].keys() == arrays.keys()
        return all((found[2][k] == arrays[k]).all() for k in arrays)

    for damaged in damages(path.read_bytes(), 300):
        path.write_bytes(damaged)
        attempt(lambda: state.read(path), is_whole)


def test_states_of_another_network(tmp_path, network):
    path = tmp_path / state.FILE
    _state(path)
    arrays = state.read(path)[2]
    learner = SimpleNamespace(
        network=SimpleNamespace(variables=network.variables[:1]),
        optimizer=SimpleNamespace(variables=[]),
        auxiliary_model=None,
        task_weighting=SimpleNamespace(variables=[]),
        consistency=None,
    )
    assert attempt(lambda: state.restore(path, learner, arrays))


def test_damaged_checkpoints(run, network):
    path = run / "best.keras"
    content = path.read_bytes()
    labels = run / "labels.json"
    images = np.random.default_rng(0).uniform(0, 255, (2, *quick.SHAPE))
    whole = loading.load(path).run(images.astype("float32"))["pose"]
    fresh = quick.build("mini_xception", [TASK])
    before = network.get_weights()

    def loaded():
        networks.load_weights(fresh, path)
        return fresh.get_weights()

    def resumed():
        experiment._load_best(fresh, path)
        return fresh.get_weights()

    def is_whole(weights):
        pairs = zip(weights, before, strict=True)
        return all((one == other).all() for one, other in pairs)

    for damaged in damages(content, 60):
        path.write_bytes(damaged)
        attempt(loaded, is_whole)
    for damaged in damages(content, 25, seed=1):
        path.write_bytes(damaged)
        attempt(resumed, is_whole)
        assert attempt(lambda: loading.load(path)) is REFUSED  # by its hash
    saved = json.loads(labels.read_text())
    labels.write_text(json.dumps({k: saved[k] for k in ("tasks", "input")}))
    for damaged in damages(content, 25, seed=2):
        path.write_bytes(damaged)
        attempt(
            lambda: loading.load(path).run(images.astype("float32"))["pose"],
            lambda found: np.allclose(found, whole, atol=1e-5),
        )


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_hdf5(tmp_path, network, suffix):
    """HDF5 has no checksum; what it needs is one beside the file."""
    path = tmp_path / f"net{suffix}"
    save = network.save_weights if suffix == ".weights.h5" else network.save
    save(path)
    fresh = quick.build("mini_xception", [TASK])
    for damaged in damages(path.read_bytes(), 60):
        path.write_bytes(damaged)
        attempt(
            lambda: networks.load_weights(fresh, path),
            lambda summary: all(
                np.isfinite(array).all() for array in fresh.get_weights()
            ),
        )


def test_damaged_label_files(tmp_path):
    labels = tmp_path / "labels.json"
    path = stand_ins.network(tmp_path)
    path.with_suffix(".json").unlink()
    files.write_json(
        labels,
        {
            "tasks": stand_ins.TASKS,
            "input": {"shape": ["batch", 16, 16, 1]},
            "sha256": {path.name: files.sha256(path)},
        },
        is_sealed=True,
    )
    whole = loading._describe(path)
    for damaged in damages(labels.read_bytes(), 150):
        labels.write_bytes(damaged)
        attempt(lambda: loading._describe(path), whole.__eq__)


def test_damaged_onnx_files_are_known_by_their_hash(tmp_path):
    path = stand_ins.network(tmp_path)
    for damaged in damages(path.read_bytes(), 100):
        path.write_bytes(damaged)
        assert attempt(lambda: loading.load(path)) is REFUSED


def test_damaged_onnx_files_of_unknown_hash(tmp_path):
    path = stand_ins.network(tmp_path, sha256={})
    content = path.read_bytes()
    images = np.full((1, 16, 16, 1), 100, np.float32)
    # OpenCV 4.14 crashes on the third.
    for damaged in damages(content, 4, seed=1):
        path.write_bytes(damaged)
        attempt(
            lambda: loading.load(path).run(images),
            lambda found: found.keys() == stand_ins.TASKS.keys(),
        )
    assert attempt(lambda: detect.open(path)) is REFUSED


def test_damaged_mat_files(tmp_path):
    path = tmp_path / "imdb.mat"
    fields = dict.fromkeys(imdb.NUMBERS, np.arange(4.0))
    texts = np.array([f"00/{number}.jpg" for number in range(4)], object)
    fields |= dict.fromkeys(imdb.TEXTS, texts)
    savemat(path, {"imdb": fields})
    # SciPy 1.17 crashes on the second.
    for damaged in damages(path.read_bytes(), 4, seed=83):
        path.write_bytes(damaged)
        attempt(
            lambda: imdb.load(path, "imdb"),
            lambda table: set(table) == {*imdb.NUMBERS, *imdb.TEXTS},
        )


def _compared(folder):
    """The folder of a run as `comparison.results` reads it."""
    scores = {"accuracy": 0.75, "macro_f1": 0.7, "count": 4}
    entry = {"classes": ["happy", "sad"], "validation": scores, "test": scores}
    result = dict.fromkeys(results.COSTS, 1.0)
    result |= {"tasks": {"emotion": entry}}
    result |= {"forgetting": {"emotion": {"drop": 0.1}}}
    files.write_json(folder / "result.json", result, is_sealed=True)
    files.write_json(folder / "args.json", {"commit": None}, True)
    labels = ["happy", "sad", "sad", "sad"]
    pd.DataFrame({"label": labels, "prediction": ["sad", *labels[1:]]}).to_csv(
        folder / "predictions_emotion_test.csv", index=False
    )
    pd.DataFrame([[0, 1], [0, 3]], ["happy", "sad"], ["happy", "sad"]).to_csv(
        folder / "confusion_emotion_test.csv"
    )
    pd.DataFrame({"round": [1, 2], "loss": [0.5, 0.25]}).to_csv(
        folder / "metrics.csv", index=False
    )


def test_damaged_results(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    _compared(folder)
    run = plan.Run(
        *("p", "naive", "naive", 0, ("emotion",), Path("run"), "none", ()),
        argparse.Namespace(),
    )

    def read():
        results.write_tables([run], tmp_path)
        return (tmp_path / "results.csv").read_text()

    whole = read()
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        # Labels of tables and rounds of curves have no checksum.
        is_sealed = path.suffix == ".json"
        for damaged in damages(content, 80):
            path.write_bytes(damaged)
            attempt(
                read,
                lambda text, is_sealed=is_sealed: (
                    text == whole
                    if is_sealed
                    else text.splitlines()[0] == whole.splitlines()[0]
                ),
            )
        path.write_bytes(content)
    assert read() == whole


def test_readers_that_crash_or_hang():
    """As compiled ones do on some damaged files."""
    for function, *arguments in ((os._exit, 1), (os.abort,), (time.sleep, 9)):
        with case(), pytest.raises(ChildProcessError, match="reading it"):
            isolation.call(function, *arguments, seconds=3)
    with case(), pytest.raises(ZeroDivisionError):
        isolation.call(divmod, 1, 0, seconds=60)
    with case():
        assert isolation.call(divmod, 7, 2, seconds=60) == (3, 1)


def test_damaged_logs(tmp_path):
    rows = [{"round": number, "loss": 1 / number} for number in (1, 2, 3)]
    event_log.EventLog(tmp_path).write(rows[:2])
    (path,) = tmp_path.iterdir()
    for damaged in damages(path.read_bytes(), 60):
        path.write_bytes(damaged)
        with case():
            event_log.EventLog(tmp_path).write(rows)
            events = EventAccumulator(str(tmp_path)).Reload()
            found = events.Scalars("training/loss")
            assert [event.step for event in found] == [1, 2, 3]
        for later in tmp_path.glob("*.0002"):
            later.unlink()

import json
import subprocess
import sys

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)

from samtl import networks
from samtl.common.errors import UserError
from samtl.data.tasks import GENDER, POSE, Task
from samtl.evaluation import scoring
from samtl.runs import run_folder

TASKS = [Task("pose", POSE), Task("gender", GENDER)]


def test_create_names_the_folder(tmp_path):
    run = run_folder.create(tmp_path, "ALTERNATIVE_EP", ["a", "b"], "hard", 3)
    assert run.is_dir()
    assert run.parent == tmp_path / "ALTERNATIVE_EP" / "a+b"
    moment, _, rest = run.name.partition("-hard-")
    assert rest == "seed3"
    assert len(moment) == len("20200101-000000")


def test_runs_of_the_same_second_have_folders_of_their_own(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(run_folder.time, "strftime", lambda _: "now")
    found = [run_folder.create(tmp_path, "s", ["a"], "m", 0) for _ in range(3)]
    assert [run.name for run in found] == [
        "now-m-seed0",
        "now-m-seed0-2",
        "now-m-seed0-3",
    ]


def test_create_takes_an_empty_folder_as_given(tmp_path):
    run = tmp_path / "mine"
    run.mkdir()
    assert (
        run_folder.create(tmp_path, "s", ["a"], "m", 0, run_dir=str(run)) == run
    )


def test_create_refuses_a_folder_in_use(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(UserError, match=r"not empty.*--resume"):
        run_folder.create("runs", "s", ["a"], "m", 0, run_dir=tmp_path)
    assert (tmp_path / "result.json").read_text() == "{}"


def test_create_refuses_an_impossible_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for run_dir in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserError, match="--run_dir"):
            run_folder.create("runs", "s", ["a"], "m", 0, run_dir=run_dir)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for root in (tmp_path / "file", tmp_path / "link"):
        with pytest.raises(UserError, match="--runs"):
            run_folder.create(root, "s", ["a"], "m", 0)


def test_args_come_back(tmp_path):
    args = {"epoch": 3, "data_dir": tmp_path, "weights": None, "flag": True}
    run_folder.write_args(tmp_path, args)
    assert run_folder.read_args(tmp_path) == args | {"data_dir": str(tmp_path)}
    saved = json.loads((tmp_path / "args.json").read_text())
    assert saved["backend"] == keras.backend.backend()
    assert saved["versions"]["keras"] == keras.__version__
    assert saved["versions"]["numpy"] == np.__version__
    assert saved["versions"][saved["backend"]]


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_a_folder_without_args_is_no_run(tmp_path, text):
    if text is not None:
        (tmp_path / "args.json").write_text(text)
    with pytest.raises(UserError, match="not the folder of a run"):
        run_folder.read_args(tmp_path)


def test_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, "REPOSITORY", tmp_path)
    assert run_folder._commit() is None

    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        return subprocess.run(
            ["git", *identity, *words],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    git("init")
    assert run_folder._commit() is None  # nothing committed yet
    git("commit", "--allow-empty", "-m", "start")
    head = git("rev-parse", "HEAD")
    assert run_folder._commit() == {"id": head, "dirty": False}
    (tmp_path / "new.py").write_text("")
    assert run_folder._commit() == {"id": head, "dirty": True}


def metrics(count):
    return [
        {
            "round": number,
            "dataset": "ep"[number % 2],
            "loss": 1 / number,
            "validation_pose_accuracy": number / 100,
            **({"pseudo_pose_accuracy": 0.5} if number % 2 else {}),
        }
        for number in range(1, count + 1)
    ]


def logged(run, tag):
    events = EventAccumulator(str(run)).Reload().Scalars(tag)
    return [(event.step, event.value) for event in events]


def test_metrics_and_log_hold_every_round_once(tmp_path):
    for count in (1, 2, 2, 4):  # round 2 is written again after a resume
        run_folder.write_metrics(tmp_path, metrics(count))
    frame = pd.read_csv(tmp_path / "metrics.csv")
    assert frame["round"].tolist() == [1, 2, 3, 4]
    assert frame["loss"].tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert frame["pseudo_pose_accuracy"].isna().tolist() == [False, True] * 2
    found = logged(tmp_path, "validation/pose_accuracy")
    assert [step for step, _ in found] == [1, 2, 3, 4]
    assert [value for _, value in found] == pytest.approx(
        [0.01, 0.02, 0.03, 0.04]
    )
    assert [step for step, _ in logged(tmp_path, "pseudo/pose_accuracy")] == [
        1,
        3,
    ]
    assert len(logged(tmp_path, "training/loss")) == 4


@pytest.mark.parametrize("lost", [1, 9, 40])
def test_a_record_cut_off_by_a_kill_is_written_anew(tmp_path, lost):
    run_folder.write_metrics(tmp_path, metrics(2))
    (log,) = tmp_path.glob("events.out.tfevents*")
    log.write_bytes(log.read_bytes()[:-lost])
    run_folder.write_metrics(tmp_path, metrics(3))
    assert [step for step, _ in logged(tmp_path, "training/loss")] == [1, 2, 3]


def test_reading_and_logging_load_no_backend(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from samtl.runs import run_folder\n"
        "run_folder.write_metrics(Path(sys.argv[1]), [{'round': 1, 'loss': 0.5}])\n"
        "assert not {'tensorflow', 'jax', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)


@pytest.fixture
def result():
    scores = {
        split: scoring.scores([0, 0, 1], np.eye(2)[[0, 1, 1]])
        for split in run_folder.SPLITS
    }
    return {"seconds": 1.5, "tasks": {"gender": {"classes": GENDER, **scores}}}


def test_result_files(tmp_path, result):
    run_folder.write_result(tmp_path, result)
    saved = json.loads((tmp_path / "result.json").read_text())
    assert saved["seconds"] == 1.5
    test = saved["tasks"]["gender"]["test"]
    assert test["accuracy"] == pytest.approx(2 / 3)
    assert test["balanced_accuracy"] == pytest.approx(3 / 4)
    frame = pd.read_csv(tmp_path / "confusion_gender_test.csv", index_col=0)
    assert frame.columns.tolist() == frame.index.tolist() == list(GENDER)
    np.testing.assert_array_equal(frame, [[1, 1], [0, 1]])
    assert cv2.imread(str(tmp_path / "confusion_gender_validation.png")).size
    assert "confusion" in result["tasks"]["gender"]["test"]  # left as it was


def test_predictions_name_the_classes(tmp_path):
    frame = pd.DataFrame(
        {
            "dataset": "faces",
            "path": ["a.png", "b.png"],
            "label": [1, 0],
            "woman": [0.25, 0.75],
            "man": [0.75, 0.25],
        }
    )
    run_folder.write_predictions(tmp_path, "test", {"gender": frame})
    text = (tmp_path / "predictions_gender_test.csv").read_text()
    assert text.splitlines() == [
        "dataset,path,label,prediction,woman,man",
        "faces,a.png,man,man,0.25,0.75",
        "faces,b.png,woman,woman,0.75,0.25",
    ]


def test_printed_results(capsys, result):
    run_folder.print_results(result)
    text = capsys.readouterr().out
    assert "66.7" in text
    assert "75.0" in text
    assert "1-off" not in text
    assert "forgotten" not in text


def test_printed_results_with_age_and_forgetting(capsys, result):
    scores = scoring.scores([0, 2], np.eye(3)[[1, 0]], ordered=True)
    entry = {"classes": "abc", "validation": scores, "test": scores}
    result["tasks"]["age"] = entry
    result["forgetting"] = {
        "gender": {"own": None, "others": None, "drop": None},
        "age": {
            "own": {"mean": 0.612, "best": 0.7},
            "others": {"mean": 0.5, "best": 0.6},
            "drop": 0.123,
        },
    }
    run_folder.print_results(result)
    text = capsys.readouterr().out
    assert "1-off" in text
    assert "50.0" in text
    forgotten = text[text.index("forgotten") :]
    assert "61.2" in forgotten
    assert "12.3" in forgotten
    assert "gender" not in forgotten


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    return networks.build("mini_xception", TASKS, precision="bfloat16")


needs_converter = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf2onnx reads TensorFlow"
)


@needs_converter
def test_exported_network_predicts_the_same_in_opencv(tmp_path, network, capfd):
    run_folder.export(network, tmp_path, TASKS)
    assert capfd.readouterr().err == ""
    labels = json.loads((tmp_path / "labels.json").read_text())
    assert labels["tasks"] == {"pose": list(POSE), "gender": list(GENDER)}
    assert labels["input"]["shape"] == ["batch", 64, 64, 1]
    reader = cv2.dnn.readNetFromONNX(str(tmp_path / "best.onnx"))
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 1))
    images = images.astype("float32")
    reader.setInput(images)
    outputs = reader.forward(list(labels["tasks"]))
    found = dict(zip(labels["tasks"], outputs, strict=True))
    logits = network.predict(images, verbose=0)["logits"]
    for task, probabilities in found.items():
        expected = np.exp(logits[task]) / np.exp(logits[task]).sum()
        # bfloat16 keeps 8 bits.
        np.testing.assert_allclose(probabilities, expected, atol=0.01)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_export_nothing(
    tmp_path, network, capsys, monkeypatch, backend
):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    run_folder.export(network, tmp_path, TASKS)
    assert (
        f"not written (the backend is {backend}); " in capsys.readouterr().err
    )
    assert [path.name for path in tmp_path.iterdir()] == ["labels.json"]


def test_failed_export_is_one_warning(tmp_path, network, capsys, monkeypatch):
    def missing(*_):
        raise ImportError("tf2onnx requires the package\ntf2onnx")

    monkeypatch.setattr(run_folder, "_export_onnx", missing)
    run_folder.export(network, tmp_path, TASKS)
    warning = capsys.readouterr().err
    assert warning.startswith("warning: best.onnx was not written (tf2onnx")
    assert warning.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["labels.json"]

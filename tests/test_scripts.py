"""The training scripts as a user runs them, on tiny datasets."""

import errno
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pandas as pd
import pytest

import ALTERNATIVE_EA
import ALTERNATIVE_EGA
import ALTERNATIVE_EP
import ALTERNATIVE_EPGA
import CONFUSION_EP_multitask
import CONFUSION_EP_multitask_manifold
import STL_general_train
from samtl.common import files
from samtl.common.errors import UserError, run_script
from samtl.faces import detect
from samtl.release import publish
from samtl.runs import run_folder
from tests import quick, tiny

METHODS = {
    "naive": ["--is_naive=True"],
    "dml-lwf": ["--is_distilled=True", "--distill_t=1"],
    "distilled": ["--is_distilled=True"],
    "sa-mtl-hard": [],
    "sa-mtl-interpolation": ["--is_interpolation=True"],
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    tiny.dataset(folder, "ferplus", [tiny.FERPLUS_EMOTION], (40, 16, 16))
    tiny.dataset(folder, "mtfl", ["pose", "gender"], (30, 10, 10), seed=1)
    tiny.dataset(folder, "utkface", ["gender", "age"], (24, 8, 8), seed=2)
    table = folder / "db" / "utkface.csv"
    rows = pd.read_csv(table)
    rows.assign(age_years=10 * rows["age"] + 1).to_csv(table, index=False)
    return folder


def _alternate(data_dir, run, *flags):
    ALTERNATIVE_EP.main(
        [
            "--dataset_emotion=Fer+",
            "--dataset_pose=MTFL",
            f"--data_dir={data_dir}",
            f"--run_dir={run}",
            "--epoch=2",
            "--is_augmentation=True",
            *flags,
        ]
    )
    return json.loads((run / "result.json").read_text())


@pytest.mark.parametrize("method", METHODS)
def test_every_alternating_method_leaves_a_whole_run(
    data_dir, tmp_path, capsys, monkeypatch, method
):
    quick.shrink(monkeypatch)
    run = tmp_path / "run"
    result = _alternate(data_dir, run, *METHODS[method])
    assert capsys.readouterr().out.splitlines()[-1] == str(run)
    assert list(result["tasks"]) == ["emotion", "pose"]
    for task in result["tasks"].values():
        for split in ("validation", "test"):
            for name in ("accuracy", "macro_f1", "balanced_accuracy"):
                assert 0 <= task[split][name] <= 1
    for name in ("args.json", "labels.json", "best.keras", "metrics.csv"):
        assert (run / name).exists()
    metrics = pd.read_csv(run / "metrics.csv")
    assert metrics["dataset"].tolist() == ["ferplus", "mtfl"]
    assert result["trained_images"] == 40 + 30
    expected = {"naive": 0, "dml-lwf": 70, "distilled": 70}  # of the teacher
    predicted = result["predicted_images"]
    assert predicted == expected.get(method, predicted)
    if method.startswith("sa-mtl"):
        weights = pd.read_csv(run / "weights_round2.csv")
        assert len(weights) == 30
        assert weights["weight"].between(0, 1).all()
        assert set(weights["task"]) == {"emotion"}


@pytest.mark.parametrize(
    ("script", "tasks"),
    [
        (ALTERNATIVE_EA, ["emotion", "age"]),
        (ALTERNATIVE_EGA, ["emotion", "gender", "age"]),
    ],
)
def test_emotion_with_the_labels_of_utkface(
    data_dir, tmp_path, monkeypatch, script, tasks
):
    quick.shrink(monkeypatch)
    run = tmp_path / "run"
    script.main(
        [
            "--dataset_emotion=ferplus",
            "--dataset_age=utkface",
            f"--data_dir={data_dir}",
            f"--run_dir={run}",
            "--epoch=2",
        ]
    )
    result = json.loads((run / "result.json").read_text())
    assert list(result["tasks"]) == tasks


def test_four_tasks_with_withheld_labels_for_the_diagnostics(
    data_dir, tmp_path, monkeypatch
):
    quick.leave_out_pictures(monkeypatch)
    run = tmp_path / "run"
    ALTERNATIVE_EPGA.main(
        [
            "--dataset_emotion=ferplus",
            "--dataset_pose=mtfl",
            "--dataset_gender=utkface",
            "--labels",
            "mtfl:pose",
            f"--data_dir={data_dir}",
            f"--run_dir={run}",
            "--epoch=3",
        ]
    )
    result = json.loads((run / "result.json").read_text())
    assert list(result["tasks"]) == ["emotion", "pose", "gender", "age"]
    assert result["tasks"]["gender"]["test"]["count"] == 8  # UTKFace's alone
    metrics = pd.read_csv(run / "metrics.csv").set_index("dataset")
    assert metrics.index.tolist() == ["ferplus", "mtfl", "utkface"]
    weights = pd.read_csv(run / "weights_round2.csv")
    gender = weights[weights["task"] == "gender"]
    is_right = gender["pseudo_label"] == gender["truth"]
    accuracy = metrics.loc["mtfl", "pseudo_gender_accuracy"]
    assert accuracy == pytest.approx(is_right.mean())
    # Without a network, and as fast where there is none.
    monkeypatch.setattr(detect, "open", lambda *_, **__: lambda pixels: [])
    _check_release(run, data_dir, tmp_path / "weights")
    _check_refused_releases(run, data_dir, tmp_path / "weights", monkeypatch)


def _check_release(run, data_dir, out):
    publish.main([f"{run}", f"--data_dir={data_dir}", f"--out={out}"])
    facts = json.loads((out / "four_tasks.json").read_text())
    assert list(facts["temperatures"]) == list(facts["tasks"])
    for name, digest in facts["sha256"].items():
        content = (out / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
    assert facts["agreement"]["images"] == 16 + 10 + 8
    assert facts["agreement"]["largest_difference"] < 1e-4
    assert facts["age_years"] == [1, 11, 21, 31, 41, 51, 61, 71]
    # Hidden labels, MTFL's gender, make groups too.
    text = (out / "figures.md").read_text()
    assert text.count("| gender: female | 5 |") == 1
    assert text.count("| gender: female | 4 |") == 1
    text = (out / "MODEL_CARD.md").read_text()
    assert all(digest in text for digest in facts["sha256"].values())
    assert "expected age" in text
    assert "portrait: no face found" in text


def _check_refused_releases(run, data_dir, out, monkeypatch):
    """None of them changes what is there."""
    # Not what a release of the same run would write again.
    for path in out.iterdir():
        path.write_bytes(b"old")
    before = {path: path.read_bytes() for path in out.iterdir()}
    words = [f"{run}", f"--data_dir={data_dir}", f"--out={out}"]
    with pytest.raises(UserError, match="onnx; give --overwrite"):
        publish.main(words)
    words.append("--overwrite")
    table = data_dir / "db" / "mtfl.csv"
    content = table.read_bytes()
    table.write_bytes(content.replace(b"validation", b"test"))
    with pytest.raises(UserError, match=r"mtfl.csv has changed since .*run b"):
        publish.main(words)
    table.write_bytes(content)

    def fail(_):
        raise UserError("no such detector")

    monkeypatch.setattr(detect, "open", fail)
    with pytest.raises(UserError, match="no such detector"):
        publish.main(words)
    monkeypatch.undo()
    copy = shutil.copyfile

    def fill(source, target):
        if target.parent == out and target.suffix == ".json":
            raise OSError(errno.ENOSPC, "No space left on device")
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", fill)
    monkeypatch.setattr(detect, "open", lambda *_, **__: lambda pixels: [])
    with pytest.raises(UserError, match=r"cannot write .*json: No space left"):
        publish.main(words)
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    for path in before:
        if path.name != "MODEL_CARD.md":
            path.unlink()
    with pytest.raises(UserError, match="give --overwrite"):
        publish.main(words[:-1])


@pytest.mark.parametrize(
    ("script", "flags"),
    [
        (CONFUSION_EP_multitask, ["--is_MRF"]),
        (CONFUSION_EP_multitask, ["--is_matching"]),
        (CONFUSION_EP_multitask_manifold, []),
    ],
)
def test_joint_training_of_other_tasks(
    data_dir, tmp_path, monkeypatch, script, flags
):
    quick.shrink(monkeypatch)
    run = tmp_path / "run"
    script.main(
        [
            "--dataset_emotion=ferplus",
            "--dataset_gender=utkface",
            "--dataset_age=utkface",
            f"--data_dir={data_dir}",
            f"--run_dir={run}",
            "--epoch=1",
            "--bn_statistics=running",
            *flags,
        ]
    )
    result = json.loads((run / "result.json").read_text())
    assert list(result["tasks"]) == ["emotion", "gender", "age"]


def test_a_run_is_the_teacher_of_another(
    data_dir, tmp_path, monkeypatch, capsys
):
    quick.shrink(monkeypatch)
    pair = ["--dataset_emotion=ferplus", "--dataset_pose=mtfl", "--epoch=2"]
    pair += [f"--data_dir={data_dir}", "--is_augmentation"]
    first, second = tmp_path / "first", tmp_path / "second"
    CONFUSION_EP_multitask.main([*pair, "--is_naive", f"--run_dir={first}"])
    CONFUSION_EP_multitask.main(
        [
            *pair,
            "--is_distilled",
            f"--teacher={first / 'best.keras'}",
            "--teacher_share=0.5",
            f"--run_dir={second}",
        ]
    )
    assert "teacher-distilled on ferplus and mtfl" in capsys.readouterr().out
    kept = (data_dir / "cache").glob("*-teacher-*.npz")
    assert sorted(path.name[:4] for path in kept) == ["ferp", "mtfl"]
    metrics = pd.read_csv(second / "metrics.csv")
    assert (metrics["pose_pseudo_loss"] > 0).all()
    (origin,) = run_folder.read_args(second)["teachers"].values()
    assert origin["sha256"] == files.sha256(first / "best.keras")


def test_single_task_learning(data_dir, tmp_path, monkeypatch):
    quick.shrink(monkeypatch)
    run = tmp_path / "run"
    STL_general_train.main(
        [
            "--dataset=mtfl",
            "--task_type=10",
            f"--data_dir={data_dir}",
            f"--run_dir={run}",
            "--epoch=1",
            "--class_weights=balanced",
        ]
    )
    result = json.loads((run / "result.json").read_text())
    assert list(result["tasks"]) == ["pose"]


def test_a_killed_run_resumes_to_the_same_weights(
    data_dir, tmp_path, monkeypatch
):
    quick.shrink(monkeypatch)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    _alternate(data_dir, whole, "--epoch=6")
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib, pytest, tests.test_scripts as t;"
            "t.quick.shrink(pytest.MonkeyPatch());"
            "t._alternate(*map(pathlib.Path, sys.argv[1:3]), '--epoch=6')",
            data_dir,
            killed,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    metrics = killed / "metrics.csv"
    while process.poll() is None:
        if metrics.exists() and len(pd.read_csv(metrics)) >= 1:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "result.json").exists(), "killed too late"
    ALTERNATIVE_EP.main([f"--resume={killed}"])
    networks = [
        keras.saving.load_model(r / "best.keras") for r in (whole, killed)
    ]
    for one, other in zip(*(n.weights for n in networks), strict=True):
        np.testing.assert_array_equal(one, other)
    rows, again = pd.read_csv(whole / "metrics.csv"), pd.read_csv(metrics)
    assert again["round"].tolist() == list(range(1, 7))
    # The best network may be an early one; the losses tell of all rounds.
    assert again["loss"].tolist() == rows["loss"].tolist()
    with pytest.raises(UserError, match="is finished"):
        ALTERNATIVE_EP.main([f"--resume={killed}"])


@pytest.mark.parametrize("flags", [[], ["--batch_size", "ferplus:8", "mtfl:6"]])
def test_the_command_of_args_json_repeats_the_run(
    data_dir, tmp_path, monkeypatch, flags
):
    quick.shrink(monkeypatch)
    run, again = tmp_path / "a run", tmp_path / "again"
    _alternate(data_dir, run, *flags)
    saved = json.loads((run / "args.json").read_text())
    python, script, *words = shlex.split(saved["repeated_by"])
    assert (python, script) == ("python", "ALTERNATIVE_EP.py")
    ALTERNATIVE_EP.main([*words, f"--run_dir={again}"])
    one, other = (pd.read_csv(r / "metrics.csv")["loss"] for r in (run, again))
    assert one.tolist() == other.tolist()


def test_jax_runs_a_round(data_dir, tmp_path):
    pytest.importorskip("jax")
    subprocess.run(
        [
            sys.executable,
            "ALTERNATIVE_EP.py",
            "--dataset_emotion=ferplus",
            "--dataset_pose=mtfl",
            f"--data_dir={data_dir}",
            f"--run_dir={tmp_path / 'run'}",
            "--epoch=1",
            "--is_augmentation=True",
        ],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "XLA_FLAGS": "--xla_backend_optimization_level=0",  # compiles fast
        },
        check=True,
    )
    assert (tmp_path / "run" / "result.json").exists()


def test_torch_runs_a_round_of_every_family(data_dir, tmp_path):
    pytest.importorskip("torch")
    pair = "--dataset_emotion=ferplus --dataset_pose=mtfl --ltn_warmup=0"
    no_weights = (
        "--is_pseudo_confidence=False --is_pseudo_density=False "
        "--is_pseudo_distribution=False"
    )
    commands = [
        "STL_general_train --dataset=mtfl --task_type=pose",
        "ALTERNATIVE_EP --dataset_emotion=ferplus --dataset_pose=mtfl "
        "--is_augmentation=True --ema_momentum=0.5",
        f"CONFUSION_EP_multitask {pair}",
        f"CONFUSION_EP_multitask {pair} {no_weights}",
        f"CONFUSION_EP_multitask {pair} --is_MRF=True",
        "CONFUSION_EP_multitask_manifold --dataset_emotion=ferplus "
        "--dataset_pose=mtfl",
    ]
    folders = [tmp_path / str(number) for number in range(len(commands))]
    places = f"--data_dir={data_dir} --epoch=1"
    subprocess.run(
        [sys.executable, "-m", "tests.torch_alone"]
        + [
            f"{command} {places} --run_dir={folder}"
            for command, folder in zip(commands, folders, strict=True)
        ],
        check=True,
    )
    assert all((folder / "result.json").exists() for folder in folders)


def _refused(data_dir, *flags):
    with pytest.raises(UserError) as caught:
        ALTERNATIVE_EP.main(
            [
                "--dataset_emotion=ferplus",
                "--dataset_pose=mtfl",
                f"--data_dir={data_dir}",
                *flags,
            ]
        )
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_bad_flags_are_refused(data_dir, tmp_path):
    assert "batch_size" in _refused(data_dir, "--batch_size=0")
    assert "selection_threshold" in _refused(
        data_dir, "--selection_threshold=1.5"
    )
    assert "elsewhere" in _refused(data_dir, "--dataset_pose=elsewhere")
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("keep")
    assert str(full) in _refused(data_dir, f"--run_dir={full}")
    assert (full / "mine.txt").read_text() == "keep"
    blocked = tmp_path / "file"
    blocked.touch()
    assert str(blocked) in _refused(data_dir, f"--run_dir={blocked}/run")


def test_bad_data_is_refused_before_a_run_starts(tmp_path):
    tiny.dataset(tmp_path, "ferplus", [tiny.FERPLUS_EMOTION], (40, 16, 16))
    tiny.dataset(tmp_path, "mtfl", ["pose"], (30, 10, 10))
    image = tmp_path / "db" / "mtfl" / "train3.png"
    whole = image.read_bytes()
    runs = f"--runs={tmp_path / 'runs'}"
    image.write_bytes(whole[:-30])
    assert "train3.png" in _refused(tmp_path, runs)
    image.unlink()
    assert "train3.png" in _refused(tmp_path, runs)
    image.write_bytes(whole)
    csv = tmp_path / "db" / "mtfl.csv"
    text = csv.read_text()
    csv.write_text(text.replace("train,0", "train,9", 1))
    assert "mtfl.csv, row" in _refused(tmp_path, runs)
    csv.unlink()
    assert "mtfl" in _refused(tmp_path, runs)
    assert not (tmp_path / "runs").exists()


def test_an_error_is_one_line_and_exit_code_2(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ALTERNATIVE_EP.py", "--batch_size=0"])
    with pytest.raises(SystemExit) as caught:
        run_script(ALTERNATIVE_EP.main)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1

"""Trained networks as teachers: a network with known predictions."""

import os

import numpy as np
import onnx
import pytest
from scipy.special import softmax

from samtl import pseudo_labels
from samtl.common.errors import UserError
from samtl.data import images
from samtl.data.tasks import GENDER, Task
from samtl.runs import run_folder
from tests import tiny
from tests.faces import stand_ins
from utils.confusion import distillation

EMOTION, POSE = (Task(n, tuple(c)) for n, c in stand_ins.TASKS.items())
ONLY = {"tasks": {"emotion": stand_ins.TASKS["emotion"]}}


@pytest.fixture(params=[(16, 16, 1), (24, 24, 3)])
def split(request, tmp_path):
    """Nine images, in the teacher's pixels and in others."""
    table = tiny.dataset(tmp_path, "faces", [EMOTION], (9, 1, 1))
    return images.open_splits(table, request.param)["train"]


def expected(split, task, temperature=1.0):
    """The stand-in's predictions for a Split, by its definition."""
    means = [
        images.read(path, (16, 16, 1)).mean() / 255
        for path in split.table.paths
    ]
    slope, offset = stand_ins.weights(task.name)
    logits = np.outer(means, slope) + offset
    if task is POSE:  # the mirror image has left and right swapped
        logits = (logits + logits[:, ::-1]) / 2
    return softmax(logits / temperature, axis=1)


def test_predictions_are_the_networks_own(tmp_path, split):
    teachers = distillation.load([stand_ins.network(tmp_path)], [POSE])
    found = distillation.predictions(teachers, split, [EMOTION, POSE])
    for task in (EMOTION, POSE):
        np.testing.assert_allclose(
            found[task], expected(split, task), rtol=1e-4
        )
        assert found[task].dtype == np.float32


def test_several_teachers_are_averaged_for_their_tasks(tmp_path, split):
    paths = []
    for name, changes in (("whole", {}), ("only", ONLY)):
        (tmp_path / name).mkdir()
        temperatures = {"emotion": 1 + 4 * (name == "only")}
        paths.append(
            stand_ins.network(
                tmp_path / name, temperatures=temperatures, **changes
            )
        )
    teachers = distillation.load(paths, [EMOTION, POSE])
    found = distillation.predictions(teachers, split, [EMOTION, POSE])
    both = (expected(split, EMOTION) + expected(split, EMOTION, 5)) / 2
    np.testing.assert_allclose(found[EMOTION], both, rtol=1e-4)
    np.testing.assert_allclose(found[POSE], expected(split, POSE), rtol=1e-4)


def test_predictions_are_cached_as_long_as_nothing_changes(
    tmp_path, split, monkeypatch
):
    monkeypatch.setattr(distillation, "BATCH_PIXELS", 5 * 16 * 16)
    calls = []
    probabilities = distillation.Predictor.probabilities
    monkeypatch.setattr(
        distillation.Predictor,
        "probabilities",
        lambda self, crops: (
            calls.append(len(crops)) or probabilities(self, crops)
        ),
    )
    path = stand_ins.network(tmp_path)

    def predicted():
        teachers = distillation.load([path], [EMOTION])
        return distillation.predictions(teachers, split, [EMOTION])[EMOTION]

    first = predicted()
    np.testing.assert_allclose(first, expected(split, EMOTION), rtol=1e-4)
    np.testing.assert_array_equal(predicted(), first)
    assert calls == [5, 4]
    (cached,) = (tmp_path / "cache").glob("faces-teacher-*.npz")
    cached.write_bytes(cached.read_bytes()[:200])
    np.testing.assert_array_equal(predicted(), first)
    assert calls == 2 * [5, 4]
    stand_ins.network(tmp_path, temperatures={"emotion": 3})
    assert np.abs(predicted() - first).max() > 0.01
    assert calls == 3 * [5, 4]
    model = onnx.load(path)
    model.doc_string = "another file"
    onnx.save(model, path)
    (tmp_path / "net.json").write_text(
        (tmp_path / "net.json").read_text().replace('"sha256"', '"old"')
    )
    predicted()
    assert calls == 4 * [5, 4]
    os.utime(next(iter(split.table.paths)), (0, 0))
    predicted()
    assert calls == 5 * [5, 4]


def test_predictions_that_cannot_be_cached_are_used(tmp_path, split, capsys):
    teachers = distillation.load([stand_ins.network(tmp_path)], [EMOTION])
    if os.geteuid():
        (tmp_path / "cache").chmod(0o500)
    else:  # root may write anywhere
        (tmp_path / "cache").rename(tmp_path / "moved")
        (tmp_path / "cache").touch()
    found = distillation.predictions(teachers, split, [EMOTION])[EMOTION]
    np.testing.assert_allclose(found, expected(split, EMOTION), rtol=1e-4)
    assert "not kept for other runs" in capsys.readouterr().err


def test_predictions_that_are_not_finite_are_refused(
    tmp_path, split, monkeypatch
):
    teachers = distillation.load([stand_ins.network(tmp_path)], [EMOTION])
    monkeypatch.setattr(
        distillation.Predictor,
        "probabilities",
        lambda teacher, crops: {
            task: np.full((len(crops), len(classes)), np.nan)
            for task, classes in teacher.tasks.items()
        },
    )
    with pytest.raises(UserError, match="its training diverged"):
        distillation.predictions(teachers, split, [EMOTION])


@pytest.mark.parametrize("name", ["", "gone.onnx", "folder", "text.keras"])
def test_other_files_than_networks_are_refused_as_teachers(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.keras").write_text("no network")
    path = tmp_path / name if name else ""
    with pytest.raises(UserError, match=r"give best\.keras or best") as e:
        distillation.load([path], [EMOTION])
    assert "--weights" not in str(e.value)


def test_a_run_goes_on_with_the_teacher_it_began_with(tmp_path):
    path = stand_ins.network(tmp_path)
    run = tmp_path / "run"
    run.mkdir()
    known = {str(path): run_folder.origin(path)}
    run_folder.write_args(run, {"teachers": known})
    distillation.load([str(path)], [EMOTION], run)
    known[str(path)]["sha256"] = "0"
    run_folder.write_args(run, {"teachers": known})
    with pytest.raises(UserError, match=r"net\.onnx has changed since"):
        distillation.load([str(path)], [EMOTION], run)


@pytest.mark.parametrize(
    ("changes", "task", "message"),
    [
        ({}, Task("gender", GENDER), "no --teacher knows gender"),
        (ONLY, POSE, "no --teacher knows pose"),
        (
            {},
            Task("emotion", ("happy", "sad", "angry")),
            r"net\.onnx knows other classes of emotion \(happy, sad, neutral\)",
        ),
    ],
)
def test_teachers_of_other_tasks_or_classes_are_refused(
    tmp_path, changes, task, message
):
    path = stand_ins.network(tmp_path, **changes)
    with pytest.raises(UserError, match=message):
        distillation.load([path], [task])


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_triples(share):
    p = {
        EMOTION: np.array([[0.5, 0.3, 0.2], [0, 1, 0]], "float32"),
        POSE: np.array([[0.2] * 5, [0.1, 0.2, 0.4, 0.2, 0.1]], "float32"),
    }
    true = pseudo_labels.Triples(
        np.array([[1, 0, 0], [0, 0.6, 0.4]], "float32"),
        np.array([0.5, 2], "float32"),
        np.ones(2, "float32"),
        labelled=np.ones(2, bool),
    )
    (filled,) = distillation.fill([p], [{EMOTION: true}], 2.0, share)
    soft = {task: np.sqrt(values) for task, values in p.items()}  # T = 2
    for values in soft.values():
        values /= values.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(filled[POSE].target, soft[POSE], rtol=1e-5)
    assert filled[POSE].weight.tolist() == [1, 1]
    assert filled[POSE].temperature.tolist() == [2, 2]
    blend = (1 - share) * true.target + share * soft[EMOTION]
    np.testing.assert_allclose(filled[EMOTION].target, blend, atol=1e-5)
    assert filled[EMOTION].weight.tolist() == [0.5, 2]
    assert filled[EMOTION].temperature.tolist() == [1, 1]
    assert filled[EMOTION].target.dtype == np.float32

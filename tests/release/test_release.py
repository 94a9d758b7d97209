"""The shipped files, and the check that a release makes of a run's two."""

import json
import shutil
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from data_preparation import synthetic
from samtl.common import files, shipped
from samtl.common.errors import UserError
from samtl.inference import loading
from samtl.release import publish

FACES = 125


class Synthetic:
    """Stands in for a split: synthetic faces in eight variants."""

    def __init__(self):
        self._images = []
        for number in range(FACES):
            face, _ = synthetic.draw_face(
                "synthetic_emotion", "test", number, 64, 0
            )
            gray = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[..., None]
            plain = [gray, gray // 2, 255 - gray, np.roll(gray, 8, axis=0)]
            self._images += [*plain, *(image[:, ::-1] for image in plain)]

    def __len__(self):
        return len(self._images)

    def images(self, rows):
        return np.stack([self._images[row] for row in rows])


def test_the_shipped_networks_agree_on_a_thousand_synthetic_faces(tmp_path):
    for kind in publish.KINDS:
        source = shipped.WEIGHTS / f"{publish.NAME}.{kind}"
        shutil.copyfile(source, tmp_path / f"best.{kind}")
    source = shipped.WEIGHTS / f"{publish.NAME}.json"
    shutil.copyfile(source, tmp_path / "labels.json")
    found = publish.agree(tmp_path, [Synthetic()])
    assert found["images"] == 1000
    assert found["largest_difference"] <= 1e-4


def test_the_shipped_description_fits_the_files():
    text = (shipped.WEIGHTS / f"{publish.NAME}.json").read_text()
    facts = json.loads(text)
    assert set(facts["sha256"]) == {
        f"{publish.NAME}.{kind}" for kind in publish.KINDS
    }
    card = (shipped.WEIGHTS / "MODEL_CARD.md").read_text()
    for name, digest in facts["sha256"].items():
        assert files.sha256(shipped.WEIGHTS / name) == digest
        assert digest in card
    assert facts["agreement"]["images"] == 1000
    assert facts["agreement"]["largest_difference"] <= 1e-4
    assert (shipped.WEIGHTS / f"{publish.NAME}.onnx").stat().st_size < 3e6
    assert set(loading.load().temperatures) == set(facts["tasks"])


@pytest.mark.parametrize(
    ("tasks", "name"),
    [
        (["emotion", "pose", "gender", "age"], "four_tasks"),
        (["age", "gender", "emotion", "pose"], "four_tasks"),
        (["emotion", "pose"], "emotion_pose"),
        (["emotion", "pose", "gender", "smile"], "emotion_pose_gender_smile"),
    ],
)
def test_files_are_named_after_the_tasks(tasks, name):
    assert publish.file_name(tasks) == name


@pytest.mark.parametrize(
    ("gap", "is_good"), [(9e-5, True), (2e-4, False), (np.nan, False)]
)
def test_networks_that_differ_are_refused(monkeypatch, tmp_path, gap, is_good):
    def load(path):
        def run(images):
            level = images.mean(axis=(1, 2, 3))[:, None] / 255
            # Wrong in one image of the last dataset, and in one task.
            wrong = gap * (images.max(axis=(1, 2, 3)) == 255)[:, None]
            is_onnx = path.suffix == ".onnx"
            return {"pose": level, "age": level + wrong * is_onnx}

        return SimpleNamespace(run=run)

    class Split:
        def __init__(self, count, brightest):
            self._images = np.zeros((count, 4, 4, 1), np.uint8)
            self._images[-1] = brightest

        def __len__(self):
            return len(self._images)

        def images(self, rows):
            return self._images[rows]

    for kind in ("onnx", "keras"):
        (tmp_path / f"best.{kind}").touch()
    monkeypatch.setattr(loading, "load", load)
    parts = [Split(1500, 9), Split(3, 9), Split(700, 255)]
    if is_good:
        found = publish.agree(tmp_path, parts)
        assert found["images"] == 334 + 3 + 334
        assert found["largest_difference"] == pytest.approx(gap, rel=0.01)
    else:
        with pytest.raises(UserError, match="apart, more than"):
            publish.agree(tmp_path, parts)


def _run(folder, seed, accuracies, **arguments):
    """A run folder with what a release reads of it to choose one."""
    folder.mkdir()
    arguments |= {"seed": seed, "run_dir": str(folder)}
    files.write_json(folder / "args.json", {"arguments": arguments})
    tasks = {
        name: {"validation": {"accuracy": a}, "test": {"accuracy": a / 2}}
        for name, a in accuracies.items()
    }
    files.write_json(folder / "result.json", {"tasks": tasks})
    return folder


def test_runs_that_differ_in_their_seed_are_compared(tmp_path):
    runs = [
        _run(tmp_path / "a", 3, {"pose": 0.5, "age": 0.7}, epoch=4),
        _run(tmp_path / "b", 1, {"pose": 0.9, "age": 0.4}, epoch=4),
    ]
    assert publish.compare_seeds(runs) == [
        {
            "run": runs[0],
            "seed": 3,
            "validation": pytest.approx(0.6),
            "test": {"pose": 0.25, "age": 0.35},
        },
        {
            "run": runs[1],
            "seed": 1,
            "validation": pytest.approx(0.65),
            "test": {"pose": 0.45, "age": 0.2},
        },
    ]
    other = _run(tmp_path / "c", 2, {"pose": 1, "age": 1}, epoch=5)
    with pytest.raises(UserError, match=r"--epoch of .*c is not that of .*a"):
        publish.compare_seeds([*runs, other])
    older = _run(tmp_path / "d", 4, {"pose": 1, "age": 1})
    for pair in ([runs[0], older], [older, runs[0]]):
        with pytest.raises(UserError, match="--epoch of "):
            publish.compare_seeds(pair)
    stale = {"epoch": 4, "tables_sha256": {}}
    again = _run(tmp_path / "e", 5, {"pose": 1, "age": 1}, **stale)
    with pytest.raises(UserError, match=r"^a dataset's table of .*e is not "):
        publish.compare_seeds([runs[0], again])
    with pytest.raises(UserError, match=r".*a has the seed of another run, 3"):
        publish.compare_seeds([*runs, runs[0]])
    files.write_json(other / "result.json", {})
    with pytest.raises(UserError, match="'tasks'; release another"):
        publish.compare_seeds([other])
    (other / "result.json").unlink()
    with pytest.raises(UserError, match="not the folder of a finished run"):
        publish.compare_seeds([*runs, other])

"""Synthetic faces: repeatable, correct labels, hidden labels in own files."""

import argparse
import hashlib
import json
import shutil
import threading

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_preparation import ages, staging, synthetic
from data_preparation.drawing import portrait, traits
from data_preparation.drawing.portrait import Face, Photo
from data_preparation.drawing.surfaces import Light
from samtl.common import flags
from samtl.common.errors import UserError
from samtl.data import tables
from samtl.data.tasks import POSE, mirrored

IMAGES = 40
YAW = st.floats(-90, 90, allow_nan=False)


def arguments(data_dir, *words):
    parser = flags.parser("", None)
    synthetic.add_arguments(parser)
    words = ["--data_dir", str(data_dir), "--images", str(IMAGES), *words]
    return parser.parse_args(words)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder with the three sets, tiny."""
    folder = tmp_path_factory.mktemp("data")
    synthetic.prepare(arguments(folder))
    return folder


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert files
    content = hashlib.sha256()
    for path in files:
        content.update(str(path.relative_to(folder)).encode())
        content.update(path.read_bytes())
    return content.hexdigest()


def test_the_sets_read_back(data_dir):
    for name, tasks in synthetic.SETS.items():
        table = tables.read(name, data_dir)
        assert tuple(table.tasks) == tasks
        sizes = [len(table.split(split)) for split in tables.SPLITS]
        assert sizes == [IMAGES, IMAGES // 5, IMAGES * 3 // 10]
        image = cv2.imread(str(table.paths[0]))
        assert image.shape == (synthetic.SIZE, synthetic.SIZE, 3)
    assert not list((data_dir / "db").glob(".*"))


def test_labels_are_stratified(data_dir):
    for name, tasks in synthetic.SETS.items():
        train = tables.read(name, data_dir).split("train")
        for task in tasks:
            counts = np.bincount(train.labels(task))
            assert len(counts) == len(train.tasks[task])
            assert counts.max() - counts.min() <= len(tasks)


def test_each_set_publishes_only_its_own_labels(data_dir):
    everything = set(synthetic.TASKS)
    for name, tasks in synthetic.SETS.items():
        hidden = everything - set(tasks)
        rows = pd.read_csv(data_dir / "db" / f"{name}.csv")
        assert not hidden & set(rows)
        assert ("yaw" in rows) == ("pose" in tasks)
        assert ("age_years" in rows) == ("age" in tasks)
        truth = pd.read_csv(data_dir / "db" / f"{name}.truth.csv")
        assert set(truth) == {"path", *hidden}
        facts = json.loads((data_dir / "db" / f"{name}.json").read_text())
        assert tuple(facts["tasks"]) == tasks
        table = tables.read(name, data_dir)
        for task in everything:
            labels = table.truth(synthetic.TASKS[task])
            assert (labels is None) == (task in tasks)
            if labels is not None:
                assert labels.min() >= 0
                assert labels.max() < len(synthetic.TASKS[task])


def test_hidden_labels_are_those_drawn(data_dir):
    name = "synthetic_emotion"
    table = tables.read(name, data_dir)
    for row, path in enumerate(table.rows["path"][: IMAGES // 2]):
        facts = synthetic.draw_face(name, "train", row, 32, synthetic.SEED)[1]
        assert path == f"db/{name}/train/{row:05d}.png"
        for task in ("pose", "gender", "age"):
            assert table.truth(synthetic.TASKS[task])[row] == facts[task]


def test_the_sets_share_no_picture(data_dir):
    contents = [p.read_bytes() for p in (data_dir / "db").rglob("*.png")]
    assert len(set(contents)) == len(contents)


def test_yaw_agrees_with_pose(data_dir):
    rows = tables.read("synthetic_pose", data_dir).rows
    assert rows["pose"].tolist() == [synthetic.pose_of(y) for y in rows["yaw"]]
    assert rows["yaw"].abs().max() <= traits.LARGEST_YAW


@pytest.mark.parametrize(
    ("yaw", "pose"),
    [
        (-80, "left profile"),
        (-30, "left"),
        (0, "frontal"),
        (14, "frontal"),
        (30, "right"),
        (46, "right profile"),
    ],
)
def test_pose_of_known_angles(yaw, pose):
    assert POSE[synthetic.pose_of(yaw)] == pose


@given(YAW)
def test_mirroring_a_face_negates_its_yaw(yaw):
    assert synthetic.pose_of(-yaw) == mirrored(POSE)[synthetic.pose_of(yaw)]


def plain(yaw):
    """A face without anything that differs between its sides."""
    photo = Photo(
        Light(np.float32([0, -0.6, 0.8]), 0.5, 0.0),
        np.full((2, 2, 3), 128, np.float32),
    )
    return portrait.draw(Face(yaw=yaw, hair="bald"), photo, 64).astype(int)


@pytest.mark.parametrize("yaw", [0, 20, 50, 80])
def test_a_face_turned_the_other_way_is_its_mirror_image(yaw):
    difference = np.abs(plain(yaw) - plain(-yaw)[:, ::-1])
    assert difference.mean() < 4
    if yaw:
        assert np.abs(plain(yaw) - plain(-yaw)).mean() > 3 * difference.mean()


@pytest.mark.parametrize("yaw", [-80, -45, 45, 80])
def test_a_face_looks_to_the_image_side_of_its_yaw(yaw):
    """Brows and eyes, the dark pixels, are on that side of the head."""
    picture = plain(yaw)[16:44]
    head = np.flatnonzero(np.abs(picture - 128).max(axis=(0, 2)) > 20)
    dark = np.flatnonzero((picture.max(axis=2) < 90).any(axis=0))
    assert np.sign(dark.mean() - head.mean()) == np.sign(yaw)


def test_faces_depend_on_seed_and_number_only(tmp_path):
    one = tmp_path / "one", tmp_path / "two", tmp_path / "three"
    synthetic.draw_set("synthetic_pose", one[0], 160, 32, processes=2)
    synthetic.draw_set("synthetic_pose", one[1], 160, 32, processes=1)
    assert digest(one[0] / "db") == digest(one[1] / "db")
    synthetic.draw_set("synthetic_pose", one[2], 40, 32, processes=1)
    small, large = (
        (one[k] / "db/synthetic_pose/train/00039.png").read_bytes()
        for k in (2, 0)
    )
    assert small == large
    first = synthetic.draw_face("synthetic_pose", "train", 3, 32, seed=0)[0]
    other = synthetic.draw_face("synthetic_pose", "train", 3, 32, seed=1)[0]
    assert (first != other).any()


def test_prepare_does_not_replace_unasked(data_dir):
    before = digest(data_dir)
    with pytest.raises(
        UserError, match=r"--size was 72 and is 40; give --over"
    ):
        synthetic.prepare(arguments(data_dir, "--size=40"))
    assert digest(data_dir) == before


def test_the_same_command_draws_only_what_is_missing(
    data_dir, tmp_path, monkeypatch, capsys
):
    shutil.copytree(data_dir, tmp_path / "data")
    synthetic.prepare(arguments(tmp_path / "data"))
    assert capsys.readouterr().out.splitlines() == [
        f"{name} is up to date in {tmp_path / 'data'}"
        for name in synthetic.SETS
    ]
    for path in (tmp_path / "data" / "db").glob("synthetic_pose*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    drawn = []
    monkeypatch.setattr(synthetic, "draw_set", lambda *a: drawn.append(a[0]))
    synthetic.prepare(arguments(tmp_path / "data"))
    assert drawn == ["synthetic_pose"]


def test_overwriting_leaves_nothing_of_the_old_set(tmp_path):
    name = "synthetic_pose"
    synthetic.draw_set(name, tmp_path, 20, 32, seed=1)
    synthetic.draw_set(name, tmp_path, 10, 32)
    assert len(list((tmp_path / "db" / name / "train").iterdir())) == 10
    assert len(tables.read(name, tmp_path).split("train")) == 10


def test_what_a_killed_run_leaves_is_replaced_and_nothing_else(
    tmp_path, monkeypatch
):
    name = "synthetic_pose"
    with monkeypatch.context() as patch:
        # Between the pictures and the tables.
        patch.setattr(synthetic.files, "write", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            synthetic.draw_set(name, tmp_path, 10, 32)
    assert list((tmp_path / "db").glob("*.csv")) == []
    synthetic.draw_set(name, tmp_path, 10, 32)
    assert not (tmp_path / "db" / f".{name}.partial").exists()
    assert len(tables.read(name, tmp_path).split("train")) == 10
    (tmp_path / "db" / f"{name}.json").unlink()
    synthetic.draw_set(name, tmp_path, 10, 32)
    assert len(tables.read(name, tmp_path).split("train")) == 10
    note = tmp_path / "db" / "synthetic_emotion" / "notes.txt"
    note.parent.mkdir()
    note.touch()
    # As a run leaves it that was killed while it drew.
    (tmp_path / "db" / ".synthetic_emotion.partial" / "pictures").mkdir(
        parents=True
    )
    with pytest.raises(UserError, match="holds files"):
        synthetic.draw_set("synthetic_emotion", tmp_path, 10, 32)
    assert note.exists()


def test_ensure_draws_what_is_missing(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        synthetic, "draw_set", lambda name, data_dir: drawn.append(name)
    )
    wanted = {"ferplus": ["emotion"], "synthetic_pose": ["pose"]}
    synthetic.ensure(wanted, tmp_path)
    assert drawn == ["synthetic_pose"]


def test_ensure_replaces_no_table_of_another(tmp_path):
    path = tmp_path / "db" / "synthetic_pose.csv"
    path.parent.mkdir()
    path.write_text("path,split,pose\n")
    with pytest.raises(UserError, match=r"pose\.csv exists, but not the JSON"):
        synthetic.ensure(["synthetic_pose"], tmp_path)
    assert path.exists()


def test_ensure_waits_for_another_process(tmp_path, monkeypatch):
    drawn = []

    def draw_set(name, data_dir):
        # Meanwhile, a second one asks for the set.
        other = threading.Thread(
            target=synthetic.ensure, args=([name], data_dir)
        )
        other.start()
        other.join(0.1)
        drawn.append(other)
        (data_dir / "db" / f"{name}.csv").touch()
        (data_dir / "db" / f"{name}.json").touch()

    monkeypatch.setattr(synthetic, "draw_set", draw_set)
    synthetic.ensure(["synthetic_pose"], tmp_path)
    (other,) = drawn
    other.join()
    assert len(drawn) == 1


def test_prepare_does_not_wait(tmp_path):
    with (
        staging.lock("synthetic_emotion", tmp_path),
        pytest.raises(UserError, match="another preparation of synthetic_em"),
    ):
        synthetic.prepare(arguments(tmp_path))


def test_ensure_keeps_what_is_there(data_dir):
    before = digest(data_dir)
    synthetic.ensure(list(synthetic.SETS), data_dir)
    assert digest(data_dir) == before


def test_a_folder_that_cannot_be_written_is_a_user_error(tmp_path):
    (tmp_path / "db").touch()
    with pytest.raises(UserError, match="data_dir"):
        synthetic.draw_set("synthetic_pose", tmp_path, IMAGES)


@given(st.integers(0, 2**32), st.sampled_from(list(synthetic.SETS)))
def test_any_face_can_be_drawn(number, name):
    """Traits are clipped to drawable values, for any random numbers."""
    picture, facts = synthetic.draw_face(name, "test", number, 32, 5)
    assert picture.shape == (32, 32, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 5
    assert facts["pose"] == synthetic.pose_of(facts["yaw"])
    assert facts["age"] == ages.group(facts["age_years"])


def test_flags_are_checked():
    with pytest.raises((UserError, argparse.ArgumentError)):
        arguments("data", "--images", "3")

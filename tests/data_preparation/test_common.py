"""What all photo datasets share: crops, duplicates, validation, publishing."""

import argparse
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from data_preparation import common
from utils import tables
from utils.errors import UserError
from utils.tasks import Task

POSE = Task("pose", ("left", "right"))


@given(
    image=npst.arrays(np.uint8, st.tuples(st.integers(1, 6), st.just(5))),
    left=st.integers(-7, 4),
    top=st.integers(-7, 0),
    width=st.integers(8, 14),
    height=st.integers(8, 14),
)
def test_crop_repeats_the_edge_pixels(image, left, top, width, height):
    result = common.crop(image, (left, top, left + width, top + height))
    rows = np.clip(np.arange(top, top + height), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left, left + width), 0, image.shape[1] - 1)
    np.testing.assert_array_equal(result, image[np.ix_(rows, columns)])


def test_crop_inside_a_colour_image():
    image = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    result = common.crop(image, (1, 2, 3, 5))
    np.testing.assert_array_equal(result, image[2:5, 1:3])


def test_square_of_a_profile_is_as_high_as_that_of_a_frontal_face():
    frontal = np.array([[10.0, 20], [50, 20], [30, 40], [15, 60], [45, 60]])
    assert common.square(frontal, 0.5) == (-10, 0, 70, 80)
    profile = frontal * [0.25, 1] + [22.5, 0]
    assert common.square(profile, 0.5) == (-10, 0, 70, 80)


@given(
    points=npst.arrays(
        float, (5, 2), elements=st.floats(-1e3, 1e3, allow_subnormal=False)
    ),
    margin=st.floats(0, 2),
)
def test_square_is_a_square_around_the_points(points, margin):
    left, top, right, bottom = common.square(points, margin)
    assert right - left == bottom - top >= 1
    low, high = points.min(axis=0), points.max(axis=0)
    assert (low >= np.array([left, top]) - 1).all()
    assert (high <= np.array([right, bottom]) + 1).all()
    extent = (high - low).max() * (1 + 2 * margin)
    assert abs(right - left - max(1, extent)) <= 0.5


def faces_of(sources, boxes=(0, 0, 8, 8)):
    boxes = [boxes] * len(sources) if isinstance(boxes, tuple) else boxes
    crops = [f"{index}.png" for index in range(len(sources))]
    return pd.DataFrame({"source": sources, "box": boxes, "crop": crops})


def gray(seed=0, side=8):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (side, side), dtype=np.uint8)


def test_cut_writes_crops_and_hashes_their_pixels(tmp_path):
    image = gray()
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(image).convert("RGB").save(tmp_path / "b.bmp")
    sources = [tmp_path / "a.png", tmp_path / "b.bmp", image, gray(1)]
    digests, reasons = common.cut(
        faces_of(sources), tmp_path / "out", is_gray=True
    )
    assert reasons == ["", "", "", ""]
    assert digests[0] == digests[1] == digests[2] != digests[3]
    for index in range(3):
        written = np.asarray(Image.open(tmp_path / "out" / f"{index}.png"))
        np.testing.assert_array_equal(written, image)


def test_cut_reduces_large_crops(tmp_path):
    faces = faces_of([gray(side=40)], (0, 0, 40, 20))
    common.cut(faces, tmp_path, size=10)
    assert np.asarray(Image.open(tmp_path / "0.png")).shape == (5, 10)


def test_cut_names_the_reason_where_there_is_no_crop(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(gray(side=30)).save(buffer, "JPEG")
    (tmp_path / "half.jpg").write_bytes(buffer.getvalue()[:-200])
    (tmp_path / "text.png").write_text("no image")
    paths = [tmp_path / name for name in ("half.jpg", "text.png", "none.png")]
    images = [gray() for _ in range(4)]
    boxes = [(0, 0, 8, 8)] * 3 + [
        (8, 0, 16, 8),
        (0, -9, 8, 0),
        (4, 4, 4, 8),
        (-99, -99, 100, 100),
    ]
    digests, reasons = common.cut(
        faces_of(paths + images, boxes), tmp_path / "out"
    )
    unreadable, outside = "image unreadable", "face outside the image"
    assert reasons == [unreadable, unreadable, "image missing", *[outside] * 4]
    assert digests == [""] * 7
    assert not (tmp_path / "out").exists()


@settings(max_examples=200)
@given(data=st.data())
def test_broken_image_files_never_raise(tmp_path_factory, data):
    buffer = io.BytesIO()
    kind = data.draw(st.sampled_from(["PNG", "JPEG"]))
    Image.fromarray(gray(side=16)).save(buffer, kind)
    content = bytearray(buffer.getvalue())
    start = data.draw(st.integers(0, len(content) - 1))
    noise = data.draw(st.binary(max_size=20))
    content[start : start + len(noise)] = noise
    path = tmp_path_factory.getbasetemp() / "broken"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    digests, reasons = common.cut(faces_of([path]), path.parent / "out")
    assert [bool(digests[0]), bool(reasons[0])].count(True) == 1


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(tables.SPLITS))
    )
)
def test_straddling_keeps_the_copies_of_one_split(rows):
    digests = [digest for digest, _ in rows]
    splits = [split for _, split in rows]
    result = common.straddling(digests, splits)
    for (digest, split), is_out in zip(rows, result, strict=True):
        homes = {where for what, where in rows if what == digest}
        if "test" in homes:
            assert is_out == (split != "test")
        elif "validation" in homes:
            assert is_out == (split != "validation")
        else:
            assert not is_out


def test_validation_rows_are_stratified_grouped_and_repeatable():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 300, 1000)
    labels = (rng.random(1000) < 0.2).astype(int)
    chosen = common.validation_rows(labels, groups, 10, 0)
    rest = np.setdiff1d(np.arange(1000), chosen)
    assert not set(groups[chosen]) & set(groups[rest])
    assert 85 <= len(chosen) <= 115
    assert abs(labels[chosen].mean() - labels[rest].mean()) < 0.03
    again = common.validation_rows(labels, groups, 10, 0)
    np.testing.assert_array_equal(again, chosen)
    other = common.validation_rows(labels, groups, 10, 1)
    assert set(other) != set(chosen)


def test_too_few_rows_for_validation_are_refused():
    with pytest.raises(UserError, match="9 usable training rows are too few"):
        common.validation_rows(np.zeros(9, int), np.arange(9), 10, 0)
    with pytest.raises(UserError, match="too few"):
        common.validation_rows(np.zeros(50, int), np.zeros(50), 10, 0)


def arguments(tmp_path, **changes):
    (tmp_path / "raw").mkdir(exist_ok=True)
    values = {"source": tmp_path / "raw", "data_dir": tmp_path / "data"}
    return argparse.Namespace(**{**values, "overwrite": False, **changes})


def publish_toy(args, seed=0, splits=(*tables.SPLITS, "train", "train")):
    """Publish five faces; the fourth repeats the image of the third."""
    with common.staged("toy", args) as folder:
        images = [gray(seed + index) for index in (0, 1, 2, 2, 3)]
        faces = faces_of(images)
        faces["split"] = splits
        faces["pose"] = [0, 1, 0, 1, 1]
        faces["digest"], _ = common.cut(faces, folder)
        dropped = common.Dropped({("train", "too dark"): 4})
        common.publish(
            "toy", faces, [], [POSE], folder, args, dropped, {"terms": "none"}
        )


def test_publish_drops_duplicates_and_can_be_read(tmp_path, capsys):
    args = arguments(tmp_path)
    publish_toy(args)
    table = tables.read("toy", args.data_dir)
    assert table.rows["split"].tolist() == [*tables.SPLITS, "train"]
    crops = sorted(path.name for path in (args.data_dir / "db/toy").iterdir())
    assert crops == ["0.png", "1.png", "2.png", "4.png"]
    shown = capsys.readouterr().out
    assert "dropped: too dark" in shown
    assert common.DUPLICATE in shown
    assert not (args.data_dir / "db" / ".toy.partial").exists()


def test_a_prepared_dataset_is_replaced_only_on_request(tmp_path):
    args = arguments(tmp_path)
    publish_toy(args)
    stale = args.data_dir / "db" / "toy" / "stale.png"
    stale.touch()
    with pytest.raises(UserError, match=r"already prepared.*--overwrite"):
        publish_toy(args, 1)
    assert stale.exists()
    publish_toy(arguments(tmp_path, overwrite=True), 1)
    assert not stale.exists()
    first = tables.read("toy", args.data_dir).paths[0]
    np.testing.assert_array_equal(np.asarray(Image.open(first)), gray(1))


def test_a_failed_replacement_leaves_the_old_dataset(tmp_path):
    args = arguments(tmp_path, overwrite=True)
    publish_toy(args)
    before = (args.data_dir / "db" / "toy.csv").read_bytes()
    with pytest.raises(UserError, match="no usable face of toy for test"):
        publish_toy(args, splits=["train", "validation", *["train"] * 3])
    assert (args.data_dir / "db" / "toy.csv").read_bytes() == before
    assert len(tables.read("toy", args.data_dir)) == 4
    assert not (args.data_dir / "db" / ".toy.partial").exists()


def test_what_a_killed_run_left_is_removed(tmp_path):
    args = arguments(tmp_path)
    left = args.data_dir / "db" / ".toy.partial" / "old.png"
    left.parent.mkdir(parents=True)
    left.touch()
    publish_toy(args)
    assert not (args.data_dir / "db" / "toy" / "old.png").exists()


def test_missing_source_and_unwritable_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match="nowhere is no folder"):
        publish_toy(arguments(tmp_path, source=tmp_path / "nowhere"))
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(UserError, match="cannot write"):
        publish_toy(arguments(tmp_path))

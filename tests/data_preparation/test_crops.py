"""From boxes to crops, on one core and on two."""

import io
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from data_preparation import crops
from data_preparation.crops import Recipe
from samtl.common.errors import UserError


@given(
    image=npst.arrays(np.uint8, st.tuples(st.integers(1, 6), st.just(5))),
    left=st.integers(-7, 4),
    top=st.integers(-7, 0),
    width=st.integers(8, 14),
    height=st.integers(8, 14),
)
def test_padded_crops_repeat_the_edge_pixels(image, left, top, width, height):
    box = (left, top, left + width, top + height)
    rows = np.clip(np.arange(top, top + height), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left, left + width), 0, image.shape[1] - 1)
    np.testing.assert_array_equal(
        crops.crop(image, box, is_padded=True), image[np.ix_(rows, columns)]
    )
    inside = crops.crop(image, box)
    np.testing.assert_array_equal(
        inside, image[np.ix_(np.unique(rows), np.unique(columns))]
    )


def test_crop_inside_a_colour_image():
    image = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    for is_padded in (False, True):
        result = crops.crop(image, (1, 2, 3, 5), is_padded)
        np.testing.assert_array_equal(result, image[2:5, 1:3])


def test_grow_adds_a_share_of_the_longer_side():
    assert crops.grow((10, 20, 30, 60), 0.25) == (0, 10, 40, 70)
    assert crops.grow((3, 4, 10, 12), 0.0) == (3, 4, 10, 12)


@given(
    corner=st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
    sides=st.tuples(st.floats(1, 1e3), st.floats(1, 1e3)),
    margin=st.floats(0, 2),
)
def test_grown_boxes_stay_around_their_centre(corner, sides, margin):
    left, top = corner
    box = (left, top, left + sides[0], top + sides[1])
    grown = crops.grow(box, margin)
    assert all(isinstance(side, int) for side in grown)
    for low, side in ((0, sides[0]), (1, sides[1])):
        length = grown[low + 2] - grown[low]
        assert abs(length - (side + 2 * margin * max(sides))) <= 0.51
        middle = box[low] + box[low + 2]
        assert abs(grown[low] + grown[low + 2] - middle) <= 1.01


def test_a_share_is_the_centre_of_the_image():
    box = crops.middle(np.zeros((100, 200), np.uint8), 0.5)
    assert box == (50, 25, 150, 75)


def faces_of(sources, boxes=(0, 0, 8, 8)):
    boxes = boxes if isinstance(boxes, list) else [boxes] * len(sources)
    names = [f"{index}.png" for index in range(len(sources))]
    return pd.DataFrame({"source": sources, "box": boxes, "crop": names})


def gray(seed=0, side=8):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (side, side), dtype=np.uint8)


def cut(faces, folder, jobs=1, **recipe):
    """All Crops, in the order of the faces."""
    done = {}
    for part in crops.cut(faces, folder, Recipe(**recipe), jobs):
        assert not done.keys() & part.keys()
        done |= part
    return [done[name] for name in faces["crop"]]


def read(path):
    return np.asarray(Image.open(path))


def test_cut_writes_crops_and_hashes_their_pixels(tmp_path):
    image = gray()
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(image).convert("RGB").save(tmp_path / "b.bmp")
    sources = [tmp_path / "a.png", tmp_path / "b.bmp", image, gray(1)]
    made = cut(faces_of(sources, None), tmp_path / "out", is_gray=True)
    assert [crop.reason for crop in made] == [""] * 4
    digests = [crop.digest for crop in made]
    assert digests[0] == digests[1] == digests[2] != digests[3]
    for index in range(3):
        path = tmp_path / "out" / f"{index}.png"
        np.testing.assert_array_equal(read(path), image)
        assert made[index].size == path.stat().st_size
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_boxes_are_grown_and_clipped_or_padded(tmp_path):
    image = gray(side=40)
    faces = faces_of([image, image], [(10, 10, 20, 20), (0, 30, 10, 40)])
    cut(faces, tmp_path, margin=0.5)
    np.testing.assert_array_equal(read(tmp_path / "0.png"), image[5:25, 5:25])
    np.testing.assert_array_equal(read(tmp_path / "1.png"), image[25:, :15])
    cut(faces, tmp_path, margin=0.5, is_padded=True)
    padded = np.pad(image, 5, mode="edge")
    np.testing.assert_array_equal(read(tmp_path / "1.png"), padded[30:, :20])


def test_the_centre_is_cut(tmp_path):
    cut(faces_of([gray(side=40)], [0.5]), tmp_path)
    np.testing.assert_array_equal(
        read(tmp_path / "0.png"), gray(side=40)[10:30, 10:30]
    )


def test_cut_reduces_large_crops(tmp_path):
    boxes = [(0, 0, 40, 20), (0, 0, 1, 40)]
    cut(faces_of([gray(side=40)] * 2, boxes), tmp_path, size=10)
    assert read(tmp_path / "0.png").shape == (5, 10)
    assert read(tmp_path / "1.png").shape == (10, 1)


def test_cut_names_the_reason_where_there_is_no_crop(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(gray(side=30)).save(buffer, "JPEG")
    (tmp_path / "half.jpg").write_bytes(buffer.getvalue()[:-200])
    (tmp_path / "text.png").write_text("no image")
    files = [tmp_path / name for name in ("half.jpg", "text.png", "none.png")]
    expected = [
        (files[0], (0, 0, 8, 8), "image unreadable"),
        (files[1], None, "image unreadable"),
        (files[2], (0, 0, 8, 8), "image missing"),
        (gray(), (8, 0, 16, 8), crops.OUTSIDE),
        (gray(), (0, -9, 8, 0), crops.OUTSIDE),
        (gray(), (-99, -99, 100, 100), crops.OUTSIDE),
        (gray(), (4, 4, 4, 8), crops.DEGENERATE),
        (gray(), (4, 4, 8, 3), crops.DEGENERATE),
        (gray(), (float("nan"), 0, 8, 8), crops.DEGENERATE),
    ]
    sources, boxes, reasons = map(list, zip(*expected, strict=True))
    made = cut(faces_of(sources, boxes), tmp_path / "out")
    assert [crop.reason for crop in made] == reasons
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
    (made,) = cut(faces_of([path]), path.parent / "out")
    assert [bool(made.digest), bool(made.reason)].count(True) == 1


@dataclass
class Found:
    box: tuple


def detector_of(*boxes):
    return lambda image: [Found(box) for box in boxes]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (None, (0, 0, 10, 10)),
        ((15, 15, 35, 35), (20, 20, 30, 30)),
        ((8, 8, 12, 12), (0, 0, 10, 10)),
    ],
)
def test_the_detector_finds_the_face_at_the_box(tmp_path, box, expected):
    image = np.dstack([gray(seed, 40) for seed in range(3)])
    detector = detector_of((0.0, 0, 10, 10), (20.0, 20, 30, 30))
    cut(faces_of([image], [box]), tmp_path, detector=detector)
    left, top, right, bottom = expected
    np.testing.assert_array_equal(
        read(tmp_path / "0.png"), image[top:bottom, left:right]
    )


def test_no_face_is_a_reason(tmp_path):
    image = np.dstack([gray(side=40)] * 3)
    far = detector_of((20, 20, 30, 30))
    neighbour = detector_of((0, 0, 14, 30))
    for box, detector in (
        (None, detector_of()),
        ((0, 0, 9, 9), far),
        ((10, 0, 40, 30), neighbour),
    ):
        faces = faces_of([image], [box])
        (made,) = cut(faces, tmp_path, detector=detector)
        assert made.reason == "no face found"


@given(
    st.lists(st.integers(0, 12), min_size=4, max_size=4),
    st.lists(st.integers(0, 12), min_size=4, max_size=4),
)
def test_overlap_equals_counting_pixels(one, other):
    covers = []
    boxes = []
    for x, y, width, height in (one, other):
        boxes.append((x, y, x + width + 1, y + height + 1))
        cover = np.zeros((30, 30), bool)
        cover[y : y + height + 1, x : x + width + 1] = True
        covers.append(cover)
    shared = (covers[0] & covers[1]).sum() / (covers[0] | covers[1]).sum()
    assert crops.overlap(*boxes) == pytest.approx(shared)


def test_two_processes_do_what_one_does(tmp_path):
    Image.fromarray(gray(side=30)).save(tmp_path / "a.png")
    count = crops.BATCH * (crops.FEW + 1)
    boxes = [(i % 20, i // 20, i % 20 + 9, i // 20 + 9) for i in range(count)]
    faces = faces_of([tmp_path / "a.png"] * count, boxes)
    made = [cut(faces, tmp_path / str(jobs), jobs) for jobs in (1, 2)]
    assert made[0] == made[1]
    for name in faces["crop"]:
        one, two = (tmp_path / str(jobs) / name for jobs in (1, 2))
        assert one.read_bytes() == two.read_bytes()


def test_a_cluster_that_cannot_write_is_an_error(tmp_path, scheduler):
    (tmp_path / "file").touch()
    faces = faces_of([gray(0)])
    with pytest.raises(UserError, match=r"^FileExistsError: "):
        list(crops.cut(faces, tmp_path / "file", Recipe(), 0, scheduler))

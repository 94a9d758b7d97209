"""The detector: geometry with a stand-in network, and the shipped one."""

import argparse
import hashlib
import math
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import cbook
from PIL import Image

from samtl.common.errors import UserError
from samtl.faces import detect, search
from tests.faces import stand_ins

PORTRAIT_EYES = [(227, 193), (308, 195)]  # by hand


def find_red(image):
    """In place of YuNet: red squares with a green top, of 10 to 330 pixels."""
    red, green = image[..., 0] > 128, image[..., 1] > 128
    rows, columns = np.nonzero(red | green)
    if not rows.size or not 10 <= np.ptp(rows) <= 330:
        return []
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    forehead = green[rows.min() + np.ptp(rows) // 8, box[0] : box[2]]
    if forehead.mean() < 0.5:
        return []
    points = np.full((5, 2), (box[0], box[1]), np.float32)
    return [detect.Face(tuple(map(float, box)), 0.9, points)]


def red_face(height, width, left, top, side):
    image = np.zeros((height, width, 3), np.uint8)
    image[top : top + side, left : left + side, 0] = 255
    image[top : top + side // 4, left : left + side, 1] = 255
    image[top : top + side // 4, left : left + side, 0] = 0
    return image


def detector(find=find_red, largest=1280):
    return detect.Detector("stand-in", lambda: find, largest, 0.9)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize(
    ("shape", "place"),
    [
        ((120, 90), (20, 30, 40)),  # scaled up
        ((48, 48), (0, 0, 48)),  # nothing but the face
        ((1500, 900), (100, 300, 400)),  # scaled down
    ],
)
def test_faces_are_found_at_any_scale_and_turn(shape, place, turns):
    left, top, side = place
    image = np.rot90(red_face(*shape, *place), turns)
    # The corners of the rotated face, from its rotated pixels.
    marks = np.zeros(shape, bool)
    marks[top : top + side, left : left + side] = True
    rows, columns = np.nonzero(np.rot90(marks, turns))
    expected = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    (face,) = detector()(image)
    assert face.box == pytest.approx(expected, abs=0.02 * max(shape))
    corners = {0: (0, 1), 1: (0, 3), 2: (2, 3), 3: (2, 1)}[turns]
    corner = [expected[index] for index in corners]
    np.testing.assert_allclose(face.landmarks[0], corner, atol=30)
    assert face.landmarks.dtype == np.float32


def test_small_faces_in_large_photos_are_found_as_far_as_largest_allows():
    image = red_face(1280, 1280, 1000, 40, 20)
    (face,) = detector()(image)
    assert face.box == pytest.approx((1000, 40, 1020, 60), abs=2)
    assert detector(largest=320)(image) == []


def test_a_face_found_at_two_scales_is_one_face():
    sizes = []

    def find(image):
        sizes.append(max(image.shape[:2]))
        return find_red(image)

    (face,) = detector(find)(red_face(640, 400, 100, 100, 200))
    assert sizes == [320, 640, 1280]
    assert face.box == pytest.approx((100, 100, 300, 300), abs=2)


def test_the_best_face_comes_first():
    def find(image):
        return [
            stand_ins.face((x, 0.0, x + 20.0, 20.0), score)
            for x, score in ((0.0, 0.7), (40.0, 0.9), (80.0, 0.8), (120.0, 0.1))
        ]

    faces = detector(find, 320)(np.zeros((320, 320, 3), np.uint8))
    assert [face.score for face in faces] == pytest.approx([0.9, 0.8, 0.7])


@pytest.mark.parametrize(("sure", "upright"), [(0.9, 0.9), (0, 0.7)])
def test_turned_images_count_where_no_face_is_sure(sure, upright):
    def find(image):
        # The mark is at the top of the upright image.
        score = 0.9 if image[:160].sum() > image[160:].sum() else 0.7
        return [stand_ins.face((0.0, 0.0, 20.0, 10.0), score)]

    image = np.zeros((320, 320, 3), np.uint8)
    image[300:] = 255
    faces = detect.Detector("stand-in", lambda: find, 320, sure)(image)
    assert faces[0].score == upright
    expected = (300, 310, 320, 320) if sure else (0, 0, 20, 10)
    assert faces[0].box == pytest.approx(expected)
    # The upright face stays.
    assert faces[-1].box == (0, 0, 20, 10)


@pytest.mark.parametrize(
    ("upright", "turned", "is_thorough", "expected"),
    [
        (0.85, 0.93, False, [0.93, 0.85]),
        (0.85, 0.82, False, [0.85, 0.82]),
        (0.75, 0.77, False, [0.77, 0.75]),
        (0.85, 0.79, False, [0.85]),
        (0.95, 0.93, False, [0.95]),
        (0.95, 0.93, True, [0.95, 0.93]),
        (0.95, 0.79, True, [0.95]),
    ],
)
def test_upright_and_lying_faces_count_in_one_picture(
    monkeypatch, upright, turned, is_thorough, expected
):
    sizes = []

    def find(image):
        # White at the top: not rotated. White on the left: rotated once.
        sizes.append(max(image.shape[:2]))
        scores = {
            image[0].min(): (upright, (0.0, 0.0, 20.0, 20.0)),
            image[:, 0].min(): (turned, (100.0, 200.0, 120.0, 220.0)),
        }
        if 255 not in scores:
            return []
        score, box = scores[255]
        return [stand_ins.face(box, score)]

    image = np.zeros((320, 320, 3), np.uint8)
    image[0] = 255
    monkeypatch.setattr(detect, "_yunet", lambda _: find)
    faces = detect.open(None, 320, is_thorough)(image)
    assert [face.score for face in faces] == expected
    boxes = {face.score: face.box for face in faces}
    assert boxes[upright] == (0, 0, 20, 20)
    if turned in boxes:
        assert boxes[turned] == (100, 100, 120, 120)


def test_a_thorough_search_uses_larger_rotated_images(monkeypatch):
    searched = []
    monkeypatch.setattr(
        detect,
        "_yunet",
        lambda _: lambda image: searched.append(max(image.shape)) or [],
    )
    image = np.zeros((900, 900, 3), np.uint8)
    found = detect.open()
    searched.clear()
    found(image)
    assert searched == [320, 640, 1280, 320, 320, 320]
    found = detect.open(is_thorough=True)
    searched.clear()
    assert found.__reduce__()[1][3:] == (np.inf, True, 0.0)
    found(image)
    assert searched == [320, 640, 1280, *[320, 640] * 3]
    searched.clear()
    found(image[:640, :480])  # not enlarged
    assert searched == [320, 640] * 4


@given(st.data())
def test_small_faces_are_found_wherever_they_are(data):
    height = data.draw(st.integers(20, 500))
    width = data.draw(st.integers(200, 500))
    side = data.draw(st.integers(4, 14))
    left = data.draw(st.integers(0, width - side))
    top = data.draw(st.integers(0, height - side))
    image = np.zeros((height, width), np.uint8)
    image[top : top + side, left : left + side] = 255

    def find(tile):
        """All that a tile shows of the square."""
        rows, columns = np.nonzero(tile)
        if not rows.size:
            return []
        box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        return [stand_ins.face(tuple(map(float, box)), 0.9)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "TILE", 128)
        patch.setattr(search, "SHARED", 16)
        faces = search.tiled(find, image, 1e9, 128)
    assert 1 <= len(faces) <= 4
    for face in faces:
        assert face.box == (left, top, left + side, top + side)


def test_the_search_in_tiles_is_as_large_as_allowed(monkeypatch):
    monkeypatch.setattr(search, "TILE", 320)
    monkeypatch.setattr(search, "SHARED", 32)
    shapes = []

    def find(image):
        shapes.append(image.shape[:2])
        return []

    image = np.zeros((900, 1200, 3), np.uint8)
    made = detect.Detector("stand-in", lambda: find, 320, 0.0, False, 0.5)
    assert made(image) == []
    assert shapes[0] == (240, 320)
    tiles = shapes[1:]
    assert max(map(max, tiles)) <= 320
    assert 1 < sum(math.prod(shape) for shape in tiles) / 5e5 < 1.35
    shapes.clear()
    detector(find, 320)(image)
    assert set(shapes) == {(240, 320), (320, 240)}


@pytest.mark.parametrize(
    ("upright", "turned", "is_replaced"),
    [
        (0.88, 0.90, False),  # a mask
        (0.65, 0.84, False),
        (0.85, 0.94, True),  # upside down
        (0.93, 0.92, False),
    ],
)
def test_an_upright_face_is_preferred_unless_clearly_beaten(
    upright, turned, is_replaced
):
    def find(image):
        is_upright = image[0, 0, 0] == 255
        if is_upright:
            return [stand_ins.face((100.0, 100.0, 200.0, 220.0), upright)]
        # Rotated by half a turn.
        if image[-1, -1, 0] == 255:
            return [stand_ins.face((130.0, 120.0, 210.0, 215.0), turned)]
        return []

    image = np.zeros((320, 320, 3), np.uint8)
    image[:2, :2] = 255
    faces = detect.Detector("stand-in", lambda: find, 320, 0.99)(image)
    expected = turned if is_replaced else upright
    assert [face.score for face in faces] == [expected]


def test_images_of_any_size_are_accepted():
    for shape in ((1, 1), (1, 700), (3000, 2), (31, 33)):
        assert detector()(np.zeros((*shape, 3), np.uint8)) == []
        assert detector()(np.zeros(shape, np.uint8)) == []


def test_narrow_images_are_padded_for_yunet(monkeypatch):
    searched = []

    class Network:
        def setInputSize(self, size):
            searched.append(size)

        def detect(self, image):
            assert image.shape[1::-1] == searched[-1]
            return 0, None

    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: Network())
    find = detect._yunet(b"network")
    for shape in ((9, 320), (320, 32), (64, 64), (480, 640)):
        assert find(np.zeros((*shape, 3), np.uint8)) == []
    assert searched == [(320, 64), (64, 320), (64, 64), (640, 480)]


@given(st.data())
def test_a_row_of_yunet_becomes_a_face(data):
    numbers = st.floats(-999, 999, width=32)
    row = np.array(data.draw(st.lists(numbers, min_size=15, max_size=15)))
    face = detect._face(row)
    assert face.box == (row[0], row[1], row[0] + row[2], row[1] + row[3])
    np.testing.assert_array_equal(face.landmarks.ravel(), row[4:14])
    assert face.score <= 1


def portrait():
    path = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_the_shipped_model_finds_the_portrait(capfd):
    found = detect.open()
    (face,) = found(portrait())
    np.testing.assert_allclose(face.landmarks[:2], PORTRAIT_EYES, atol=6)
    left, top, right, bottom = face.box
    assert (face.landmarks > (left, top)).all()
    assert (face.landmarks < (right, bottom)).all()
    assert 0.9 < face.score < 1
    (copy,) = pickle.loads(pickle.dumps(found))(portrait())
    assert copy.box == face.box
    # OpenCV 5 warns.
    assert capfd.readouterr() == ("", "")


def test_the_shipped_model_is_the_one_of_the_licence():
    digest = hashlib.sha256(detect.YUNET.read_bytes()).hexdigest()
    assert digest == detect.SHA256
    (text,) = detect.YUNET.parent.glob("face_detection_yunet*.LICENSE")
    assert "Copyright (c) 2020 Shiqi Yu" in text.read_text(encoding="utf-8")


def test_a_given_model_must_be_readable(tmp_path):
    with pytest.raises(UserError, match=r"no\.onnx: No such file"):
        detect.open(tmp_path / "no.onnx")
    pointer = tmp_path / "pointer.onnx"
    pointer.write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(UserError, match="is not a YuNet"):
        detect.open(pointer)


def test_every_thread_has_its_own_network():
    made = []

    def make():
        made.append(threading.get_ident())
        return lambda image: []

    shared = detect.Detector("stand-in", make, 320, 0.9)
    image = np.zeros((8, 8, 3), np.uint8)
    threads = [
        threading.Thread(target=lambda: (shared(image), shared(image)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3


def test_threads_print_no_warning_and_keep_the_level(capfd):
    data = detect.YUNET.read_bytes()
    before = cv2.utils.logging.getLogLevel()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(detect._yunet, [data] * 200))
    assert cv2.utils.logging.getLogLevel() == before
    assert capfd.readouterr().err == ""


def test_the_flag():
    parser = argparse.ArgumentParser()
    detect.add_flag(parser)
    assert parser.parse_args([]).detector_model is None
    args = parser.parse_args(["--detector_model", "a.onnx"])
    assert args.detector_model.name == "a.onnx"


def test_no_tensor_library_is_loaded():
    code = (
        "import sys; import samtl.faces.detect; "
        "print({'keras', 'tensorflow', 'pandas', 'matplotlib'} & "
        "set(sys.modules))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert shown.strip() == "set()"

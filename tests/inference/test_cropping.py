"""Crops of faces, against those of data preparation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_preparation import crops, mtfl
from samtl.faces.face import Face
from samtl.inference import cropping

coordinate = st.floats(-30, 130, width=32)
landmarks = st.lists(
    st.tuples(coordinate, coordinate), min_size=5, max_size=5
).filter(lambda points: np.ptp(np.array(points), axis=0).max() >= 4)


@given(landmarks)
def test_faces_are_framed_as_in_data_preparation(points):
    points = np.array(points, np.float32)
    face = Face((0, 0, 1, 1), 1.0, points)
    window = cropping.window(face, 0.7)
    expected = crops.grow(mtfl.square(points.astype(float)), 0.7)
    # They round to whole pixels in different orders.
    np.testing.assert_allclose(window, expected, atol=1.01)


@given(
    st.tuples(*[st.integers(-20, 45)] * 2), st.tuples(*[st.integers(1, 30)] * 2)
)
def test_cuts_are_padded_as_in_data_preparation(corner, size):
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    left, top = corner
    box = (left, top, left + size[0], top + size[1])
    found = cropping.cut(image, box)
    is_on = left < 40 and top < 30 and box[2] > 0 and box[3] > 0
    if is_on:
        np.testing.assert_array_equal(found, crops.crop(image, box, True))
    assert found.shape == (size[1], size[0], 3)


UPRIGHT = np.array([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]])


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_lying_faces_are_made_upright(turns):
    image = np.zeros((120, 100, 3), np.uint8)
    for index, (x, y) in enumerate(UPRIGHT, start=1):
        image[y, x] = 50 * index
    turned = np.ascontiguousarray(np.rot90(image, turns))
    places = [np.argwhere(turned[..., 0] == 50 * i)[0] for i in range(1, 6)]
    points = np.array(places)[:, ::-1].astype(np.float32)
    face = Face((0, 0, 1, 1), 1.0, points)
    back = cropping.quarter_turns(face)
    assert (turns + back) % 4 == 0
    height, width = turned.shape[:2]
    upright = cropping.cut(turned, (0, 0, width, height), back)
    np.testing.assert_array_equal(upright, image)


@pytest.mark.parametrize("degrees", [-40, 0, 40])
def test_tilted_faces_are_not_rotated(degrees):
    angle = np.radians(degrees)
    turn = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    points = (UPRIGHT @ turn).astype(np.float32)
    assert cropping.quarter_turns(Face((0, 0, 1, 1), 1.0, points)) == 0

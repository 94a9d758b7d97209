"""The network's side of the demos, against numpy and data preparation."""

import hashlib
import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_preparation import crops, mtfl
from samtl.common.errors import UserError
from samtl.faces.detect import Face
from samtl.inference import prediction
from tests.faces import stand_ins


def _softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_probabilities_are_the_tempered_softmax_of_the_mean_logits(
    tmp_path, temperature
):
    path = stand_ins.network(tmp_path, temperatures={"emotion": temperature})
    predictor = prediction.load(path)
    levels = (0, 51, 255)
    images = [np.full(predictor.shape, v, np.uint8) for v in levels]
    for count in (3, 1, 2):  # the batch may change from call to call
        found = predictor.probabilities(images[:count])
        for task, divisor in (("emotion", temperature), ("pose", 1)):
            slope, offset = stand_ins.weights(task)
            shares = np.array(levels[:count])[:, None] / 255
            logits = shares * slope + offset
            if task == "pose":  # in the mirror, left is right
                logits = (logits + logits[:, ::-1]) / 2
            expected = _softmax(logits / divisor)
            np.testing.assert_allclose(found[task], expected, atol=1e-5)
    assert predictor.probabilities([])["pose"].shape == (0, 5)


@given(
    st.lists(st.floats(-8, 8), min_size=2, max_size=8),
    st.floats(0.2, 5),
)
def test_a_temperature_divides_the_logits(logits, temperature):
    logits = np.array([logits])
    np.testing.assert_allclose(
        prediction.tempered(_softmax(logits), temperature),
        _softmax(logits / temperature),
        atol=1e-5,
    )


def test_probability_zero_stays_finite():
    found = prediction.tempered(np.array([[1.0, 0.0]], np.float32), 3.0)
    assert np.isfinite(found).all()
    assert found[0, 0] > 0.99


coordinate = st.floats(-30, 130, width=32)
landmarks = st.lists(
    st.tuples(coordinate, coordinate), min_size=5, max_size=5
).filter(lambda points: np.ptp(np.array(points), axis=0).max() >= 4)


@given(landmarks)
def test_faces_are_framed_as_in_data_preparation(points):
    points = np.array(points, np.float32)
    face = Face((0, 0, 1, 1), 1.0, points)
    window = prediction.window(face, 0.7)
    expected = crops.grow(mtfl.square(points.astype(float)), 0.7)
    # Both round to whole pixels, each in its own order.
    np.testing.assert_allclose(window, expected, atol=1.01)


@given(
    st.tuples(*[st.integers(-20, 45)] * 2), st.tuples(*[st.integers(1, 30)] * 2)
)
def test_cuts_are_padded_as_in_data_preparation(corner, size):
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    left, top = corner
    box = (left, top, left + size[0], top + size[1])
    found = prediction.cut(image, box)
    is_on = left < 40 and top < 30 and box[2] > 0 and box[3] > 0
    if is_on:
        np.testing.assert_array_equal(found, crops.crop(image, box, True))
    assert found.shape == (size[1], size[0], 3)


def test_a_box_without_landmarks_gets_the_usual_square():
    box = prediction.window(Face((0, 0, 80, 100), 1.0, None), 0.7)
    # Side 0.4 * 100 * 2.4 = 96 around (40, 56).
    assert box == (-8, 8, 88, 104)


UPRIGHT = np.array([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]])


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_lying_faces_are_set_upright(turns):
    image = np.zeros((120, 100, 3), np.uint8)
    for index, (x, y) in enumerate(UPRIGHT, start=1):
        image[y, x] = 50 * index
    turned = np.ascontiguousarray(np.rot90(image, turns))
    places = [np.argwhere(turned[..., 0] == 50 * i)[0] for i in range(1, 6)]
    points = np.array(places)[:, ::-1].astype(np.float32)
    face = Face((0, 0, 1, 1), 1.0, points)
    back = prediction.quarter_turns(face)
    assert (turns + back) % 4 == 0
    height, width = turned.shape[:2]
    upright = prediction.cut(turned, (0, 0, width, height), back)
    np.testing.assert_array_equal(upright, image)


@pytest.mark.parametrize("degrees", [-40, 0, 40])
def test_leaning_faces_are_left(degrees):
    angle = np.radians(degrees)
    turn = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    points = (UPRIGHT @ turn).astype(np.float32)
    assert prediction.quarter_turns(Face((0, 0, 1, 1), 1.0, points)) == 0


def _refused(path):
    with pytest.raises(UserError) as caught:
        prediction.load(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_weights_in_a_folder_whose_name_is_no_text(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    predictor = prediction.load(stand_ins.network(folder))
    image = np.zeros(predictor.shape, np.uint8)
    assert predictor.probabilities([image])["pose"].shape == (1, 5)


def test_the_hash_is_checked(tmp_path):
    path = stand_ins.network(tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    stand_ins.network(tmp_path, sha256={"net.onnx": digest})
    assert prediction.load(path).name == "net.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    assert "SHA-256" in _refused(path)


def test_what_is_missing_or_wrong_is_named(tmp_path):
    path = tmp_path / "net.onnx"
    assert "cannot read the weights" in _refused(path)
    stand_ins.network(tmp_path)
    description = path.with_suffix(".json")
    content = json.loads(description.read_text())
    description.unlink()
    assert "labels.json" in _refused(path)
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps(content))
    assert prediction.load(path).tasks["emotion"] == ("happy", "sad", "neutral")
    for bad in (
        "no JSON",
        "[]",
        '{"tasks": {"pose": ["a"]}}',
        json.dumps({**content, "tasks": {"emotion": ["sad", "sad", "happy"]}}),
        json.dumps({**content, "temperatures": {"pose": 0}}),
        json.dumps({**content, "input": {"shape": ["batch", 16, 16, 2]}}),
    ):
        labels.write_text(bad)
        assert "does not describe" in _refused(path)
    more = {**content["tasks"], "emotion": ["happy", "sad"]}
    labels.write_text(json.dumps({**content, "tasks": more}))
    assert "names 2 classes of emotion" in _refused(path)
    renamed = {"mood": content["tasks"]["emotion"]}
    labels.write_text(json.dumps({**content, "tasks": renamed}))
    assert "does not have the input" in _refused(path)
    del content["sha256"]
    labels.write_text(json.dumps(content))
    path.write_text("no network")
    assert "is not a network" in _refused(path)

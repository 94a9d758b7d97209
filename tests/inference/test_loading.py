"""Networks and their descriptions: valid, missing, damaged."""

import functools
import hashlib
import json
import os

import numpy as np
import pytest

from samtl.common.errors import UserError
from samtl.data.tasks import AGE
from samtl.inference import loading
from tests.faces import stand_ins


def _refused(path):
    with pytest.raises(UserError) as caught:
        loading.load(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_weights_in_a_folder_whose_name_is_not_valid_utf8(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    predictor = loading.load(stand_ins.network(folder))
    image = np.zeros(predictor.shape, np.uint8)
    assert predictor.probabilities([image])["pose"].shape == (1, 5)


def test_ages_that_are_not_one_a_class_are_refused(tmp_path):
    years = [1, 17, 70.5]
    make = functools.partial(stand_ins.network, tmp_path, stand_ins.WITH_AGE)
    assert loading.load(make(age_years=years)).ages == (1, 17, 70.5)
    for bad in ([1, 17], [*years, 90], [1, 17, 151], [-1, 17, 70], 3, "abc"):
        assert "does not describe" in _refused(make(age_years=bad))
    assert "does not describe" in _refused(make(age_years=[1, 2, np.nan]))
    assert "does not describe" in _refused(make(age_years=[1, 2, "x"]))


def test_the_shipped_network_has_the_ages_of_its_training_images():
    years = loading.load().ages
    assert len(years) == len(AGE)
    for age, group in zip(years, AGE, strict=True):
        start = int(group.rstrip("+").split("-")[0])
        assert start - 1.5 < age < start + 12


def test_the_hash_is_checked(tmp_path):
    path = stand_ins.network(tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    stand_ins.network(tmp_path, sha256={"net.onnx": digest})
    assert loading.load(path).name == "net.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    assert "SHA-256" in _refused(path)


def test_missing_and_invalid_files_are_named(tmp_path):
    path = tmp_path / "net.onnx"
    assert "cannot read the weights" in _refused(path)
    stand_ins.network(tmp_path)
    description = path.with_suffix(".json")
    content = json.loads(description.read_text())
    description.unlink()
    assert "labels.json" in _refused(path)
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps(content))
    assert loading.load(path).tasks["emotion"] == ("happy", "sad", "neutral")
    for bad in (
        "not JSON",
        "[]",
        '{"tasks": {"pose": ["a"]}}',
        json.dumps({**content, "tasks": {"emotion": ["sad", "sad", "happy"]}}),
        json.dumps({**content, "temperatures": {"pose": 0}}),
        json.dumps({**content, "input": {"shape": ["batch", 16, 16, 2]}}),
    ):
        labels.write_text(bad)
        assert "does not describe" in _refused(path)
    labels.write_text(json.dumps({**content, "age_years": "not read"}))
    assert loading.load(path).ages == ()
    more = {**content["tasks"], "emotion": ["happy", "sad"]}
    labels.write_text(json.dumps({**content, "tasks": more}))
    assert "names 2 classes of emotion" in _refused(path)
    renamed = {"mood": content["tasks"]["emotion"]}
    labels.write_text(json.dumps({**content, "tasks": renamed}))
    assert "does not have the input" in _refused(path)
    del content["sha256"]
    labels.write_text(json.dumps(content))
    path.write_text("not a network")
    assert "is not a network" in _refused(path)

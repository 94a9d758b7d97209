"""best.onnx and labels.json."""

import json

import cv2
import keras
import numpy as np
import pytest

from samtl import networks
from samtl.data.tasks import GENDER, POSE, Task
from samtl.runs import onnx_export, run_folder

TASKS = [Task("pose", POSE), Task("gender", GENDER)]


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    return networks.build("mini_xception", TASKS, precision="bfloat16")


needs_converter = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf2onnx reads TensorFlow"
)


@needs_converter
def test_exported_network_predicts_the_same_in_opencv(tmp_path, network, capfd):
    run_folder.export(network, tmp_path, TASKS)
    assert capfd.readouterr().err == ""
    labels = json.loads((tmp_path / "labels.json").read_text())
    assert labels["tasks"] == {"pose": list(POSE), "gender": list(GENDER)}
    assert labels["input"]["shape"] == ["batch", 64, 64, 1]
    reader = cv2.dnn.readNetFromONNX(str(tmp_path / "best.onnx"))
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 1))
    images = images.astype("float32")
    reader.setInput(images)
    outputs = reader.forward(list(labels["tasks"]))
    found = dict(zip(labels["tasks"], outputs, strict=True))
    logits = network.predict(images, verbose=0)["logits"]
    for task, probabilities in found.items():
        expected = np.exp(logits[task]) / np.exp(logits[task]).sum()
        # bfloat16 keeps 8 bits.
        np.testing.assert_allclose(probabilities, expected, atol=0.01)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_export_nothing(
    tmp_path, network, capsys, monkeypatch, backend
):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    run_folder.export(network, tmp_path, TASKS)
    assert (
        f"not written (the backend is {backend}); " in capsys.readouterr().err
    )
    assert [path.name for path in tmp_path.iterdir()] == ["labels.json"]


def test_failed_export_is_one_warning(tmp_path, network, capsys, monkeypatch):
    def missing(*_):
        raise ImportError("tf2onnx requires the package\ntf2onnx")

    monkeypatch.setattr(onnx_export, "_export_onnx", missing)
    run_folder.export(network, tmp_path, TASKS)
    warning = capsys.readouterr().err
    assert warning.startswith("warning: best.onnx was not written (tf2onnx")
    assert warning.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["labels.json"]

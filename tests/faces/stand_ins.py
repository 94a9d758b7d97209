"""A tiny network and a detector with known outputs."""

import json

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from samtl.common import files
from samtl.faces.face import Face

TASKS = {
    "emotion": ["happy", "sad", "neutral"],
    "pose": ["left profile", "left", "frontal", "right", "right profile"],
}
WITH_AGE = {"emotion": TASKS["emotion"], "age": ["0-2", "15-20", "60+"]}
SIDE = 16


def weights(task, tasks=TASKS):
    """Weights of the logits w * (mean pixel / 255) + b, w and b [C]."""
    rng = np.random.default_rng(len(task))
    return rng.normal(size=(2, len(tasks[task]))).astype(np.float32)


def network(folder, trained=TASKS, **description):
    """Write net.onnx and net.json.

    Args:
        folder: of both files.
        trained: {task: class names} of the network.
        description: keys of the JSON with other values.

    Returns:
        path of net.onnx.
    """
    nodes = [
        helper.make_node("Transpose", ["image"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("GlobalAveragePool", ["nchw"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
    ]
    constants, outputs = [], []
    for task, classes in trained.items():
        slope, offset = weights(task, trained)
        for name, value in (("w", slope[None] / 255), ("b", offset)):
            constants.append(numpy_helper.from_array(value, f"{task}_{name}"))
        inputs = ["flat", f"{task}_w", f"{task}_b"]
        nodes.append(helper.make_node("Gemm", inputs, [f"{task}_logits"]))
        logits = [f"{task}_logits"]
        nodes.append(helper.make_node("Softmax", logits, [task], axis=1))
        shape = ["n", len(classes)]
        outputs.append(
            helper.make_tensor_value_info(task, TensorProto.FLOAT, shape)
        )
    image = helper.make_tensor_value_info(
        "image", TensorProto.FLOAT, ["n", SIDE, SIDE, 1]
    )
    graph = helper.make_graph(nodes, "tiny", [image], outputs, constants)
    opset = [helper.make_opsetid("", 13)]
    path = folder / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    content = {
        "tasks": trained,
        "input": {"shape": ["batch", SIDE, SIDE, 1]},
        "sha256": {path.name: files.sha256(path)},
        **description,
    }
    path.with_suffix(".json").write_text(json.dumps(content))
    return path


def face(box, score=0.9):
    """An upright Face; the nose is in the middle of its box."""
    left, top, right, bottom = map(float, box)
    low, size = np.array([left, top]), np.array([right - left, bottom - top])
    points = [(0.3, 0.4), (0.7, 0.4), (0.5, 0.5), (0.35, 0.7), (0.65, 0.7)]
    landmarks = low + size * np.array(points)
    return Face((left, top, right, bottom), score, landmarks.astype(np.float32))


class Detector:
    """Detects red rectangles only."""

    name = "red"

    def __call__(self, image):
        red, green, blue = (image[..., i].astype(int) for i in range(3))
        mask = (red > 150) & (green < 100) & (blue < 100)
        count, _, stats, _ = cv2.connectedComponentsWithStats(
            mask.astype(np.uint8)
        )
        return [
            face((x, y, x + w, y + h))
            for x, y, w, h, area in stats[1:count].tolist()
            if area > 100
        ]


def picture(boxes, shape=(240, 320)):
    """A noisy gray image, uint8 [H, W, 3], with red boxes."""
    rng = np.random.default_rng(0)
    image = rng.integers(90, 130, (*shape, 3), dtype=np.uint8)
    for left, top, right, bottom in boxes:
        image[top:bottom, left:right] = (220, 30, 30)
        # Texture for optical flow.
        size = (bottom - top, right - left)
        noise = rng.integers(0, 60, (size[0] // 4 + 1, size[1] // 4 + 1))
        noise = noise.repeat(4, 0).repeat(4, 1)[: size[0], : size[1]]
        image[top:bottom, left:right, 1] = noise
    return image

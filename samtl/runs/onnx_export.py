"""The network of a run as an ONNX file, and labels.json to read it."""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from samtl.common import files
from samtl.common.errors import reason
from samtl.data.tasks import Task

if TYPE_CHECKING:  # reading a run loads no backend
    import keras


def export(network: "keras.Model", run: Path, tasks: Sequence[Task]) -> None:
    """Write best.onnx, image -> probabilities, and labels.json to read it.

    Where the converter is missing or fails, or the backend has none that is
    known to work, one warning says so and the run goes on: best.keras holds
    the same network.

    Args:
        network: model from `networks.build`.
        run: folder of the run.
        tasks: its Tasks.
    """
    try:
        with files.write(run / "best.onnx") as path:
            _export_onnx(network, path)
    # The converters of the backends fail in every way there is; hours of
    # training must not end without results over it.
    except Exception as error:
        print(
            f"warning: best.onnx was not written ({reason(error)}); the "
            "packages onnx and tf2onnx with the TensorFlow backend write it",
            file=sys.stderr,
        )
    height, width, channels = network.input_shape[1:]
    fixed = [task.name for task in tasks if not task.can_flip]
    files.write_json(
        run / "labels.json",
        {
            "tasks": {task.name: list(task.classes) for task in tasks},
            **({"no_flip": fixed} if fixed else {}),
            "input": {
                "name": "image",
                "shape": ["batch", height, width, channels],
                "dtype": "float32",
                "range": [0, 255],
                "channels": "gray" if channels == 1 else "RGB",
            },
            "output": "softmax probabilities of each task, under its name",
            "normalisation": "inside the network: feed pixel values as read",
            "sha256": {
                path.name: files.sha256(path)
                for path in (run / "best.keras", run / "best.onnx")
                if path.exists()
            },
        },
        is_sealed=True,
    )


def _export_onnx(network, path):
    # Imported here so that reading a run does not load a backend.
    import keras

    from samtl.networks import probabilities

    name = keras.backend.backend()
    if name != "tensorflow":
        # PyTorch's converter fails, and prints the whole network.
        raise NotImplementedError(f"the backend is {name}")
    model = probabilities(network)
    image = keras.InputSpec(
        shape=model.input_shape, dtype="float32", name="image"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's own affairs
        model.export(
            path, format="onnx", verbose=False, input_signature=[image]
        )

"""Runs of a few seconds: a tiny network, empty pictures, no export.

The tracing of a real network, its pictures and its export are most of what a
short run takes.
"""

import keras
import numpy as np

from samtl import networks
from samtl.runs import onnx_export, plots

SHAPE = (16, 16, 1)
PICTURES = ("confusion", "curves", "contact_sheet", "weight_histogram")


def shrink(patch):
    """Have scripts that train mini_Xception train the tiny network instead.

    Args:
        patch: a `pytest.MonkeyPatch`, which puts all back.
    """
    patch.setattr(networks, "build", build)
    patch.setitem(networks.IMAGE_SHAPES, "mini_xception", SHAPE)
    leave_out(patch)


def leave_out(patch):
    """Leave pictures and ONNX files empty, of any network."""
    leave_out_pictures(patch)
    patch.setattr(
        onnx_export, "_export_onnx", lambda network, path: path.touch()
    )


def leave_out_pictures(patch):
    """Leave pictures empty."""
    for name in PICTURES:
        patch.setattr(plots, name, lambda path, *_, **__: path.touch())


def build(config, tasks, *_, **__):
    """A small network of the make of mini_Xception."""
    options = {"kernel_initializer": "zeros"}

    def convolved(x, filters, name):
        x = keras.layers.Conv2D(
            filters, 3, 2, use_bias=False, name=name, **options
        )(x)
        return keras.layers.BatchNormalization(name=f"{name}_bn")(x)

    image = keras.Input(SHAPE, name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.ReLU()(convolved(x, 4, "conv"))
    outputs = {"logits": {}, "features": {}}
    for task in tasks:
        y = convolved(x, 8, f"task_{task.name}")
        y = keras.layers.GlobalAveragePooling2D()(y)
        outputs["features"][task.name] = y
        outputs["logits"][task.name] = keras.layers.Dense(
            len(task), name=f"head_{task.name}", **options
        )(y)
    network = keras.Model(image, outputs)
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if hasattr(layer, "kernel"):
            # Keras's random initial values would be compiled, once a shape.
            layer.kernel.assign(rng.normal(scale=0.3, size=layer.kernel.shape))
    return network

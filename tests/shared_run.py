"""Short runs in a process: `python -m tests.shared_run COMMAND ...`.

Each COMMAND, one word, is a script's name and its flags. They are in a process
of their own because a process has one backend and one set of devices.
TensorFlow is given two devices; JAX takes those of XLA_FLAGS. The network is a
small one with batch normalisation, nothing is drawn, and beside its files a
run leaves last.npz, its last state, and a copy of its folder after STOP rounds.
"""

import importlib
import os
import shutil
import sys

if os.environ["KERAS_BACKEND"] == "jax":
    sys.modules["tensorflow"] = None  # Keras and POT would load it: 10 s

import keras
import numpy as np

from utils import networks, plots, runs, training
from utils.errors import run_script

SHAPE = (16, 16, 1)
STOP = 2


def build(model, tasks, **_):
    """A small network of the make of mini_Xception."""
    options = {"kernel_initializer": "zeros"}

    def convolved(x, filters, name):
        x = keras.layers.Conv2D(
            filters, 3, 2, use_bias=False, name=name, **options
        )(x)
        return keras.layers.BatchNormalization(name=f"{name}_bn")(x)

    image = keras.Input(SHAPE, name="image")
    x = keras.layers.ReLU()(convolved(image / 255, 4, "conv"))
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


def save(path, learner, state, rows, kept=training._save_state):
    kept(path, learner, state, rows)
    run = path.parent
    shutil.copy(path, run / "last.npz")
    if state["round"] == STOP:
        shutil.copytree(run, run.with_name(f"{run.name}_stopped"))


def two_cpus():
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, parts)


def main(commands):
    networks.build = build
    networks.IMAGE_SHAPES["mini_xception"] = SHAPE
    training._save_state = save
    plots._save = runs.export = lambda *_: None
    if keras.backend.backend() == "tensorflow":
        two_cpus()
    for command in commands:
        script, *flags = command.split()
        importlib.import_module(script).main(flags)


if __name__ == "__main__":
    run_script(lambda: main(sys.argv[1:]))

"""Short runs in a process: `python -m tests.shared_run COMMAND ...`.

Each COMMAND, one word, is a script's name and its flags. They are in a process
of their own because a process has one backend and one set of devices.
TensorFlow is given two devices; JAX takes those of XLA_FLAGS. The runs are
quick ones, and beside its files a run leaves last.npz, its last state, and a
copy of its folder after STOP rounds.
"""

import importlib
import os
import shutil
import sys

if os.environ["KERAS_BACKEND"] == "jax":
    importlib.import_module("tests.no_tensorflow")

import keras
import pytest

from samtl.common.errors import run_script
from samtl.training import state
from tests import quick

STOP = 2


def save(path, learner, current, rows, kept=state.save):
    kept(path, learner, current, rows)
    run = path.parent
    shutil.copy(path, run / "last.npz")
    if current["round"] == STOP:
        shutil.copytree(run, run.with_name(f"{run.name}_stopped"))


def two_cpus():
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, parts)


def main(commands):
    quick.shrink(pytest.MonkeyPatch())
    state.save = save
    if keras.backend.backend() == "tensorflow":
        two_cpus()
    for command in commands:
        script, *flags = command.split()
        importlib.import_module(script).main(flags)


if __name__ == "__main__":
    run_script(lambda: main(sys.argv[1:]))

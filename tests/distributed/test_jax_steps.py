"""Our steps with JAX are Keras's own, to the losses and variables."""

import importlib.util
import subprocess
import sys

import pytest


@pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="no jax installed"
)
def test_jax_steps_are_those_of_keras():
    subprocess.run([sys.executable, "-m", "tests.jax_steps_alone"], check=True)

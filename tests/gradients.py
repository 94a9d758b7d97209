"""Gradients on every backend, and finite differences to hold against them."""

import keras
import numpy as np
from keras import ops

# Keras computes in 64 bits under TensorFlow alone.
IS_DOUBLE = keras.backend.backend() == "tensorflow"
STEP = 1e-6 if IS_DOUBLE else 1e-2
TOLERANCE = 1e-4 if IS_DOUBLE else 2e-2


class Descent(keras.Model):
    """One matrix as a model whose loss is a function of it."""

    def __init__(self, function, start):
        super().__init__(dtype=str(start.dtype))
        self.function = function
        self.matrix = self.add_weight(
            shape=start.shape, dtype=str(start.dtype), initializer="zeros"
        )
        self.matrix.assign(start)

    def call(self, inputs):
        return inputs

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        return self.function(ops.convert_to_tensor(self.matrix))


def descend(function, start, optimizer=None, steps=1):
    """Autodiff on every backend: the step of gradient descent is read off.

    Returns:
        the gradient at `start`, or where `optimizer` is given, the matrix
        after `steps` steps of it.
    """
    model = Descent(function, start)
    model.compile(
        optimizer=optimizer or keras.optimizers.SGD(1.0), jit_compile=False
    )
    for _ in range(steps):
        model.train_on_batch(np.zeros((1, 1)), np.zeros((1, 1)))
    (after,) = model.get_weights()
    return after if optimizer else start - after


def finite_differences(function, start, step=STEP):
    """Central differences of a function of a float64 array, entry by entry."""
    gradient = np.zeros_like(start)
    for index in np.ndindex(start.shape):
        change = np.zeros_like(start)
        change[index] = step
        higher, lower = (
            float(function(ops.convert_to_tensor(start + sign * change)))
            for sign in (1, -1)
        )
        gradient[index] = (higher - lower) / (2 * step)
    return gradient


def assert_close(found, expected):
    """Compare gradients with finite differences, within what those can tell."""
    least = TOLERANCE / 10 * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=least)

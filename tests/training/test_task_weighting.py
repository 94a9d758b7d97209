"""Weights of the tasks' losses, against the formulas of their papers."""

import keras
import numpy as np
import pytest
from keras import ops

from samtl.training import task_weighting
from samtl.training.task_weighting import TaskWeighting

LOSSES = np.array([1.5, 0.2, 3.0], "float32")


def test_uncertainty_equals_the_formula_and_learns_the_variances():
    log_variances = np.array([0.3, -1.0, 0.0])
    sigma = np.exp(log_variances / 2)
    wanted = sum(LOSSES / sigma**2 + np.log(sigma))
    found = task_weighting.uncertainty(LOSSES, log_variances)
    assert float(found) == pytest.approx(wanted, rel=1e-6)
    # At its minimum, sigma^2 is twice the loss.
    best = np.log(2 * LOSSES)
    least = float(task_weighting.uncertainty(LOSSES, best))
    for step in (-0.1, 0.1):
        assert float(task_weighting.uncertainty(LOSSES, best + step)) > least
    layer = TaskWeighting("uncertainty", 3, seed=0)
    assert float(layer(LOSSES)) == pytest.approx(LOSSES.sum())
    assert len(layer.trainable_variables) == 1


def test_geometric_mean():
    wanted = np.prod(LOSSES.astype(float)) ** (1 / 3)
    found = float(TaskWeighting("geometric", 3, seed=0)(LOSSES))
    assert found == pytest.approx(wanted, rel=1e-5)


def test_random_weights_sum_to_the_number_of_tasks_and_change():
    draws = np.array([0.5, -1.0, 2.0])
    wanted = 3 * np.exp(draws) / np.exp(draws).sum()
    found = ops.convert_to_numpy(task_weighting.random_weights(draws))
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    layer = TaskWeighting("random", 3, seed=0)
    first, second = float(layer(LOSSES)), float(layer(LOSSES))
    assert first != second
    assert float(TaskWeighting("random", 3, seed=0)(LOSSES)) == first
    many = [float(layer(np.ones(3, "float32"))) for _ in range(5)]
    assert many == pytest.approx([3.0] * 5, rel=1e-5)


def test_dynamic_weights_follow_the_slower_task():
    ones = task_weighting.dynamic_weights([[2.0, 1.0]])
    assert ones.tolist() == [1, 1]
    history = [[9.0, 9.0], [2.0, 1.0], [1.0, 0.9]]
    rates = np.exp(np.array([0.5, 0.9]) / 2)
    wanted = 2 * rates / rates.sum()
    found = task_weighting.dynamic_weights(history)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    layer = TaskWeighting("dynamic", 2, seed=0)
    layer.start_round(np.array(history))
    losses = np.array([3.0, 4.0], "float32")
    assert float(layer(losses)) == pytest.approx(float(wanted @ losses))


@pytest.mark.parametrize("kind", ["equal", "dynamic"])
def test_equal_weights_are_the_sum(kind):
    layer = TaskWeighting(kind, 3, seed=0)
    layer.start_round(np.zeros((0, 3)))
    assert float(layer(keras.ops.convert_to_tensor(LOSSES))) == pytest.approx(
        LOSSES.sum()
    )

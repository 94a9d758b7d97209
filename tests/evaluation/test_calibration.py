import numpy as np
import pytest
from scipy.special import softmax

from samtl.evaluation.calibration import (
    CHANCE,
    expected_calibration_error,
    refutation,
    temperature,
)


def _calibrated(rng, count):
    """Logits [count, 4], and labels drawn by their probabilities."""
    logits = rng.normal(0, 2, (count, 4))
    draws = rng.random((count, 1))
    return logits, (softmax(logits, 1).cumsum(axis=1) < draws).sum(axis=1)


def test_temperature_is_the_factor_of_the_logits():
    logits, labels = _calibrated(np.random.default_rng(0), 20000)
    assert temperature(logits, labels) == pytest.approx(1, abs=0.05)
    assert temperature(3 * logits, labels) == pytest.approx(3, abs=0.15)
    before = expected_calibration_error(softmax(3 * logits, 1), labels)
    after = expected_calibration_error(softmax(logits, 1), labels)
    assert after < 0.02 < 0.1 < before


def test_a_calibrated_network_is_rejected_at_the_level_of_the_test():
    rng = np.random.default_rng(0)
    sets = [_calibrated(rng, 300) for _ in range(400)]
    chances = [refutation(*some, temperature(*some)) for some in sets]
    # Under the null hypothesis they are uniform: each decile holds a tenth.
    shares = np.histogram(chances, 10, (0, 1))[0] / len(sets)
    np.testing.assert_allclose(shares, 0.1, atol=0.05)
    assert np.mean(np.less(chances, CHANCE)) == pytest.approx(0.05, abs=0.03)


def test_temperature_is_one_if_all_predictions_are_right():
    logits = np.tile([1.0, 0.0], (100, 1))
    right = np.zeros(100, int)
    assert temperature(logits, right) == 1
    assert refutation(logits, right, 1) == 1
    assert temperature(logits, 1 - right) > 19
    right[0] = 1
    assert 1 / 20 < temperature(logits, right) < 1


def test_an_overconfident_network_is_rejected():
    logits, labels = _calibrated(np.random.default_rng(1), 300)
    fitted = temperature(2 * logits, labels)
    assert refutation(2 * logits, labels, fitted) < 1e-6


def test_calibration_error_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [1.0, 0.0]])
    labels = np.array([0, 1, 1, 0])
    # Bins of 0.9 (two, half right), 0.6 (right) and 1.0 (right).
    expected = (2 * 0.4 + 0.4 + 0) / 4
    found = expected_calibration_error(probabilities, labels)
    assert found == pytest.approx(expected)


def test_calibration_error_equals_a_loop():
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(5), 300)
    labels = rng.integers(0, 5, 300)
    total = 0.0
    for low in range(10):
        confidence = probabilities.max(axis=1)
        rows = (confidence * 10 >= low) & (confidence * 10 < low + 1)
        if rows.any():
            right = probabilities[rows].argmax(axis=1) == labels[rows]
            total += rows.sum() * abs(right.mean() - confidence[rows].mean())
    found = expected_calibration_error(probabilities, labels, bins=10)
    assert found == pytest.approx(total / 300)

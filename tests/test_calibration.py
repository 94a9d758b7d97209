import numpy as np
import pytest
from scipy.special import softmax

from utils.calibration import expected_calibration_error, temperature


def test_temperature_undoes_what_logits_were_multiplied_by():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20000, 4))
    draws = rng.random((20000, 1))
    labels = (softmax(logits, 1).cumsum(axis=1) < draws).sum(axis=1)
    assert temperature(logits, labels) == pytest.approx(1, abs=0.05)
    assert temperature(3 * logits, labels) == pytest.approx(3, abs=0.15)
    before = expected_calibration_error(softmax(3 * logits, 1), labels)
    after = expected_calibration_error(softmax(logits, 1), labels)
    assert after < 0.02 < 0.1 < before


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

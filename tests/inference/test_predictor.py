"""Calibrated probabilities, against the softmax of known logits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samtl.inference import loading
from samtl.inference.predictor import temperature_scaling
from tests.faces import stand_ins


def _softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_probabilities_are_the_scaled_softmax_of_the_mean_logits(
    tmp_path, temperature
):
    path = stand_ins.network(tmp_path, temperatures={"emotion": temperature})
    predictor = loading.load(path)
    levels = (0, 51, 255)
    images = [np.full(predictor.shape, v, np.uint8) for v in levels]
    for count in (3, 1, 2):  # the batch may change from call to call
        found = predictor.probabilities(images[:count])
        for task, divisor in (("emotion", temperature), ("pose", 1)):
            slope, offset = stand_ins.weights(task)
            shares = np.array(levels[:count])[:, None] / 255
            logits = shares * slope + offset
            if task == "pose":  # the mirror image swaps left and right
                logits = (logits + logits[:, ::-1]) / 2
            expected = _softmax(logits / divisor)
            np.testing.assert_allclose(found[task], expected, atol=1e-5)
    assert predictor.probabilities([])["pose"].shape == (0, 5)


@pytest.mark.parametrize("given", [None, [1.25, 18.5, 69.5]])
def test_the_expected_age_weights_the_groups_by_their_probabilities(
    tmp_path, given
):
    more = {} if given is None else {"age_years": given}
    path = stand_ins.network(tmp_path, stand_ins.WITH_AGE, **more)
    predictor = loading.load(path)
    image = np.full(predictor.shape, 100, np.uint8)
    rows = predictor.probabilities([image])
    found = {task: shares[0] for task, shares in rows.items()}
    slope, offset = stand_ins.weights("age", stand_ins.WITH_AGE)
    shares = _softmax(100 / 255 * slope + offset)
    years = given or [1, 17.5, 70]
    expected = sum(p * m for p, m in zip(shares, years, strict=True))
    assert predictor.age_years(found) == pytest.approx(expected, abs=1e-3)


def test_without_age_groups_there_is_no_expected_age(tmp_path):
    predictor = loading.load(stand_ins.network(tmp_path))
    rows = predictor.probabilities([np.zeros(predictor.shape, np.uint8)])
    assert predictor.ages == ()
    assert predictor.age_years({t: p[0] for t, p in rows.items()}) is None


@given(
    st.lists(st.floats(-8, 8), min_size=2, max_size=8),
    st.floats(0.2, 5),
)
def test_a_temperature_divides_the_logits(logits, temperature):
    logits = np.array([logits])
    np.testing.assert_allclose(
        temperature_scaling(_softmax(logits), temperature),
        _softmax(logits / temperature),
        atol=1e-5,
    )


def test_probability_zero_stays_finite():
    found = temperature_scaling(np.array([[1.0, 0.0]], np.float32), 3.0)
    assert np.isfinite(found).all()
    assert found[0, 0] > 0.99

"""A face with its probabilities: what follows from them."""

import pytest

from samtl.faces import prediction


def test_yaw_is_the_expectation():
    # By hand; the side of the most probable class counts.
    assert prediction.yaw({"left": 0.25, "frontal": 0.25, "right": 0.5}) == 20
    assert prediction.yaw({"left": 0.25, "frontal": 0.5, "right": 0.25}) == 0
    two = {"left profile": 0.5, "frontal": 0.1, "right profile": 0.4}
    assert prediction.yaw(two) == pytest.approx(-67.5 * 0.5 / 0.6)

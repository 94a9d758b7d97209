import numpy as np
import pytest

from samtl.pseudo_labels import sampling


@pytest.mark.parametrize("statements", [1, 40])
def test_bound_is_that_of_the_error_probability(statements):
    bound = sampling.error_bound(500, statements)
    missed = 2 * statements * np.exp(-2 * 500 * bound**2)
    assert missed == pytest.approx(1 - sampling.CONFIDENCE)


def test_bound_holds_for_shares_and_for_whole_distributions():
    random = np.random.default_rng(0)
    bound = sampling.error_bound(300)
    drawn = np.sort(random.random((2000, 300)), axis=1)
    ranks = np.arange(301) / 300
    above = (ranks[1:] - drawn).max(axis=1)
    below = (drawn - ranks[:-1]).max(axis=1)
    shares = np.abs((drawn < 0.5).mean(axis=1) - 0.5)
    assert (shares > bound).mean() < 0.01
    assert 0.002 < (np.maximum(above, below) > bound).mean() < 0.015


def test_pairs_are_uniform_and_never_of_one_with_itself():
    first, second = sampling.random_pairs(4, 60_000, np.random.default_rng(1))
    counts = np.zeros((4, 4))
    np.add.at(counts, (first, second), 1)
    assert not counts.diagonal().any()
    others = counts[~np.eye(4, dtype=bool)]
    assert np.abs(others - 5000).max() < 5 * np.sqrt(5000)

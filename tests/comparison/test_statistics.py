"""The statistics against scipy, published values and enumeration by hand."""

from argparse import Namespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks import significance
from samtl.comparison import statistics

PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def bits(random, runs, images, chance=0.7):
    return random.random((runs, images)) < chance


def paired(one, two, draws=statistics.DRAWS):
    """The test of two methods: [S, N] bool each."""
    resampled = statistics.resampled(np.concatenate([one, two]), draws)
    count = len(one)
    by_draw = (resampled[:, :count] - resampled[:, count:]).mean(axis=1)
    return statistics.paired_test(
        one.mean(axis=1) - two.mean(axis=1), by_draw.var()
    )


def test_resamples_draw_the_same_images_for_all_runs():
    correct = bits(np.random.default_rng(0), 3, 50)
    found = statistics.resampled(np.concatenate([correct, ~correct]), 1200)
    assert found.shape == (1200, 6)
    np.testing.assert_allclose(found[:, :3] + found[:, 3:], 1)


def test_resamples_are_drawn_as_numpy_draws_them():
    correct = bits(np.random.default_rng(0), 2, 30)
    images = np.random.default_rng(5).integers(30, size=(40, 30))
    expected = [[run[row].mean() for run in correct] for row in images]
    found = statistics.resampled(correct, 40, seed=5)
    np.testing.assert_allclose(found, expected)


def test_one_seed_agrees_with_scipys_paired_bootstrap():
    random = np.random.default_rng(1)
    one, two = bits(random, 1, 500, 0.75), bits(random, 1, 500, 0.7)
    expected = stats.bootstrap(
        (one[0].astype(float), two[0].astype(float)),
        lambda one, two, axis: one.mean(axis) - two.mean(axis),
        paired=True,
        n_resamples=statistics.DRAWS,
        method="percentile",
        rng=random,
    ).confidence_interval
    found = paired(one, two)
    assert found.difference == pytest.approx(one.mean() - two.mean())
    assert found[1:3] == pytest.approx(expected, abs=0.003)


def test_one_seed_agrees_with_mcnemar():
    """Which looks only at the images that one of the two has wrong."""
    for gained, lost in ((60, 40), (70, 40), (45, 45)):
        one, two = np.ones((2, 1, 1000), bool)
        two[0, :gained] = False
        one[0, gained : gained + lost] = False
        expected = stats.binomtest(gained, gained + lost).pvalue
        assert paired(one, two).p == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("seeds", [2, 5])
def test_without_chance_in_the_images_it_is_the_paired_t_test(seeds):
    one, two = np.random.default_rng(1).normal(0.6, 0.02, (2, seeds))
    expected = stats.ttest_rel(one, two)
    found = statistics.paired_test(one - two, 0.0)
    assert found.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(statistics.LEVEL)
    assert found[1:3] == pytest.approx(interval)


def test_both_sources_of_variance_add_up():
    """By hand: 0.0004 over images; over seeds 0.0004 / 3, two freedoms."""
    found = statistics.paired_test(np.array([0.03, 0.01, 0.05]), 0.0004)
    error = np.sqrt(0.0004 + 0.0004 / 3)  # four times the seeds' share
    t = stats.t(2 * 4**2)
    assert found.difference == pytest.approx(0.03)
    assert found.p == pytest.approx(2 * t.sf(0.03 / error))
    assert found.high - 0.03 == pytest.approx(t.ppf(0.975) * error)


def test_one_seed_knows_of_the_images_alone():
    found = statistics.paired_test([0.02], 0.0001)
    assert found.p == pytest.approx(2 * stats.norm.sf(2))


def test_equal_methods_cannot_be_told_apart():
    one = bits(np.random.default_rng(3), 3, 100)
    assert paired(one, one) == (0, 0, 0, 1)


@pytest.mark.parametrize("factor", [1, 4])
def test_equally_good_methods_are_rarely_told_apart(factor):
    """Also where one of them varies more than the others."""
    args = Namespace(tables=100, seeds=5, images=300)
    found = significance.shares([factor * 1.6, 1.6, 1.6, 1.6], args)
    for name in ("own", "Delta_m"):
        assert max(found[name]) <= 0.07, name
    assert (found["one for all"][0] > 0.07) == (factor == 4)


def test_the_two_ways_round_mirror_each_other():
    random = np.random.default_rng(4)
    one, two = bits(random, 3, 200, 0.8), bits(random, 3, 200, 0.7)
    there, back = paired(one, two), paired(two, one)
    assert there.difference > 0
    assert there[:3] == pytest.approx((-back[0], -back[2], -back[1]))
    assert there.p == back.p


def test_p_is_below_five_percent_where_the_interval_leaves_out_zero():
    random = np.random.default_rng(5)
    for chance in np.linspace(0.7, 0.76, 13):
        found = paired(bits(random, 2, 300, chance), bits(random, 2, 300))
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


def test_holm_by_hand():
    found = statistics.holm([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(found, [0.03, 0.06, 0.06, 0.02])


@given(PROBABILITIES, st.floats(0.001, 1))
def test_holm_rejects_as_the_procedure_step_by_step(p, alpha):
    rejected = np.zeros(len(p), bool)
    for step, index in enumerate(np.argsort(p, kind="stable")):
        if p[index] * (len(p) - step) >= alpha:
            break
        rejected[index] = True
    np.testing.assert_array_equal(statistics.holm(p) < alpha, rejected)


def test_ranks_by_hand():
    scores = [[0.9, 0.8, 0.7], [0.5, 0.6, 0.5]]
    np.testing.assert_allclose(
        statistics.average_ranks(scores), [1.75, 1.5, 2.75]
    )


def test_ranks_give_friedmans_statistic():
    """chi2 = 12 N / (k (k + 1)) (sum R_j^2 - k (k + 1)^2 / 4), Demsar."""
    scores = np.random.default_rng(6).random((12, 5))
    ranks = statistics.average_ranks(scores)
    found = 12 * 12 / 30 * ((ranks**2).sum() - 5 * 36 / 4)
    expected = stats.friedmanchisquare(*scores.T).statistic
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("methods", "q"), [(2, 1.960), (4, 2.569), (10, 3.164)]
)
def test_critical_difference_has_the_published_quantiles(methods, q):
    """Table 5(a) of Demsar 2006; his example of 4 and 14 is 1.25."""
    expected = q * np.sqrt(methods * (methods + 1) / (6 * 14))
    found = statistics.critical_difference(methods, 14)
    assert found == pytest.approx(expected, rel=5e-4)
    if methods == 4:
        assert found == pytest.approx(1.25, abs=0.005)

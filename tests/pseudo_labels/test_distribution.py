"""Distribution similarity against POT, linear programming and loops."""

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from samtl.pseudo_labels import distribution, distribution_similarity, sampling
from samtl.pseudo_labels.distribution import DistributionConfig as Config


def naive_squared_mmd(x, y, bandwidth):
    """Gretton et al. 2012, equation 3, in float64 loops."""
    x, y = np.asarray(x, "float64"), np.asarray(y, "float64")

    def kernel(a, b):
        squared = np.square(a - b).sum()
        factors = (0.25, 0.5, 1, 2, 4)
        return np.mean(
            [np.exp(-squared / (2 * f * bandwidth**2)) for f in factors]
        )

    def within(a):
        n = range(len(a))
        pairs = [kernel(a[i], a[j]) for i in n for j in n if i != j]
        return np.mean(pairs) if pairs else 1.0

    across = np.mean([kernel(a, b) for a in x for b in y])
    return within(x) + within(y) - 2 * across


@pytest.mark.parametrize("sizes", [(1, 1), (1, 9), (2, 140), (150, 131)])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_mmd_equals_naive_double_loop(sizes, shift):
    random = np.random.default_rng(0)
    x = (random.normal(size=(sizes[0], 5)) + 20).astype("float32")
    y = (random.normal(size=(sizes[1], 5)) + 20 + shift).astype("float32")
    bandwidth = distribution.median_bandwidth(x, y)
    found = distribution.squared_mmd(x, y, bandwidth)
    assert abs(found - naive_squared_mmd(x, y, bandwidth)) < 1e-5


def test_mmd_across_large_blocks():
    random = np.random.default_rng(1)
    x, y = random.normal(size=(1030, 2)), random.normal(size=(200, 2)) + 1
    squared = np.square(x[:, None] - y[None]).sum(axis=-1)

    def mean_kernel(squared):
        factors = (0.25, 0.5, 1, 2, 4)
        return np.mean([np.exp(-squared / (2 * f)) for f in factors], axis=0)

    def within(a):
        squared = np.square(a[:, None] - a[None]).sum(axis=-1)
        return mean_kernel(squared[np.triu_indices(len(a), 1)]).mean()

    expected = within(x) + within(y) - 2 * mean_kernel(squared).mean()
    assert abs(distribution.squared_mmd(x, y, 1.0) - expected) < 1e-5


def test_mmd_of_many_samples_is_within_the_bound_of_random_pairs(monkeypatch):
    random = np.random.default_rng(8)
    x, y = random.normal(size=(400, 3)), random.normal(size=(300, 3)) + 0.5
    exact = distribution.squared_mmd(x, y, 2.0)
    monkeypatch.setattr(distribution, "EXACT_MEAN", 299)
    estimated = distribution.squared_mmd(x, y, 2.0)
    bound = sampling.error_bound(distribution.KERNEL_PAIRS, 2)
    assert 0 < abs(estimated - exact) <= 2 * bound
    assert estimated == distribution.squared_mmd(x, y, 2.0)


def test_mmd_is_unbiased():
    """Two samples of one distribution: zero on average, of either sign."""
    random = np.random.default_rng(2)
    found = [
        distribution.squared_mmd(*random.normal(size=(2, 40, 3)), 2.0)
        for _ in range(60)
    ]
    assert min(found) < 0 < max(found)
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(60)


def test_median_bandwidth():
    # Distances 1, 4, 3 and, between equal points, 0, which does not count.
    x, y = np.array([[0.0], [0.0], [1.0]]), np.array([[4.0]])
    # 0-0: 0; 0-1: 1, 1; 0-4: 4, 4; 1-4: 3.
    assert distribution.median_bandwidth(x, y) == 3.0
    assert distribution.median_bandwidth(x[:2], x[:1]) == 1.0


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5))
def test_transport_equals_pot_and_linear_programming(seed, rows, columns):
    random = np.random.default_rng(seed)
    means = random.normal(size=(rows, 4))
    targets = random.normal(size=(columns, 4))
    shares = random.dirichlet(np.ones(rows))
    capacities = random.dirichlet(np.ones(columns))
    found = distribution.partial_transport(means, shares, targets, capacities)
    for j in range(rows):
        cost = np.linalg.norm(means[j] - targets, axis=1)
        # POT's balanced solver, with a free source for what is left over.
        rest = max(0.0, capacities.sum() - shares[j])
        balanced = ot.emd2(
            [shares[j], rest],
            capacities * (shares[j] + rest) / capacities.sum(),
            np.stack([cost, np.zeros(columns)]),
        )
        linear = linprog(
            cost,
            A_eq=np.ones((1, columns)),
            b_eq=[min(shares[j], capacities.sum())],
            bounds=[(0, capacity) for capacity in capacities],
        )
        assert found[j] == pytest.approx(balanced / shares[j], abs=1e-9)
        assert found[j] == pytest.approx(linear.fun / shares[j], abs=1e-6)


def test_transport_by_hand():
    """0.7 from the origin: 0.5 to distance 1, the other 0.2 to distance 3."""
    found = distribution.partial_transport(
        np.array([[0.0], [3.0]]),
        np.array([0.7, 0.3]),
        np.array([[1.0], [3.0]]),
        np.array([0.5, 0.5]),
    )
    np.testing.assert_allclose(found, [(0.5 * 1 + 0.2 * 3) / 0.7, 0.0])


@pytest.mark.parametrize("metric", ["emd", "mmd", "both"])
def test_single_component_by_hand(metric):
    random = np.random.default_rng(3)
    pool = (random.normal(size=(30, 4)) + 0.7).astype("float32")
    known = random.normal(size=(50, 4)).astype("float32")
    centre = known.mean(axis=0)
    scale = np.sqrt(np.square(known - centre).sum(axis=1).mean())
    emd = np.linalg.norm(pool.mean(axis=0) - centre) / scale
    bandwidth = distribution.median_bandwidth(pool, known, seed=5)
    mmd = np.sqrt(naive_squared_mmd(pool, known, bandwidth))
    exponent = {"emd": emd, "mmd": mmd, "both": emd + mmd}[metric]
    zeros, ones = np.zeros(30, int), np.zeros(50, int)
    found = distribution_similarity(
        pool, zeros, known, ones, Config(1, metric, gamma=1.5, seed=5)
    )
    np.testing.assert_allclose(found, np.exp(-1.5 * exponent), rtol=1e-4)


def test_mmd_in_a_narrow_class_far_from_another():
    random = np.random.default_rng(8)
    known = random.normal(size=(80, 4)) * 1e-4
    pool = random.normal(size=(60, 4)) * 1e-4 + 5e-5
    far = random.normal(size=(80, 4)) * 1e-4 + 1
    pool, known, far = (x.astype("float32") for x in (pool, known, far))
    found = distribution_similarity(
        pool,
        np.zeros(60, int),
        np.concatenate([known, far]),
        np.repeat([0, 1], 80),
        Config(cluster_k=1, metric="mmd"),
    )
    bandwidth = distribution.median_bandwidth(pool, known)
    expected = np.exp(-np.sqrt(naive_squared_mmd(pool, known, bandwidth)))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_pool_at_a_huge_distance_is_not_alike():
    known = np.random.default_rng(9).normal(size=(200, 2)) * 1e-20
    pool = np.ones((5, 2)) + np.arange(5)[:, None]
    found = distribution_similarity(
        pool, np.zeros(5, int), known, np.zeros(200, int), Config(metric="mmd")
    )
    assert found.max() < 0.5


@pytest.mark.parametrize("apart", [0.0, 1e-6])
def test_copies_borrow_the_scale_of_all(apart):
    copies = np.array([[3.0], [3.0 + apart]], "float32")
    found = distribution_similarity(
        np.array([[2.5]], "float32"),
        [0],
        np.concatenate([copies, [[0.0], [9.0]]]),
        [0, 0, 1, 1],
        Config(metric="emd"),
    )
    spread = distribution.root_mean_square(np.array([[3.0], [3], [0], [9]]))
    np.testing.assert_allclose(found, np.exp(-0.5 / spread), rtol=1e-3)


def test_an_unlike_cluster_has_a_lower_weight():
    random = np.random.default_rng(4)
    known = random.normal(size=(300, 8))
    alike = random.normal(size=(100, 8))
    strange = random.normal(size=(100, 8)) + 6
    for metric in ("emd", "mmd", "both"):
        found = distribution_similarity(
            np.concatenate([alike, strange]),
            np.zeros(200, int),
            known,
            np.zeros(300, int),
            Config(2, metric),
        )
        assert found[:100].min() > 0.6
        assert found[100:].max() < 0.5


def test_classes_are_separate_unless_the_scope_is_all():
    random = np.random.default_rng(5)
    known = np.concatenate([random.normal(size=(80, 3)) + s for s in (0, 9)])
    known_labels = np.repeat([0, 1], 80)
    pool = random.normal(size=(40, 3))  # similar to class 0
    wrong = np.ones(40, int)
    by_class = distribution_similarity(
        pool, wrong, known, known_labels, Config(2, "emd")
    )
    overall = distribution_similarity(
        pool, wrong, known, known_labels, Config(2, "emd", gmm_scope="all")
    )
    assert by_class.max() < 0.1
    assert overall.min() > 0.5


@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")
@pytest.mark.parametrize("metric", ["emd", "mmd", "both"])
def test_edge_cases(metric):
    def similarity(pool, labels, known, known_labels, components=3):
        return distribution_similarity(
            np.asarray(pool, "float32"),
            np.asarray(labels, int),
            np.asarray(known, "float32"),
            np.asarray(known_labels, int),
            Config(components, metric),
        )

    # A class without reference samples; then no reference, then no pool.
    found = similarity([[0.0], [0.0]], [0, 1], [[0.0], [1.0]], [0, 0])
    assert found[0] > 0
    assert found[1] == 0
    assert similarity([[0.0]], [0], np.zeros((0, 1)), []) == [0]
    assert similarity(np.zeros((0, 1)), [], [[0.0]], [0]).shape == (0,)
    # One sample each: the same place is fully alike, another is less.
    assert similarity([[2.0]], [0], [[2.0]], [0]) == [1]
    assert 0 <= similarity([[2.0]], [0], [[3.0]], [0]) < 1
    # The single reference sample borrows the scale of the whole set.
    found = similarity([[2.0]], [0], [[3.0], [0.0], [9.0]], [0, 1, 1])
    assert 0 < found < 1
    # Constant features, more components than samples.
    same = np.full((10, 4), 0.1)
    np.testing.assert_allclose(similarity(same, [0] * 10, same, [0] * 10), 1)
    found = similarity(np.eye(2), [0, 0], np.eye(2), [0, 0], components=50)
    assert found.shape == (2,)
    assert found.min() > 0.5


@pytest.mark.parametrize("wrong", [{"metric": "kl"}, {"gmm_scope": "none"}])
def test_refuses_unknown_choices(wrong):
    one = np.zeros((1, 2)), np.zeros(1, int)
    with pytest.raises(ValueError, match="unknown"):
        distribution_similarity(*one, *one, Config(**wrong))


def test_gamma_zero_is_one():
    random = np.random.default_rng(6)
    found = distribution_similarity(
        random.normal(size=(20, 3)) + 50,
        np.zeros(20, int),
        random.normal(size=(20, 3)),
        np.zeros(20, int),
        Config(gamma=0.0),
    )
    np.testing.assert_allclose(found, 1, rtol=1e-6)


@settings(max_examples=20)
@given(
    st.integers(0, 10**6),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 4),
)
def test_properties(seed, count, known_count, components):
    random = np.random.default_rng(seed)
    pool = random.normal(size=(count, 3)).astype("float32")
    labels = random.integers(0, 3, size=count)
    known = random.normal(size=(known_count, 3)).astype("float32")
    known_labels = random.integers(0, 3, size=known_count)

    def similarity(pool, labels, known, components):
        return distribution_similarity(
            pool, labels, known, known_labels, Config(components)
        )

    found = similarity(pool, labels, known, components)
    assert found.min() >= 0
    assert found.max() <= 1
    missing = ~np.isin(labels, known_labels)
    assert (found[missing] == 0).all()
    # With one component there is no K-means start that depends on order.
    order = random.permutation(count)
    whole = similarity(pool, labels, known, 1)
    np.testing.assert_allclose(
        similarity(pool[order], labels[order], known, 1),
        whole[order],
        rtol=1e-3,
        atol=1e-5,
    )
    # Neither shift nor unit of the features matters.
    np.testing.assert_allclose(
        similarity(pool * 4 + 2, labels, known * 4 + 2, 1),
        whole,
        rtol=1e-3,
        atol=1e-5,
    )


def test_a_mixture_of_narrow_features_far_from_zero_fits():
    rng = np.random.default_rng(0)
    features = (100 + 0.01 * rng.normal(size=(5000, 8))).astype("float32")
    mixture = distribution.fit_mixture(features, 3)
    np.testing.assert_allclose(mixture.means, 100, atol=0.1)
    np.testing.assert_allclose(mixture.responsibilities.sum(axis=1), 1)


@pytest.mark.parametrize("distance", [1e5, 1e6, 1e7])
def test_a_pool_far_from_a_collapsed_reference_has_weights(distance):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        reference = np.maximum(0, rng.normal(size=(50, 8))) * 1e-6
        reference[0] += 1e-9
        pool = (np.abs(rng.normal(size=(30, 8))) + 1) * distance * 1e-6
        pool[:10] = pool[0]
        weights = distribution.distribution_similarity(
            pool.astype("float32"),
            np.zeros(30, int),
            reference.astype("float32"),
            np.zeros(50, int),
            Config(cluster_k=6),
        )
        assert ((weights >= 0) & (weights <= 1)).all()

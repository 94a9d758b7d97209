"""Local density against a naive double loop in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from samtl.pseudo_labels import density, local_density, sampling


def naive(features, labels, quantile):
    """CurriculumNet's density as it is written down: [N] weights."""
    features = np.asarray(features, "float64")
    weights = np.ones(len(features))
    for label in set(labels.tolist()):
        members = [i for i, other in enumerate(labels) if other == label]
        distances = {
            (i, j): np.sqrt(np.square(features[i] - features[j]).sum())
            for i in members
            for j in members
            if i != j
        }
        if not distances:
            continue
        cutoff = np.quantile(
            [distances[i, j] for i, j in distances if i < j], quantile
        )
        rho = np.array(
            [
                sum(distances[i, j] < cutoff for j in members if j != i)
                for i in members
            ]
        )
        if rho.max() > rho.min():
            weights[members] = (rho - rho.min()) / (rho.max() - rho.min())
    return weights


def brute(features, quantile):
    """Neighbour counts by full float64 matrices, for larger sets."""
    features = np.asarray(features, "float64")
    squared = [np.square(row - features).sum(axis=1) for row in features]
    distances = np.sqrt(squared)
    cutoff = np.quantile(distances[np.triu_indices(len(features), 1)], quantile)
    np.fill_diagonal(distances, np.inf)
    return (distances < cutoff).sum(axis=1)


@pytest.mark.parametrize("quantile", [0.0, 0.05, 0.6, 1.0])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_equals_naive_double_loop(quantile, offset):
    random = np.random.default_rng(0)
    features = random.gamma(1.0, size=(150, 7)).astype("float32") + offset
    features = features.astype("float32")
    labels = random.choice([0, 2, 5], size=150, p=[0.6, 0.3, 0.1])
    found = local_density(features, labels, quantile)
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found, naive(features, labels, quantile), rtol=1e-6
    )


@pytest.mark.parametrize("count", [2, 3, 128, 129, 1024, 1025, 1500])
def test_counts_are_exact_across_block_borders(count):
    random = np.random.default_rng(count)
    features = random.normal(size=(count, 16)).astype("float32")
    np.testing.assert_array_equal(
        density.neighbours(features, 0.6), brute(features, 0.6)
    )


@pytest.mark.parametrize("quantile", [0.0, 0.0003, 0.3, 0.9, 1.0])
def test_ties_and_duplicates_are_exact(quantile):
    random = np.random.default_rng(1)
    lattice = random.integers(0, 2, size=(600, 9)).astype("float32")
    triplets = np.repeat(random.normal(size=(200, 4)), 3, axis=0)
    for features in (lattice, triplets.astype("float32")):
        np.testing.assert_array_equal(
            density.neighbours(features, quantile), brute(features, quantile)
        )


def test_narrows_the_bracket_when_it_may_hold_few_pairs(monkeypatch):
    monkeypatch.setattr(density, "HELD_PAIRS", 500)
    features = np.random.default_rng(2).normal(size=(700, 12))
    features = features.astype("float32")
    for quantile in (0.0, 0.6, 1.0):
        np.testing.assert_array_equal(
            density.neighbours(features, quantile), brute(features, quantile)
        )


def test_too_many_ties_to_hold_count_as_ties(monkeypatch):
    monkeypatch.setattr(density, "HELD_PAIRS", 500)
    random = np.random.default_rng(3)
    features = random.integers(0, 2, size=(400, 6)).astype("float32")
    np.testing.assert_array_equal(
        density.neighbours(features, 0.5), brute(features, 0.5)
    )


def test_recovers_from_a_bracket_that_missed(monkeypatch):
    monkeypatch.setattr(density, "SMALL_POOL", 0)
    features = np.random.default_rng(4).normal(size=(300, 5))
    features = features.astype("float32")
    expected = brute(features, 0.6)
    np.testing.assert_array_equal(density.neighbours(features, 0.6), expected)
    for bracket in ((0.0, 0.1), (50.0, 60.0)):
        monkeypatch.setattr(density, "_guess", lambda *_, b=bracket: b)
        np.testing.assert_array_equal(
            density.neighbours(features, 0.6), expected
        )


@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("distance", [5, 300, 1e5])
@pytest.mark.parametrize("held", [500, density.HELD_PAIRS])
def test_outliers_leave_the_counts_exact(monkeypatch, count, distance, held):
    monkeypatch.setattr(density, "HELD_PAIRS", held)
    features = np.random.default_rng(6).normal(size=(300, 8))
    features[::5][:count] *= distance
    features = features.astype("float32")
    for quantile in (0.0, 0.6, 0.99, 1.0):
        np.testing.assert_array_equal(
            density.neighbours(features, quantile), brute(features, quantile)
        )


@pytest.mark.parametrize("ends", [[1.0], [1.0, -1.0]])
def test_coinciding_samples_and_outliers(monkeypatch, ends):
    monkeypatch.setattr(density, "HELD_PAIRS", 500)
    features = np.concatenate([np.zeros(200), ends])[:, None].astype("float32")
    for quantile in (0.5, 1.0):
        np.testing.assert_array_equal(
            density.neighbours(features, quantile), brute(features, quantile)
        )


def test_outlier_far_away_does_not_blur_the_others():
    features = np.random.default_rng(5).normal(size=(200, 8))
    features = features.astype("float32")
    features[0] += 1e4
    np.testing.assert_array_equal(
        density.neighbours(features, 0.4), brute(features, 0.4)
    )


@pytest.mark.parametrize("unit", [1e-30, 1e25])
def test_tiny_and_huge_units(unit):
    features = np.random.default_rng(6).normal(size=(90, 4)) * unit
    features = features.astype("float32")
    np.testing.assert_array_equal(
        density.neighbours(features, 0.4), brute(features, 0.4)
    )


@pytest.mark.parametrize("quantile", [0.3, 0.6, 1.0])
def test_outliers_at_a_great_distance_leave_the_counts_exact(
    monkeypatch, quantile
):
    monkeypatch.setattr(density, "HELD_PAIRS", 2000)
    features = np.random.default_rng(8).normal(size=(300, 6))
    features[:4] *= 1e12
    features = features.astype("float32")
    np.testing.assert_array_equal(
        density.neighbours(features, quantile), brute(features, quantile)
    )


@pytest.mark.parametrize("width", [1, 16, 2000])
@pytest.mark.parametrize("outlier", [1.0, 1e6])
def test_bounds_of_squared_distances_hold(width, outlier):
    random = np.random.default_rng(width)
    centred = np.maximum(random.normal(size=(60, width)), -0.2) / 8
    centred[0] *= outlier
    centred = centred.astype("float32")
    blocks, gaps = density._lower_bounds(centred)
    exact = np.square(centred.astype("float64")[:, None] - centred[None]).sum(
        axis=2
    )
    for _, _, tile in density.distances.within(blocks):
        lower = np.asarray(tile)[:60, :60]
        upper = lower + gaps[:60, None] + gaps[:60]
        upper_half = np.triu_indices(60, 1)
        assert (lower <= exact)[upper_half].all()
        assert (exact <= upper)[upper_half].all()


def test_refuses_what_has_no_order():
    with pytest.raises(ValueError, match="finite"):
        local_density(np.array([[0.0], [np.nan]]), np.zeros(2, int), 0.6)
    with pytest.raises(ValueError, match="quantile"):
        local_density(np.zeros((2, 1)), np.zeros(2, int), 1.5)


def test_hand_computed_line():
    """Points 0, 1, 2, 10: distances 1 1 2 8 9 10, the median cut is 8."""
    features = np.array([[0], [1], [2], [10]], "float32")
    # Pairs below: (0,1), (1,2), (0,2): rho = 2, 2, 2, 0.
    np.testing.assert_array_equal(
        local_density(features, np.zeros(4, int), 0.5), [1, 1, 1, 0]
    )


def test_edge_cases_get_one():
    features = np.array([[0.1], [7], [7], [7], [1], [2]], "float32")
    labels = np.array([3, 1, 1, 1, 0, 0])  # one member; all equal; two members
    np.testing.assert_array_equal(
        local_density(features, labels, 0.6), np.ones(6)
    )
    empty = local_density(np.zeros((0, 4), "float32"), np.zeros(0, int), 0.6)
    assert empty.shape == (0,)


def crowd(count=700):
    """Features in two lumps and a haze around them: densities of all kinds."""
    random = np.random.default_rng(7)
    spread = random.choice([0.1, 0.5, 3.0], size=(count, 1))
    features = random.normal(size=(count, 8)) * spread
    features[: count // 3] += 2
    return features.astype("float32")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("quantile", [0.1, 0.6])
def test_estimate_is_within_its_bound_of_the_exact_density(seed, quantile):
    features, labels = crowd(), np.zeros(700, int)
    found, bounds = density.bounded_density(features, labels, quantile, 0, seed)
    assert 0 < bounds.weight < 0.25
    assert 0 < bounds.quantile < 0.01
    error = np.abs(found - local_density(features, labels, quantile))
    assert 0 < error.max() <= bounds.weight
    # Shares grow with the radius, whose quantile is known to bounds.quantile.
    low, high = (
        (brute(features, quantile + shift) + 1) / len(features)
        for shift in (-bounds.quantile, bounds.quantile)
    )
    shares = density.estimated_shares(features, quantile, seed)
    off = sampling.error_bound(density.REFERENCES, 2 * len(features))
    assert (low - off <= shares).all()
    assert (shares <= high + off).all()


def test_estimate_repeats_and_leaves_small_classes_exact():
    features = crowd()
    labels = np.repeat([4, 1], [500, 200])
    exact = local_density(features, labels, 0.6)
    found, bounds = density.bounded_density(features, labels, 0.6, 499, 3)
    again, _ = density.bounded_density(features, labels, 0.6, 499, 3)
    other, _ = density.bounded_density(features, labels, 0.6, 499, 4)
    np.testing.assert_array_equal(found, again)
    assert (found[:500] != exact[:500]).any()
    assert (found[:500] != other[:500]).any()
    np.testing.assert_array_equal(found[500:], exact[500:])
    all_exact, no_bounds = density.bounded_density(features, labels, 0.6, 500)
    np.testing.assert_array_equal(all_exact, exact)
    assert bounds is not None
    assert no_bounds is None


@pytest.mark.parametrize("unit", [2.0**-100, 2.0**80])
def test_estimate_of_tiny_and_huge_units(unit):
    np.testing.assert_array_equal(
        density.estimated_shares(crowd(300) * np.float32(unit), 0.6),
        density.estimated_shares(crowd(300), 0.6),
    )


def test_estimate_of_equal_and_of_single_members_has_no_bound():
    features = np.full((9, 2), 0.1, "float32")
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1, 2])
    found, bounds = density.bounded_density(features, labels, 0.6, 0)
    np.testing.assert_array_equal(found, np.ones(9))
    assert bounds.weight == 1


pools = st.integers(1, 40).flatmap(
    lambda count: st.tuples(
        arrays.arrays(
            "float32", (count, 3), elements=st.integers(-8, 8).map(float)
        ),
        arrays.arrays("int64", count, elements=st.integers(0, 2)),
        st.integers(0, 100).map(lambda percent: percent / 100),
        st.permutations(range(count)),
    )
)


@settings(max_examples=40)
@given(pools)
def test_properties(pool):
    features, labels, quantile, order = pool
    found = local_density(features, labels, quantile)
    np.testing.assert_allclose(
        found, naive(features, labels, quantile), rtol=1e-6
    )
    for label in np.unique(labels):
        assert found[labels == label].max() == 1
    order = np.array(order)
    np.testing.assert_array_equal(
        local_density(features[order], labels[order], quantile), found[order]
    )
    # Rotation by a quarter turn, shift and scale are exact on small integers.
    turned = np.stack([-features[:, 1], features[:, 0], features[:, 2]], 1)
    np.testing.assert_array_equal(
        local_density(turned * 4 + 100, labels, quantile), found
    )

"""Triples against hand-computed numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samtl import pseudo_labels
from samtl.common.errors import UserError
from samtl.pseudo_labels import targets

# softmax((0, ln 3)) = (1/4, 3/4); at temperature 2 it is (1, sqrt 3) / sum.
LOGITS = np.log(np.array([[1, 3], [3, 1], [1, 1], [9, 1]], "float32"))
SOFT = np.array([[1, 3**0.5], [3**0.5, 1], [1, 1], [3, 1]])
SOFT = SOFT / SOFT.sum(axis=1, keepdims=True)
HARD = np.array([[0, 1], [1, 0], [1, 0], [1, 0]])


def check(triples, target, weight, temperature):
    np.testing.assert_allclose(triples.target, target, rtol=1e-6)
    np.testing.assert_allclose(triples.weight, weight, rtol=1e-6)
    np.testing.assert_allclose(triples.temperature, temperature)
    for array in arrays(triples):
        assert array.dtype == np.float32


def arrays(triples):
    return triples.target, triples.weight, triples.temperature


def test_confidence_by_hand():
    probabilities = np.array([[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]], "float32")
    found = np.asarray(pseudo_labels.confidence(probabilities))
    np.testing.assert_array_equal(found, np.float32([0.5, 0.4]))


def test_naive():
    check(pseudo_labels.naive_triples(LOGITS), np.full((4, 2), 0.5), 0, 1)


def test_distilled():
    check(pseudo_labels.distilled_triples(LOGITS, 2.0), SOFT, 1, 2)
    quarter = [[0.25, 0.75], [0.75, 0.25], [0.5, 0.5], [0.9, 0.1]]
    check(pseudo_labels.distilled_triples(LOGITS, 1.0), quarter, 1, 1)


def test_hard_selection_distils_the_rest():
    weights = np.array([0.1, 0.4, 0.2, 1.0], "float32")
    # The median of the weights is 0.3: samples 1 and 3 are above.
    check(
        pseudo_labels.hard_triples(
            LOGITS, weights, pseudo_labels.select(weights, 0.5), 2.0
        ),
        [SOFT[0], HARD[1], SOFT[2], HARD[3]],
        [1, 0.4, 1, 1],
        [2, 1, 2, 1],
    )


def test_hard_selection_at_zero_keeps_all():
    weights = np.array([0.0, 0.4, 0.2, 1.0], "float32")
    selected = pseudo_labels.select(weights, 0.0)
    check(
        pseudo_labels.hard_triples(LOGITS, weights, selected, 2.0),
        HARD,
        weights,
        1,
    )


def test_interpolation():
    weights = np.array([0.1, 0.4, 0.2, 1.0])
    blend = weights[:, None] * HARD + (1 - weights[:, None]) * SOFT
    check(pseudo_labels.interpolated_triples(LOGITS, weights, 2.0), blend, 1, 1)
    constant = 0.3 * HARD + 0.7 * SOFT
    check(pseudo_labels.interpolated_triples(LOGITS, 0.3, 2.0), constant, 1, 1)


@pytest.mark.parametrize(
    ("weights", "threshold", "kept"),
    [
        ([0.1, 0.2, 0.3, 0.4, 1.0], 0.8, [4]),  # quantile 0.52
        ([0.0, 0.2, 0.3, 0.4, 1.0], 0.0, [0, 1, 2, 3, 4]),
        ([0.1, 0.2, 0.3, 0.4, 1.0], 0.5, [3, 4]),  # strictly above 0.3
        ([0.1, 0.5, 1.0, 1.0, 1.0], 0.8, [2, 3, 4]),  # quantile = maximum
        ([1.0, 1.0, 1.0], 0.8, [0, 1, 2]),  # no weight chosen
        ([0.1, 0.2, 1.0], 1.0, []),
        ([0.0, 0.0, 0.0], 0.8, []),
        ([0.0, 0.0, 0.0], 0.0, []),
        ([], 0.8, []),
    ],
)
def test_select(weights, threshold, kept):
    found = pseudo_labels.select(np.array(weights), threshold)
    np.testing.assert_array_equal(np.flatnonzero(found), kept)


def test_threshold_keeps_the_top_fifth():
    weights = np.random.default_rng(0).random(1000)
    kept = pseudo_labels.select(weights, 0.8)
    assert kept.sum() == 200
    assert weights[kept].min() > weights[~kept].max()


def test_every_class_has_its_own_threshold():
    weights = np.array([0.1, 0.9, 0.2, 0.8, 0.3])
    labels = np.array([0, 0, 1, 0, 2])
    kept = pseudo_labels.select(weights, 0.5, labels)
    np.testing.assert_array_equal(np.flatnonzero(kept), [1, 2, 4])
    # As for one class after the other.
    random = np.random.default_rng(0)
    weights, labels = random.random(300), random.integers(0, 3, 300)
    kept = pseudo_labels.select(weights, 0.8, labels)
    for label in range(3):
        np.testing.assert_array_equal(
            kept[labels == label],
            pseudo_labels.select(weights[labels == label], 0.8),
        )


def test_fill_selects_by_class():
    logits, features, known, known_labels = pool()
    method = pseudo_labels.Method("hard", selection_scope="class")
    _, found = pseudo_labels.fill(method, logits, features, known, known_labels)
    expected = pseudo_labels.select(found["weight"], 0.8, found["pseudo_label"])
    np.testing.assert_array_equal(found["selected"], expected)
    assert set(found["pseudo_label"][expected]) == {0, 1, 2}


def test_combine():
    first, second = np.array([0.5, 1.0, 0.2]), np.array([0.5, 0.5, 0.0])
    np.testing.assert_allclose(
        targets.combine([first, second], 3), [0.5, 1.0, 0.0]
    )
    np.testing.assert_array_equal(targets.combine([], 2), [1, 1])
    np.testing.assert_array_equal(targets.combine([np.zeros(2)], 2), [0, 0])
    assert targets.combine([np.zeros(0)], 0).shape == (0,)


def pool(seed=0, count=60):
    random = np.random.default_rng(seed)
    return (
        random.normal(size=(count, 3)).astype("float32") * 2,
        random.normal(size=(count, 5)).astype("float32"),
        random.normal(size=(40, 5)).astype("float32"),
        random.integers(0, 3, size=40),
    )


@pytest.mark.parametrize("kind", ["hard", "interpolation"])
def test_fill_multiplies_the_chosen_weights(kind):
    logits, features, known, known_labels = pool()
    method = pseudo_labels.Method(kind, selection_threshold=0.5)
    triples, found = pseudo_labels.fill(
        method, logits, features, known, known_labels, seed=1
    )
    labels = logits.argmax(axis=1)
    np.testing.assert_array_equal(found["pseudo_label"], labels)
    np.testing.assert_allclose(
        found["density"], pseudo_labels.local_density(features, labels, 0.6)
    )
    product = found["confidence"] * found["density"] * found["distribution"]
    np.testing.assert_allclose(
        found["weight"], product / product.max(), rtol=1e-5
    )
    if kind == "hard":
        above = found["weight"] > np.quantile(found["weight"], 0.5)
        np.testing.assert_array_equal(found["selected"], above)
        expected = pseudo_labels.hard_triples(logits, found["weight"], above)
    else:
        assert found["selected"].all()
        expected = pseudo_labels.interpolated_triples(logits, found["weight"])
    check(triples, *arrays(expected))


def test_fill_computes_only_what_it_multiplies():
    logits = pool()[0]
    method = pseudo_labels.Method("hard", density=False, distribution=False)
    _, found = pseudo_labels.fill(method, logits, None, None, None)
    assert set(found) == {"pseudo_label", "confidence", "weight", "selected"}
    exponentials = np.exp(logits)
    expected = (exponentials / exponentials.sum(axis=1, keepdims=True)).max(1)
    np.testing.assert_allclose(found["confidence"], expected, rtol=1e-5)
    for method, target in (
        (pseudo_labels.Method("naive"), pseudo_labels.naive_triples(logits)),
        (
            pseudo_labels.Method("distilled", distill_t=3.0),
            pseudo_labels.distilled_triples(logits, 3.0),
        ),
    ):
        triples, found = pseudo_labels.fill(method, logits, None, None, None)
        check(triples, *arrays(target))
        assert not found["selected"].any()
        assert not found["weight"].any()


def test_constant_interpolation_weight_replaces_the_others():
    logits = pool()[0]
    method = pseudo_labels.Method("interpolation", interpolation_weights=0.25)
    triples, found = pseudo_labels.fill(method, logits, None, None, None)
    expected = pseudo_labels.interpolated_triples(logits, 0.25)
    check(triples, *arrays(expected))
    assert set(found) == {"pseudo_label", "weight", "selected"}
    assert (found["weight"] == 0.25).all()


def test_no_weight_chosen_is_one():
    logits = pool()[0]
    method = pseudo_labels.Method(
        "hard",
        selection_threshold=0.0,
        confidence=False,
        density=False,
        distribution=False,
    )
    triples, found = pseudo_labels.fill(method, logits, None, None, None)
    assert found["selected"].all()
    check(triples, np.eye(3)[logits.argmax(axis=1)], 1, 1)


def test_pool_without_any_weight_is_distilled():
    """No reference class is predicted: nothing supports the pseudo labels."""
    logits, features, known, _ = pool()
    method = pseudo_labels.Method("hard", selection_threshold=0.0)
    triples, found = pseudo_labels.fill(
        method, logits, features, known, np.full(40, 7)
    )
    assert not found["weight"].any()
    check(triples, *arrays(pseudo_labels.distilled_triples(logits)))


def test_fill_repeats_with_a_seed():
    found = [
        pseudo_labels.fill(pseudo_labels.Method("hard"), *pool(), seed=3)[1][
            "weight"
        ]
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_predictions_that_are_not_finite_are_refused(place):
    arrays = list(pool())
    arrays[place][0, 0] = np.nan
    with pytest.raises(UserError, match="smaller learning rate"):
        pseudo_labels.fill(pseudo_labels.Method("hard"), *arrays)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "soft"},
        {"distill_t": 0.5},
        {"selection_threshold": 1.5},
        {"interpolation_weights": -0.1},
        {"density_t": 2},
        {"cluster_k": 0},
        {"gamma": -1},
        {"gamma": float("nan")},
        {"distribution_metric": "kl"},
        {"gmm_scope": "none"},
    ],
)
def test_wrong_method_is_refused(wrong):
    with pytest.raises(UserError, match="choose"):
        pseudo_labels.Method(**{"kind": "hard"} | wrong)


def test_unused_mixture_may_have_no_component():
    pseudo_labels.Method(
        "distilled", cluster_k=0, density_t=0, distribution=False
    )


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 40), st.floats(0, 1))
def test_triples_are_well_formed(seed, count, threshold):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, 4)).astype("float32") * 5
    weights = targets.combine([random.random(count)], count)
    selected = pseudo_labels.select(weights, threshold)
    for triples in (
        pseudo_labels.naive_triples(logits),
        pseudo_labels.distilled_triples(logits, 1 + threshold),
        pseudo_labels.hard_triples(logits, weights, selected),
        pseudo_labels.interpolated_triples(logits, weights),
    ):
        np.testing.assert_allclose(triples.target.sum(axis=1), 1, rtol=1e-5)
        assert triples.target.min() >= 0
        assert (triples.weight >= 0).all()
        assert (triples.temperature >= 1).all()
        order = random.permutation(count)
    shuffled = pseudo_labels.select(weights[order], threshold)
    np.testing.assert_array_equal(shuffled, selected[order])

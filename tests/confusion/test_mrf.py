import itertools

import numpy as np
import pytest
from scipy import sparse
from scipy.special import log_softmax, softmax
from sklearn.neighbors import NearestNeighbors

from utils.confusion import mrf


@pytest.mark.parametrize("count", [2, 100, 2100])
def test_nearest_equals_scikit_learn(count):
    features = np.random.default_rng(count).normal(size=(count, 6)) + 5
    features = features.astype("float32")
    neighbours = min(7, count - 1)
    indices, squared = mrf.nearest(features, neighbours)
    exact = NearestNeighbors(n_neighbors=neighbours, algorithm="brute")
    distance, expected = exact.fit(features).kneighbors()
    np.testing.assert_allclose(
        np.sort(np.sqrt(squared)), distance, rtol=1e-5, atol=1e-5
    )
    assert (np.sort(indices) == np.sort(expected)).mean() > 0.999


def test_graph_is_symmetric_and_joins_each_image_with_its_nearest():
    features = np.random.default_rng(0).normal(size=(50, 4))
    weights = mrf.graph(features, 5).toarray()
    np.testing.assert_array_equal(weights, weights.T)
    assert (np.diag(weights) == 0).all()
    assert ((weights >= 0) & (weights <= 1)).all()
    assert ((weights > 0).sum(axis=1) >= 5).all()


@pytest.mark.filterwarnings("error")
def test_an_image_beside_copies_of_another_is_like_none():
    features = np.array([[1.0], [0], [0], [0], [9], [9.5]])
    weights = mrf.graph(features, 2).toarray()
    assert weights[0, :4].tolist() == [0, 0, 0, 0]
    assert weights[1, 2] == 1


def test_normalised_graph_has_no_eigenvalue_above_1():
    weights = mrf.graph(np.random.default_rng(0).normal(size=(40, 3)), 4)
    alone = sparse.block_diag([weights, [[0.0]]], format="csr")
    values = np.linalg.eigvalsh(mrf.normalised(alone).toarray())
    assert values.max() == pytest.approx(1)
    assert values.min() >= -1


def test_cooccurrence_of_hand_counted_labels():
    first = np.eye(2)[[0, 0, 1, 1, 0]]
    second = np.eye(2)[[0, 0, 1, 0, 1]]
    observed = np.array([True, True, True, True, False])
    # One more than the counts: 3 1 / 2 2, of 8; rows 4 4, columns 5 3.
    expected = np.log([[3 * 8 / 20, 1 * 8 / 12], [2 * 8 / 20, 2 * 8 / 12]])
    np.testing.assert_allclose(
        mrf.cooccurrence(first, second, observed), expected
    )


def test_cooccurrence_without_common_labels_is_that_of_predictions():
    first = np.array([[0.9, 0.1], [0.2, 0.8]])
    second = np.array([[0.6, 0.4], [0.3, 0.7]])
    joint = 1.0 + sum(np.outer(first[i], second[i]) for i in range(2))
    joint /= joint.sum()
    chance = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    np.testing.assert_allclose(
        mrf.cooccurrence(first, second, np.zeros(2, bool)),
        np.log(joint / chance),
    )


def _case(images, classes, seed=0, spread=1.0):
    """Random logits, labels of some and weights of a small field."""
    rng = np.random.default_rng(seed)
    logits = {
        name: spread * rng.normal(size=(images, count))
        for name, count in classes.items()
    }
    labels = {
        name: np.eye(count)[rng.integers(count, size=images)]
        * (np.arange(images)[:, None] % len(classes) == place)
        * (np.arange(images)[:, None] < images // 2)
        for place, (name, count) in enumerate(classes.items())
    }
    weights = rng.uniform(size=(images, images))
    weights = np.triu(weights, 1) + np.triu(weights, 1).T
    return logits, labels, weights


def _naive_mean_field(logits, labels, weights, pairwise, relation, sweeps):
    """The same sweeps, one image, task and class at a time."""
    names = list(logits)
    count = len(weights)
    observed = {name: labels[name].sum(axis=1) > 0 for name in names}
    beliefs = {
        name: np.where(
            observed[name][:, None], labels[name], softmax(logits[name], axis=1)
        )
        for name in names
    }
    start = {name: values.copy() for name, values in beliefs.items()}
    for _ in range(sweeps):
        for name in names:
            new = beliefs[name].copy()
            for i in range(count):
                if observed[name][i]:
                    continue
                field = log_softmax(logits[name][i])
                for c in range(len(field)):
                    pull = 0.0
                    for j in range(count):
                        pull += weights[i, j] * beliefs[name][j, c]
                    field[c] += pairwise * pull
                    for other in names:
                        if other == name:
                            continue
                        theta = mrf.cooccurrence(
                            start[other],
                            start[name],
                            observed[other] & observed[name],
                        )
                        pull = 0.0
                        for d in range(len(theta)):
                            pull += beliefs[other][i, d] * theta[d, c]
                        field[c] += relation * pull
                new[i] = softmax(field)
            beliefs[name] = new
    return beliefs


def test_mean_field_equals_a_plain_loop(monkeypatch):
    logits, labels, weights = _case(9, {"emotion": 4, "pose": 3, "gender": 2})
    monkeypatch.setattr(mrf, "SWEEPS", 4)
    monkeypatch.setattr(mrf, "TOLERANCE", 0.0)
    found = mrf.mean_field(logits, labels, sparse.csr_array(weights), 0.3, 0.7)
    expected = _naive_mean_field(logits, labels, weights, 0.3, 0.7, sweeps=4)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12, atol=1e-15)
        labelled = labels[name].any(axis=1)
        assert labelled.any()
        np.testing.assert_array_equal(
            found[name][labelled], labels[name][labelled]
        )


def _exact_marginals(logits, labels, weights, pairwise, relation):
    """Marginals of the field by summing over all assignments."""
    names = list(logits)
    count = len(weights)
    observed = {name: labels[name].any(axis=1) for name in names}
    start = {
        name: np.where(
            observed[name][:, None], labels[name], softmax(logits[name], axis=1)
        )
        for name in names
    }
    theta = mrf.cooccurrence(
        start[names[0]],
        start[names[1]],
        observed[names[0]] & observed[names[1]],
    )
    marginals = {name: np.zeros((count, 2)) for name in names}
    for states in itertools.product((0, 1), repeat=2 * count):
        y = dict(zip(names, np.reshape(states, (2, count)), strict=True))
        if any(
            labels[name][i, 1 - y[name][i]] == 1
            for name in names
            for i in range(count)
        ):
            continue
        energy = 0.0
        for name in names:
            for i in range(count):
                if not observed[name][i]:
                    energy += log_softmax(logits[name][i])[y[name][i]]
                for j in range(i):
                    same = y[name][i] == y[name][j]
                    energy += pairwise * weights[i, j] * same
        for i in range(count):
            energy += relation * theta[y[names[0]][i], y[names[1]][i]]
        for name in names:
            marginals[name][np.arange(count), y[name]] += np.exp(energy)
    return {
        name: values / values.sum(axis=1, keepdims=True)
        for name, values in marginals.items()
    }


@pytest.mark.parametrize("seed", range(3))
def test_mean_field_is_exact_up_to_the_square_of_weak_couplings(
    monkeypatch, seed
):
    # Four images and two tasks: eight binary nodes, two of them observed.
    monkeypatch.setattr(mrf, "TOLERANCE", 1e-12)
    logits, labels, weights = _case(4, {"pose": 2, "gender": 2}, seed)
    errors = []
    for coupling in (0.4, 0.2, 0.1, 0.0):
        found = mrf.mean_field(
            logits, labels, sparse.csr_array(weights), coupling, coupling
        )
        exact = _exact_marginals(logits, labels, weights, coupling, coupling)
        errors.append(
            max(np.abs(found[name] - exact[name]).max() for name in exact)
        )
    assert errors[3] < 1e-12
    assert errors[2] < 0.005
    assert errors[0] < 0.05
    # Halving the couplings divides the bias, of second order, by about four.
    assert errors[1] / errors[2] == pytest.approx(4, abs=1.5)


def test_a_strong_graph_spreads_labels():
    features = np.repeat([[0.0], [9.0]], 10, axis=0)
    features = features + np.random.default_rng(0).normal(size=(20, 1)) / 10
    labels = np.zeros((20, 2))
    labels[[0, 1, 10, 11]] = np.eye(2)[[0, 0, 1, 1]]
    found = mrf.mean_field(
        {"gender": np.zeros((20, 2))},
        {"gender": labels},
        mrf.normalised(mrf.graph(features, 9)),
        pairwise=4.0,
        relation=1.0,
    )
    assert (found["gender"].argmax(axis=1) == np.repeat([0, 1], 10)).all()

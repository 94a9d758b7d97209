import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from scipy.sparse import csgraph

from tests.gradients import (
    IS_DOUBLE,
    assert_close,
    descend,
    finite_differences,
)
from utils.confusion import manifold, mrf


def _random(*shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def _naive_affinity(features, neighbours):
    count = len(features)
    distance = np.array(
        [[np.linalg.norm(a - b) for b in features] for a in features]
    )
    weights = np.zeros((count, count))
    order = [
        sorted(
            (j for j in range(count) if j != i), key=lambda j: distance[i, j]
        )
        for i in range(count)
    ]
    reach = [distance[i, order[i][neighbours - 1]] for i in range(count)]
    for i in range(count):
        for j in order[i][:neighbours]:
            weights[i, j] = weights[j, i] = np.exp(
                -(distance[i, j] ** 2) / (reach[i] * reach[j])
            )
    return weights


@pytest.mark.parametrize("neighbours", [1, 4, 11])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_affinity_equals_a_naive_loop(neighbours, dtype):
    features = _random(12, 5) + 3.0
    expected = _naive_affinity(features, neighbours)
    found = manifold.affinity(
        ops.convert_to_tensor(features.astype(dtype)), neighbours
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    # DCN-AP builds the same graph, sparse and for any number of images.
    sparse = mrf.graph(features.astype(dtype), neighbours)
    np.testing.assert_allclose(sparse.toarray(), expected, rtol=1e-5, atol=1e-7)


def test_images_that_coincide_are_alike():
    features = np.repeat(_random(3, 4, dtype="float32"), [4, 1, 1], axis=0)
    weights = ops.convert_to_numpy(
        manifold.affinity(ops.convert_to_tensor(features), 2)
    )
    np.testing.assert_allclose(weights[:4, :4], 1 - np.eye(4), atol=1e-6)
    assert np.isfinite(weights).all()
    assert np.isfinite(mrf.graph(features, 2).data).all()


def test_laplacian_equals_scipy():
    weights = _naive_affinity(_random(12, 5), 3)
    np.testing.assert_allclose(
        manifold.laplacian(ops.convert_to_tensor(weights)),
        csgraph.laplacian(weights),
        atol=1e-12,
    )


def test_smoothness_is_half_the_weighted_sum_of_squared_differences():
    weights = _naive_affinity(_random(8, 3), 3)
    predictions = _random(8, 4, seed=1)
    total = 0.0
    for i in range(8):
        for j in range(8):
            step = predictions[i] - predictions[j]
            total += weights[i, j] * (step @ step) / 2
    graph = manifold.laplacian(ops.convert_to_tensor(weights))
    found = manifold.smoothness(ops.convert_to_tensor(predictions), graph)
    assert float(found) == pytest.approx(total / 64)


@settings(max_examples=30)
@given(
    st.integers(1, 12),
    st.integers(1, 6),
    st.integers(0, 99),
    st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_norms_equal_numpy(rows, columns, seed, scale):
    matrix = scale * _random(rows, columns, seed=seed)
    lengths = np.linalg.norm(matrix, axis=1).sum()
    singular = np.linalg.svd(matrix, compute_uv=False).sum()
    exact = 1e-6 if IS_DOUBLE else 5e-3
    for dtype, tolerance in (("float64", exact), ("float32", 5e-3)):
        tensor = ops.convert_to_tensor(matrix.astype(dtype))
        assert float(manifold.l21_norm(tensor)) == pytest.approx(
            lengths, rel=1e-5
        )
        assert float(manifold.nuclear_norm(tensor)) == pytest.approx(
            singular, rel=tolerance
        )


def test_nuclear_norm_of_a_whole_head_in_float32():
    matrix = _random(1152, 13, dtype="float32") * 0.04
    expected = np.linalg.svd(matrix.astype("float64"), compute_uv=False).sum()
    found = manifold.nuclear_norm(ops.convert_to_tensor(matrix))
    assert float(found) == pytest.approx(expected, rel=1e-5)


DEGENERATE = {
    "zeros": np.zeros((5, 3)),
    "equal singular values": np.eye(5, 3),
    "one direction": np.outer(np.arange(1.0, 6), [1, 2, 3]),
    "a row and a column of zeros": np.pad(_random(4, 2), ((1, 0), (1, 0))),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_stay_finite_where_the_norms_have_none(name, dtype):
    matrix = DEGENERATE[name].astype(dtype)
    for norm in (manifold.l21_norm, manifold.nuclear_norm):
        gradient = descend(norm, matrix)
        assert np.isfinite(gradient).all()
        # A subgradient of either: <G, W> is the norm.
        value = float(norm(ops.convert_to_tensor(matrix)))
        np.testing.assert_allclose(
            (gradient * matrix).sum(), value, rtol=1e-4, atol=1e-6
        )
        assert np.abs(gradient).max() <= 1 + 1e-4


def _smoothness(logits):
    features = ops.convert_to_tensor(_random(6, 5, seed=3))
    graph = manifold.laplacian(manifold.affinity(features, 3))
    return manifold.smoothness(ops.softmax(logits, axis=-1), graph)


TERMS = {
    "lnorm": manifold.l21_norm,
    "nuclear_norm": manifold.nuclear_norm,
    "trace_norm": _smoothness,
}


@pytest.mark.parametrize("name", TERMS)
def test_gradient_equals_finite_differences(name):
    start = _random(6, 4, seed=2)
    expected = finite_differences(TERMS[name], start)
    assert np.abs(expected).max() > 1e-3
    assert_close(descend(TERMS[name], start), expected)


def _fit(weight, term):
    """A linear map fitted to two informative features and much noise.

    Returns:
        W, [12, 4], after minimising |X W - Y|^2 / N + weight * term(W).
    """
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(60, 12))
    truth = np.zeros((12, 4))
    truth[:2] = [[3, 1, -2, 2], [1, -2, 2, -1]]
    outputs = inputs @ truth + rng.normal(size=(60, 4))
    read, wanted = map(ops.convert_to_tensor, (inputs, outputs))

    def loss(matrix):
        errors = ops.matmul(read, matrix) - wanted
        return ops.sum(ops.square(errors)) / 60 + weight * term(matrix)

    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(0.2, 150)
    )
    return descend(loss, rng.normal(size=(12, 4)), optimizer, steps=150)


def test_l21_norm_empties_the_rows_of_useless_features():
    plain, sparse = (_fit(w, manifold.l21_norm) for w in (0.0, 2.0))
    lengths = np.linalg.norm(sparse, axis=1)
    assert (np.linalg.norm(plain, axis=1) > 0.05).all()
    assert (lengths[2:] < 0.02).all()
    assert (lengths[:2] > 1).all()


def test_nuclear_norm_lowers_the_rank():
    plain, low = (_fit(w, manifold.nuclear_norm) for w in (0.0, 2.0))
    singular = [np.linalg.svd(w, compute_uv=False) for w in (plain, low)]
    assert (singular[0] > 0.1).sum() == 4
    assert (singular[1] > 0.02).sum() == 2


def test_trace_norm_spreads_labels_over_the_graph():
    rng = np.random.default_rng(0)
    cluster = np.repeat([0, 1], 8)
    features = rng.normal(size=(16, 5)) + 9.0 * cluster[:, None]
    graph = manifold.laplacian(
        manifold.affinity(ops.convert_to_tensor(features), 3)
    )
    labelled = ops.convert_to_tensor(
        np.isin(np.arange(16), [0, 1, 8, 9]).astype("float64")
    )
    targets = ops.convert_to_tensor(np.eye(2)[cluster])

    def loss(weight):
        def function(logits):
            entropy = -ops.sum(targets * ops.log_softmax(logits), axis=-1)
            smooth = manifold.smoothness(ops.softmax(logits), graph)
            return ops.sum(labelled * entropy) + weight * smooth

        return function

    start = rng.normal(size=(16, 2))
    plain, smooth = (
        descend(loss(weight), start, keras.optimizers.Adam(0.1), steps=150)
        for weight in (0.0, 1000.0)
    )
    values = [
        float(manifold.smoothness(ops.softmax(logits), graph))
        for logits in map(ops.convert_to_tensor, (plain, smooth))
    ]
    assert values[1] < 0.1 * values[0]
    assert (plain.argmax(axis=1) != cluster).any()
    assert (smooth.argmax(axis=1) == cluster).all()

"""Squared distances between two sets of features, one tile at a time.

The full N x M matrix is never held. Rows are padded to blocks of two fixed
sizes, so that compiled backends see few shapes. A padded row is infinitely far
from everything: it is below no threshold and its kernel value is 0.
"""

from collections.abc import Iterator

import numpy as np
from keras import ops

from samtl.distributed import devices

SMALL, LARGE = 128, 1024  # rows of a block
PAIRS = 8192  # chosen pairs computed at once


def finite(features) -> np.ndarray:
    """Features of any array type as a float32 NumPy array of the same shape.

    Raises:
        ValueError: one is not finite.
    """
    features = np.asarray(ops.convert_to_numpy(features), "float32")
    if not np.isfinite(features).all():
        raise ValueError("features must be finite")
    return features


def blocks(features: np.ndarray) -> list[tuple]:
    """Cut features into padded blocks on the device.

    Args:
        features: [N, d] float32 NumPy array. Centre it first: the squared
            norms below cancel badly when the mean is far from the origin.

    Returns:
        List of (block [B, d], squared norms [B, 1]) of float32 tensors with
        B = 128 where all rows fit in one such block, else 1024.
    """
    size = SMALL if len(features) <= SMALL else LARGE
    cut = []
    for start in range(0, len(features), size):
        rows = features[start : start + size]
        block = np.zeros((size, features.shape[1]), "float32")
        block[: len(rows)] = rows
        norms = np.full((size, 1), np.inf, "float32")
        norms[: len(rows), 0] = np.square(rows).sum(axis=1)
        cut.append((ops.convert_to_tensor(block), ops.convert_to_tensor(norms)))
    return cut


def tile(rows: tuple, columns: tuple):
    """|a|^2 + |b|^2 - 2 a.b of two blocks: [B, B'] float32 tensor.

    Rounding can leave values a little below 0 or above the true distance.
    """
    (left, left_norms), (right, right_norms) = rows, columns
    with devices.full_precision():
        products = ops.matmul(left * -2.0, ops.transpose(right))
    return products + left_norms + ops.transpose(right_norms)


def between(rows: list[tuple], columns: list[tuple]) -> Iterator:
    """Yield the tiles of all pairs of two lists of blocks."""
    for row in rows:
        for column in columns:
            yield tile(row, column)


def within(rows: list[tuple]) -> Iterator[tuple]:
    """Yield (p, q, tile) for the pairs i < j of one list of blocks.

    Tile (p, q), p <= q, holds block p against block q. On the diagonal the
    entries with i >= j are infinite.
    """
    if not rows:
        return
    size = rows[0][0].shape[0]
    lower = ops.convert_to_tensor(
        np.where(np.tri(size, dtype=bool), np.inf, 0.0).astype("float32")
    )
    for p, row in enumerate(rows):
        yield p, p, tile(row, row) + lower
        for q in range(p + 1, len(rows)):
            yield p, q, tile(row, rows[q])


def of_pairs(features: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """|x_i - x_j| of chosen pairs, from float64 differences.

    Args:
        features: [N, d] NumPy array.
        i, j: [P] int.

    Returns:
        [P] float64 NumPy array.
    """
    found = np.empty(len(i))
    for start in range(0, len(i), PAIRS):
        some = slice(start, start + PAIRS)
        difference = features[i[some]].astype("float64") - features[j[some]]
        found[some] = np.sqrt(np.square(difference).sum(axis=1))
    return found

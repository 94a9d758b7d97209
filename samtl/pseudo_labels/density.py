"""Local density: the share of its class that is near a sample.

Guo et al. 2018, "CurriculumNet: Weakly Supervised Learning from Large-Scale
Web Images" (arXiv 1808.01097), section 3.1: clean samples of a class look
alike and lie close together, wrong ones are scattered.
"""

from dataclasses import dataclass

import numpy as np
from keras import ops

from samtl.distributed import devices
from samtl.pseudo_labels import distances, sampling

HELD_PAIRS = 4_000_000  # most pairs kept in memory at once: 48 MB
SAMPLED_PAIRS = 32_768  # pairs drawn to guess where the quantile lies
BINS = 1_024
SMALL_POOL = 4 * SAMPLED_PAIRS
CENTRE_ROWS = 1_024  # most samples whose median is the centre
REFERENCES = 10_000  # members of a class that an estimate compares with
RADIUS_PAIRS = 1_048_576  # pairs drawn to estimate the quantile itself


@dataclass(frozen=True)
class Bounds:
    """Largest error of estimated weights.

    With probability `sampling.CONFIDENCE`, for all samples at once, no weight
    is farther than `weight` from the exact one at a quantile that is within
    `quantile` of the one asked for. Both in 0..1.
    """

    weight: float
    quantile: float


def local_density(features, labels, quantile: float) -> np.ndarray:
    """Density of every sample inside its pseudo class.

    Within each class, with D_ij = |h_i - h_j| and d_c the `quantile` of the
    distances of all pairs i < j:

        rho_i = #{j != i : D_ij < d_c}
        w_i = (rho_i - min rho) / (max rho - min rho)

    and w_i = 1 where all rho of the class are equal (so also for a class with
    one or two members, or where all features coincide).

    The counts are those of float64 arithmetic and of `np.quantile`; see
    `neighbours`.

    Args:
        features: [N, d] finite features.
        labels: [N] int, pseudo class of each sample; any integers.
        quantile: in 0..1. The larger, the wider the neighbourhood.

    Returns:
        [N] float32 NumPy array in 0..1.

    Raises:
        ValueError: features are not finite, or quantile is out of range.
    """
    return bounded_density(features, labels, quantile)[0]


def bounded_density(
    features,
    labels,
    quantile: float,
    exact_limit: float = np.inf,
    seed: int = 0,
) -> tuple[np.ndarray, Bounds | None]:
    """Local density, estimated in classes of more than `exact_limit`.

    There, rho_i is replaced by the share s_i of `estimated_shares`. That is
    the share of all members of the class, i among them, (rho_i + 1) / n, but
    for an error of at most e, `sampling.error_bound` of the references and of
    all samples at once. If no s_i is off by more than e,

        |w_i - exact w_i| <= 2 e / (max s - min s)

    as e_i - (1 - w_i) e_min - w_i e_max is what the numerator is off by.

    Args:
        features, labels, quantile: see `local_density`.
        exact_limit: most members of a class whose density is exact.
        seed: draws the references and the pairs.

    Returns:
        ([N] float32 NumPy array in 0..1, `Bounds`; None where all is exact).

    Raises:
        ValueError: features are not finite, or quantile is out of range.
    """
    features = distances.finite(features)
    if not 0 <= quantile <= 1:
        raise ValueError(f"quantile must be in 0..1, not {quantile}")
    labels = ops.convert_to_numpy(labels)
    weights = np.zeros(len(features), "float32")
    narrowest = np.inf
    classes, sizes = np.unique(labels, return_counts=True)
    for label in devices.split_between_processes(
        classes[np.argsort(-sizes, kind="stable")]
    ):
        members = np.flatnonzero(labels == label)
        weights[members] = 1.0
        is_exact = len(members) <= max(exact_limit, 1)
        if is_exact:
            rho = neighbours(features[members], quantile)
        else:
            rho = estimated_shares(features[members], quantile, seed)
        spread = rho.max() - rho.min()
        if spread > 0:
            weights[members] = (rho - rho.min()) / spread
        if not is_exact:
            narrowest = min(narrowest, spread)
    weights = devices.gather(weights).sum(axis=0)
    narrowest = devices.gather(narrowest).min()
    if narrowest == np.inf:
        return weights, None
    # Half of what may go wrong is left to the shares, half to the radii.
    share = sampling.error_bound(REFERENCES, 2 * len(features))
    radius = sampling.error_bound(RADIUS_PAIRS, 2 * len(classes))
    weight = 2 * share / narrowest if narrowest > 2 * share else 1.0
    return weights, Bounds(weight, radius)


def estimated_shares(
    features: np.ndarray, quantile: float, seed: int = 0
) -> np.ndarray:
    """Estimate the share of a class within the quantile of every sample.

        s_i = 1/m #{k : |h_i - h_r(k)| < d},  r(1) .. r(m) random samples

    m is `REFERENCES`; they are drawn with replacement, and i may be among
    them, so that s_i is a mean of independent draws. d is the order statistic
    of d_c (see `neighbours`) among the distances of `RADIUS_PAIRS` other
    random pairs: by the DKW inequality it lies between the quantiles
    `quantile` - b and `quantile` + b of all pairs, b their
    `sampling.error_bound`. Distances are those of float32.

    Args:
        features: [N, d] float32 NumPy array, N >= 2.
        quantile: in 0..1.
        seed: draws the samples and the pairs.

    Returns:
        [N] float64 NumPy array in 0..1.
    """
    random = np.random.default_rng(seed)
    mean = features.mean(axis=0, dtype="float64")
    features, centred = _in_range(features, mean)
    pairs = sampling.random_pairs(len(features), RADIUS_PAIRS, random)
    rank = _rank(quantile, RADIUS_PAIRS)
    radius = np.partition(distances.of_pairs(features, *pairs), rank)[rank]
    shares = np.zeros(len(features))
    if radius == 0:
        return shares
    chosen = random.integers(len(features), size=REFERENCES)
    references = distances.blocks(centred[chosen])
    cutoff = np.float32(radius**2)
    for start in range(0, len(features), distances.LARGE):
        some = slice(start, start + distances.LARGE)
        (rows,) = distances.blocks(centred[some])
        closer = sum(
            ops.sum(ops.cast(tile < cutoff, "int32"), axis=1)
            for tile in distances.between([rows], references)
        )
        found = ops.convert_to_numpy(closer)[: len(centred[some])]
        shares[some] = found / REFERENCES
    return shares


def neighbours(features: np.ndarray, quantile: float) -> np.ndarray:
    """Count, for every sample, the others closer than the quantile.

    d_c is the order statistic of rank ceil(quantile * (P - 1)), from 0, among
    the P = N (N - 1) / 2 distances. `np.quantile` interpolates between this
    one and the one before, which gives the same counts, as no distance lies
    between them.

    The counts are those of float64, computed from differences. The device
    computes squared distances in float32, with an error bound for each pair.
    Only pairs whose bounds leave their order with d_c open are computed again
    in float64. The exception: where that is so for more than `HELD_PAIRS`
    pairs, they count as ties with d_c.

    Args:
        features: [N, d] float32 NumPy array.
        quantile: in 0..1.

    Returns:
        [N] int64 NumPy array in 0..N - 1.
    """
    count = len(features)
    pairs = count * (count - 1) // 2
    if pairs < 2 or (features == features[0]).all():
        return np.zeros(count, "int64")
    rank = _rank(quantile, pairs)
    # A mean would follow single samples that are far from all others.
    centre = np.median(features[:: -(-count // CENTRE_ROWS)], axis=0)
    features, centred = _in_range(features, centre.astype("float64"))
    # Samples of like norm, and so of like error, share a block.
    order = np.argsort(np.square(centred).sum(axis=1))
    rho = np.empty(count, "int64")
    rho[order] = _counted(features[order], centred[order], rank, quantile)
    return rho


def _counted(features, centred, rank, quantile):
    """`neighbours` of sorted features, for the `rank` of d_c."""
    count = len(features)
    blocks, gaps = _lower_bounds(centred)
    low, high = everything = (-1.0, 5.0 * features.shape[1])
    if count * (count - 1) // 2 > SMALL_POOL:
        low, high = _guess(features, quantile, everything)
    while True:
        below, inside, held = _scan(blocks, gaps, low, high)
        ahead = rank - below.sum() // 2
        if not 0 <= ahead < inside[0].sum():
            low, high = everything
        elif held is not None:
            closer, cutoff = _resolve(features, gaps, held, ahead)
            if low <= cutoff**2 <= high:
                return below[:count] + closer
            low, high = everything
        else:
            narrow = _narrowed(inside, ahead, low, high)
            if 2 * (narrow[1] - narrow[0]) > high - low:
                return below[:count]
            low, high = narrow


def _rank(quantile, count):
    """Rank of the order statistic, from 0, that is d_c among `count`."""
    # 0.07 * 100 is 7.000000000000001, which must not become rank 8.
    exact = 1 - 2 * np.finfo("float64").eps
    return int(np.ceil(quantile * (count - 1) * exact))


def _in_range(features, centre):
    """The features in a unit of about their spread, and the same centred.

    Squares of tiny or huge features would leave float32's range. The unit is a
    power of two, so the change is exact. Centred features are within -1..1.
    """
    low, high = features.min(axis=0), features.max(axis=0)
    unit = -np.frexp(np.maximum(high - centre, centre - low).max())[1]
    features = np.ldexp(features, unit)
    centred = np.empty_like(features)
    # In float64 without a copy of that size: NumPy casts piece by piece.
    np.subtract(
        features, np.ldexp(centre, unit), out=centred, casting="same_kind"
    )
    return features, centred


def _lower_bounds(centred):
    """Blocks whose tiles are lower bounds of squared distances.

    The unit roundoff of float32 is u = eps / 2. In units of |a|^2 + |b|^2, the
    errors of a squared distance are at most 4 u from rounding the centred
    samples, d u each from the norms and from the product (Higham 2002, section
    3.1: in any order of summation), and few u from what remains. Underflow
    adds less than 1e-35.

    Returns:
        (blocks as of `distances.blocks`, [N, padded] float32 gaps): lower
        bound + gap_i + gap_j is an upper bound.
    """
    error = (centred.shape[1] + 16) * np.finfo("float32").eps
    blocks, gaps = [], []
    for rows, norms in distances.blocks(centred):
        blocks.append((rows, norms * (1 - error) - 1e-35))
        gaps.append(ops.convert_to_numpy(2 * (error * norms + 1e-35))[:, 0])
    return blocks, np.concatenate(gaps)


def _guess(features, quantile, everything):
    """Bracket (low, high) of squared distances likely to hold the quantile.

    The rank of the quantile among m random pairs has a standard deviation of
    sqrt(quantile (1 - quantile) / m): five of them miss once in a million.
    """
    random = np.random.default_rng(0)
    i, j = sampling.random_pairs(len(features), SAMPLED_PAIRS, random)
    sample = np.sort(distances.of_pairs(features, i, j)) ** 2
    margin = 5 * np.sqrt(quantile * (1 - quantile) / SAMPLED_PAIRS)
    first = int((quantile - margin) * SAMPLED_PAIRS) - 1
    last = int((quantile + margin) * SAMPLED_PAIRS) + 1
    low, high = everything
    if first >= 0:
        low = float(sample[first])
    if last < SAMPLED_PAIRS:
        high = float(sample[last])
    # Ties must not leave it empty: it is cut into bins.
    return low, high * (1 + 1e-6) + 1e-30


def _scan(blocks, gaps, low, high):
    """One pass over all pairs, for the bracket of squared distances.

    Returns:
        below: [N, padded] int64, pairs of each sample that are surely < low.
        inside: [2, BINS] int64, histograms of the lower and of the upper
            bounds of the pairs that may be in the bracket.
        held: (i, j, lower bound) arrays of these pairs, or None where there
            are too many.
    """
    size = blocks[0][0].shape[0]
    below = np.zeros(len(gaps), "int64")
    inside = np.zeros((2, BINS), "int64")
    held = []
    scale = np.float32(BINS / (high - low))
    # Finite ones: padding is infinitely far from everything.
    widest = np.where(np.isfinite(gaps), gaps, 0).reshape(-1, size).max(axis=1)
    for p, q, lower in distances.within(blocks):
        # The device and NumPy compare with the very same float32 number.
        sure = np.float32(low - widest[p] - widest[q])
        closer = ops.cast(lower < sure, "int32")
        for block, axis in ((p, 1), (q, 0)):
            below[block * size : (block + 1) * size] += ops.convert_to_numpy(
                ops.sum(closer, axis=axis)
            )
        tile = ops.convert_to_numpy(lower)
        entries = np.flatnonzero((tile >= sure) & (tile <= high))
        values = tile.ravel()[entries]
        i, j = np.divmod(entries, size)
        i, j = i + p * size, j + q * size
        upper = values + gaps[i] + gaps[j]
        is_below = upper < low
        for side in (i, j):
            below += np.bincount(side[is_below], minlength=len(below))
        i, j, values, upper = (x[~is_below] for x in (i, j, values, upper))
        for row, bound in zip(inside, (values, upper), strict=True):
            bins = np.clip((bound - np.float32(low)) * scale, 0, BINS - 1)
            row += np.bincount(bins.astype("int32"), minlength=BINS)
        if inside[0].sum() <= HELD_PAIRS:
            held.append((i.astype("int32"), j.astype("int32"), values))
    if inside[0].sum() > HELD_PAIRS:
        return below, inside, None
    return below, inside, tuple(map(np.concatenate, zip(*held, strict=True)))


def _narrowed(inside, ahead, low, high):
    """The bins between the bounds of the quantile, and one on either side."""
    first, last = (
        np.searchsorted(np.cumsum(row), ahead, "right") for row in inside
    )
    width = (high - low) / BINS
    return (
        max(low, low + (first - 1) * width),
        min(high, low + (last + 2) * width),
    )


def _resolve(features, gaps, held, ahead):
    """(held pairs of each sample that are < d_c, d_c), exact.

    d_c is between the order statistics of the lower and of the upper bounds.
    """
    i, j, lower = held
    upper = lower + gaps[i] + gaps[j]
    low, high = (np.partition(bound, ahead)[ahead] for bound in (lower, upper))
    closer = upper < low
    unsure = np.flatnonzero(~closer & (lower <= high))
    exact = distances.of_pairs(features, i[unsure], j[unsure])
    rest = ahead - np.count_nonzero(closer)
    cutoff = np.partition(exact, rest)[rest]
    closer[unsure] = exact < cutoff
    count = len(features)
    found = (np.bincount(side[closer], minlength=count) for side in (i, j))
    return sum(found), cutoff

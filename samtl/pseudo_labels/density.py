"""Local density: how crowded a sample's surroundings are in its class.

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
REFERENCES = 10_000  # members of a class that an estimate compares with
RADIUS_PAIRS = 1_048_576  # pairs drawn to estimate the quantile itself
# Samples whose squared distance to the mean is so many times the median are
# apart; at most so many pairs of theirs are computed in float64.
APART, APART_PAIRS = 16, 1_048_576


@dataclass(frozen=True)
class Bounds:
    """How far estimated weights are from exact ones, at most.

    With probability `sampling.CONFIDENCE`, for all samples at once, no weight
    is farther than `weight` from the exact one at a quantile that is within
    `quantile` of the one asked for. Both in 0..1.
    """

    weight: float
    quantile: float


def local_density(features, labels, quantile):
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


def bounded_density(features, labels, quantile, exact_limit=np.inf, seed=0):
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


def estimated_shares(features, quantile, seed=0):
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
    features, centred = _in_range(features)
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


def neighbours(features, quantile):
    """Count, for every sample, the others closer than the quantile.

    d_c is the order statistic of rank ceil(quantile * (P - 1)), from 0, among
    the P = N (N - 1) / 2 distances. `np.quantile` interpolates between this
    one and the one before, which gives the same counts, as no distance lies
    between them.

    The device computes squared distances in float32, in tiles. Their largest
    error `slack` is measured. Pairs farther than twice that from the float32
    quantile are decided by it, all others are computed again in float64 from
    differences: so d_c and the counts come out as if everything had been
    float64. The few samples that are far from all others,
    which would make `slack` large, are compared in float64 from the start. One
    exception bounds the memory: where over `HELD_PAIRS` pairs are within
    rounding of d_c, they count as ties with it.

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
    features, centred = _in_range(features)
    order, near = _apart_last(centred)
    if near == count:
        return _counted(features, centred, rank, quantile)
    features = features[order]
    # The mean of all lies off the others, too.
    mean = features[:near].mean(axis=0, dtype="float64")
    centred = (features[:near] - mean).astype("float32")
    rho = np.empty(count, "int64")
    rho[order] = _counted(features, centred, rank, quantile)
    return rho


def _apart_last(centred):
    """An order with the samples that are apart last; how many are before."""
    norms = np.square(centred).sum(axis=1, dtype="float64")
    apart = np.flatnonzero(norms > APART * np.median(norms))
    farthest = np.argsort(-norms[apart], kind="stable")
    apart = apart[farthest[: APART_PAIRS // len(norms)]]
    order = np.concatenate([np.delete(np.arange(len(norms)), apart), apart])
    return order, len(norms) - len(apart)


def _counted(features, centred, rank, quantile):
    """`neighbours`; samples that are apart are last, and not in `centred`."""
    count, near = len(features), len(centred)
    radius = np.square(centred).sum(axis=1, dtype="float64").max()
    apart = _pairs_apart(features, near)
    highest = max(4 * radius, apart[2].max(initial=0.0))
    slack = _slack(features[:near], centred, radius)
    slack = max(slack, 1e-14 * highest)  # the others may coincide
    everything = (-4 * slack, highest * (1 + 1e-6) + 8 * slack)
    low, high = everything
    if count * (count - 1) // 2 > SMALL_POOL:
        low, high = _guess(features, quantile, everything, slack)
    blocks = distances.blocks(centred)
    while True:
        scan = _scan(blocks, count, low, high, apart)
        ahead = rank - scan.below.sum() // 2
        if not 0 <= ahead < scan.inside.sum():
            low, high = everything
        elif scan.pairs is not None:
            rho = _resolve(features, scan, ahead, slack, (low, high))
            if rho is not None:
                return rho
            low, high = everything
        elif high - low <= 16 * slack:
            return scan.below
        else:
            low, high = _narrowed(scan, ahead, slack, low, high)


def _pairs_apart(features, near):
    """(i, j, squared distance in float64) of all pairs i < j, j >= `near`."""
    later = np.arange(near, len(features))
    j = np.repeat(later, later)
    i = np.arange(len(j)) - np.repeat(np.cumsum(later) - later, later)
    return i, j, distances.of_pairs(features, i, j) ** 2


def _rank(quantile, count):
    """Rank of the order statistic, from 0, that is d_c among `count`."""
    # 0.07 * 100 is 7.000000000000001, which must not become rank 8.
    exact = 1 - 2 * np.finfo("float64").eps
    return int(np.ceil(quantile * (count - 1) * exact))


def _in_range(features):
    """The features in a unit of about their spread, and the same centred.

    Squares of tiny or huge features would leave float32's range. The unit is a
    power of two, so the change is exact.
    """
    mean = features.mean(axis=0, dtype="float64")
    low, high = features.min(axis=0), features.max(axis=0)
    unit = -np.frexp(np.maximum(high - mean, mean - low).max())[1]
    features = np.ldexp(features, unit)
    centred = np.empty_like(features)
    # In float64 without a copy of that size: NumPy casts piece by piece.
    np.subtract(
        features, np.ldexp(mean, unit), out=centred, casting="same_kind"
    )
    return features, centred


@dataclass(frozen=True)
class _Scan:
    """What one pass over all pairs found for the bracket [low, high).

    below: [N] int64, per sample, pairs with a squared distance < low.
    inside: [BINS] int64, histogram of the squared distances in the bracket.
    pairs: (i, j, squared distance) arrays of the pairs in the bracket, or None
        where there are too many.
    """

    below: np.ndarray
    inside: np.ndarray
    pairs: tuple | None


def _scan(blocks, count, low, high, apart):
    # The device and NumPy must compare with the very same float32 number.
    low, high = np.float32(low), np.float32(high)
    scale = np.float32(BINS / (float(high) - float(low)))
    size = blocks[0][0].shape[0]
    below = np.zeros(max(len(blocks) * size, count), "int64")
    inside = np.zeros(BINS, "int64")
    found = []

    def is_held(values):
        bins = np.minimum(((values - low) * scale).astype("int32"), BINS - 1)
        inside[:] += np.bincount(bins, minlength=BINS)
        return inside.sum() <= HELD_PAIRS

    for p, q, squared in distances.within(blocks):
        closer = ops.cast(squared < low, "int32")
        for block, axis in ((p, 1), (q, 0)):
            below[block * size : (block + 1) * size] += ops.convert_to_numpy(
                ops.sum(closer, axis=axis)
            )
        tile = ops.convert_to_numpy(squared)
        entries = np.flatnonzero((tile >= low) & (tile < high))
        values = tile.ravel()[entries]
        if is_held(values):
            i, j = np.divmod(entries, size)
            i, j = i + p * size, j + q * size
            found.append((i.astype("int32"), j.astype("int32"), values))
    if len(apart[0]):
        i, j, values = apart
        closer = values < low
        for side in (i, j):
            below += np.bincount(side[closer], minlength=len(below))
        some = (values >= low) & (values < high)
        if is_held(values[some]):
            found.append((i[some], j[some], values[some]))
    pairs = None
    if inside.sum() <= HELD_PAIRS:
        pairs = tuple(map(np.concatenate, zip(*found, strict=True)))
    return _Scan(below[:count], inside, pairs)


def _narrowed(scan, ahead, slack, low, high):
    """The bracket's bin that holds the quantile, with a margin for rounding."""
    chosen = np.searchsorted(np.cumsum(scan.inside), ahead, "right")
    width = (high - low) / BINS
    return (
        low + chosen * width - 4 * slack,
        low + (chosen + 1) * width + 4 * slack,
    )


def _resolve(features, scan, ahead, slack, bracket):
    """Counts, exact near the quantile; None where the bracket is too tight."""
    i, j, values = scan.pairs
    middle = float(np.partition(values, ahead)[ahead])
    if middle - 2 * slack < bracket[0] or middle + 2 * slack >= bracket[1]:
        return None
    closer = values < middle - 2 * slack
    unsure = np.flatnonzero(np.abs(values - middle) <= 2 * slack)
    exact = distances.of_pairs(features, i[unsure], j[unsure])
    rest = ahead - np.count_nonzero(closer)
    cutoff = np.partition(exact, rest)[rest]
    closer[unsure] = exact < cutoff
    return (
        scan.below
        + np.bincount(i[closer], minlength=len(features))
        + np.bincount(j[closer], minlength=len(features))
    )


def _slack(features, centred, radius):
    """Bound on the error of a squared distance, from a measured sample.

    The error grows with |a|^2 + |b|^2. Its ratio to that is measured on at
    most 64 x 64 pairs; four times the largest ratio (never below float32's
    resolution), at the largest |a|^2 + |b|^2 = 2 `radius`, is the bound.
    """
    chosen = np.random.default_rng(0).permutation(len(features))[:128]
    left, right = chosen[::2], chosen[1::2]
    (rows,), (columns,) = (
        distances.blocks(centred[part]) for part in (left, right)
    )
    squared = ops.convert_to_numpy(distances.tile(rows, columns))
    squared = squared[: len(left), : len(right)].ravel()
    i, j = np.repeat(left, len(right)), np.tile(right, len(left))
    norms = np.square(centred).sum(axis=1, dtype="float64")
    error = np.abs(squared - distances.of_pairs(features, i, j) ** 2)
    size = np.maximum(norms[i] + norms[j], np.finfo("float32").tiny)
    ratio = max((error / size).max(), np.finfo("float32").eps)
    return 8 * ratio * radius


def _guess(features, quantile, everything, slack):
    """Bracket [low, high) of squared distances likely to hold the quantile.

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
        low = sample[first] - 4 * slack
    if last < SAMPLED_PAIRS:
        high = sample[last] + 4 * slack
    return low, high

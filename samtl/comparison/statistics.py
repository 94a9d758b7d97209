"""The statistics of a comparison, as pure functions of arrays."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.sparse import csgraph

LEVEL = 0.95  # of every interval
ALPHA = 1 - LEVEL
DRAWS = 10_000
CHUNK = 500  # resamples that are in memory at once


class Paired(NamedTuple):
    """A paired test: the difference, its interval, and the p-value."""

    difference: float
    low: float
    high: float
    p: float


def resampled(
    correct: ArrayLike, draws: int = DRAWS, seed: int = 0
) -> np.ndarray:
    """Accuracies on bootstrap resamples of the test images.

    Every resample draws N of the N images with replacement, the same images
    for all runs, so that differences between runs are paired (Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, chapter 8).

    Args:
        correct: [R, N] bool, whether run r is right on image n; N >= 1.
        draws: number of resamples, B.
        seed: int; equal ones draw equal images.

    Returns:
        [B, R] float, 0..1.
    """
    correct = np.asarray(correct, "float32")
    count = correct.shape[1]
    random = np.random.default_rng(seed)
    hits = []
    for start in range(0, draws, CHUNK):
        rows = min(CHUNK, draws - start)
        # Resample b counts in the cells b * N .. b * N + N - 1.
        images = random.integers(count, size=(rows, count))
        images += count * np.arange(rows)[:, None]
        times = np.bincount(images.ravel(), minlength=rows * count)
        times = times.reshape(rows, count).astype("float32")
        hits.append(times @ correct.T)  # exact: integers below 2^24
    return np.concatenate(hits).astype("float64") / count


def seed_variance(accuracies: ArrayLike) -> tuple[float, float]:
    """Variance of the difference of two methods from seed to seed.

    A few seeds of two methods hardly show it, but those of all methods do: of
    every two methods, the variance of their differences s_ij^2 is pooled,
    weighted by its n_ij - 1 degrees of freedom. With S seeds of all M methods
    this is twice the residual mean square of an analysis of variance with
    methods and seeds as factors, which has (M - 1)(S - 1) degrees of freedom;
    where seeds are missing, as many as there are runs beyond the levels of
    methods and seeds that can be told apart.

    Args:
        accuracies: [M, S] float, NaN where a method lacks a seed.

    Returns:
        (variance, degrees of freedom); 0 and 0 where no two methods share two
        seeds.
    """
    accuracies = np.asarray(accuracies, float)
    one, two = np.triu_indices(len(accuracies), 1)
    differences = accuracies[one] - accuracies[two]
    counts = np.isfinite(differences).sum(axis=1)
    differences = differences[counts > 1]
    weights = counts[counts > 1] - 1
    if not len(weights):
        return 0.0, 0.0
    variances = np.nanvar(differences, axis=1, ddof=1)
    there = np.isfinite(accuracies)
    there = there[there.any(axis=1)][:, there.any(axis=0)]
    # Methods and seeds as nodes: in each part that hangs together, one of
    # their levels follows from the others.
    parts, _ = csgraph.connected_components(
        np.block(
            [
                [np.zeros((len(there), len(there))), there],
                [there.T, np.zeros((there.shape[1], there.shape[1]))],
            ]
        ),
        directed=False,
    )
    return (
        float(np.average(variances, weights=weights)),
        float(there.sum() - sum(there.shape) + parts),
    )


def paired_test(
    differences: ArrayLike,
    resampled_differences: np.ndarray,
    variance: float,
    freedom: float,
) -> Paired:
    """Test of a mean difference, over test images and over seeds.

    The variance of the mean over S seeds is that of its bootstrap over the
    images (Efron and Tibshirani 1993, chapter 6) plus that of the seeds,

        V = Var_b(mean_s d_bs) + variance / S,

    and (d - E d) / sqrt(V) is taken for t distributed with

        f = freedom (V / (variance / S))^2

    degrees of freedom (Satterthwaite, Biometrics Bulletin 2, 1946), which
    gives the interval and p.

    Args:
        differences: [S] float, of two methods' accuracies, one a seed.
        resampled_differences: [B, S], the same on resamples of the images.
        variance, freedom: from `seed_variance`.

    Returns:
        Paired; difference is the mean over seeds.
    """
    mean = float(np.mean(differences))
    of_seeds = variance / len(differences)
    total = resampled_differences.mean(axis=1).var() + of_seeds
    if total < 1e-24:  # rounding alone
        return Paired(mean, mean, mean, float(abs(mean) < 1e-12))
    f = freedom * (total / of_seeds) ** 2 if of_seeds > 0 else np.inf
    error = np.sqrt(total)
    reach = error * stats.t.ppf(1 - ALPHA / 2, f)
    p = 2 * stats.t.sf(abs(mean) / error, f)
    return Paired(mean, float(mean - reach), float(mean + reach), float(p))


def holm(p: ArrayLike) -> np.ndarray:
    """p-values corrected for many tests (Holm 1979).

    The k-th smallest of m becomes the largest of (m - i + 1) p_(i) over
    i <= k, at most 1: below alpha, all errors together stay below alpha.

    Args:
        p: [m] float, 0..1, in any order.

    Returns:
        [m] float in the same order.
    """
    p = np.asarray(p, float)
    order = np.argsort(p)
    steps = np.arange(len(p), 0, -1) * p[order]
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def average_ranks(scores: ArrayLike) -> np.ndarray:
    """Average rank of every method; 1 is best, ties share their ranks.

    Args:
        scores: [N, k] float of k methods in N blocks; more is better.

    Returns:
        [k] float, 1..k.
    """
    return stats.rankdata(-np.asarray(scores), axis=1).mean(axis=0)


def critical_difference(methods: int, blocks: int) -> float:
    """Average ranks further apart than this differ, at 5 % (Nemenyi).

    CD = q sqrt(k (k + 1) / (6 N)), q the quantile of the studentised range
    over sqrt(2) (Demsar, Statistical comparisons of classifiers over multiple
    data sets, JMLR 2006, section 3.2.2).

    Args:
        methods: k, at least 2.
        blocks: N, at least 1.
    """
    q = stats.studentized_range.ppf(LEVEL, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * blocks)))

"""The statistics of a comparison, as pure functions of arrays."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

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


def paired_test(differences: ArrayLike, of_images: float) -> Paired:
    """Test of a mean difference, over test images and over seeds.

    The variance of the mean over S seeds is that over the images plus that
    over the seeds, which the S differences d_s themselves show,

        V = of_images + s^2 / S,  s^2 = sum_s (d_s - d)^2 / (S - 1),

    and (d - E d) / sqrt(V) is taken for t distributed with

        f = (S - 1) (V / (s^2 / S))^2

    degrees of freedom (Satterthwaite, Biometrics Bulletin 2, 1946), which
    gives the interval and p. Of other methods it knows nothing: these may vary
    more or less. Without chance in the images it is the paired t test.

    Args:
        differences: [S] float, of two methods' scores, one a seed.
        of_images: variance of d over other test images, from a bootstrap (Efron
            and Tibshirani 1993, chapter 6). One seed has no other.

    Returns:
        Paired; difference is the mean over seeds.
    """
    differences = np.asarray(differences, float)
    count, mean = len(differences), float(np.mean(differences))
    of_seeds = differences.var(ddof=1) / count if count > 1 else 0.0
    total = of_images + of_seeds
    if total < 1e-24:  # rounding alone
        return Paired(mean, mean, mean, float(abs(mean) < 1e-12))
    f = (count - 1) * (total / of_seeds) ** 2 if of_seeds > 0 else np.inf
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

"""The statistics of a comparison, as pure functions of arrays."""

from typing import NamedTuple

import numpy as np
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


def resampled(correct, draws=DRAWS, seed=0):
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


def seed_shares(count, draws=DRAWS, seed=0):
    """How much each seed counts in each bootstrap resample of the seeds.

    A resample draws S - 1 of the S seeds with replacement: the variance of
    the mean over seeds is then unbiased (Rao and Wu, Resampling inference
    with complex survey data, 1988), where S of S would understate it by 1/S,
    a third of it with three seeds. A single seed always counts in full.

    Args:
        count: number of seeds, S >= 1.
        draws: number of resamples, B.
        seed: int; equal ones draw equal seeds.

    Returns:
        [B, S] float; rows sum to 1.
    """
    if count == 1:
        return np.ones((draws, 1))
    random = np.random.default_rng(seed)
    drawn = random.integers(count, size=(draws, count - 1))
    return (drawn[..., None] == np.arange(count)).mean(axis=1)


def paired_test(differences, resampled_differences, shares):
    """Bootstrap test of a mean difference, over test images and over seeds.

    The interval is the percentile interval, and p is the smallest 1 - level
    at which it leaves out 0 (Efron and Tibshirani 1993, chapters 13 and 15),
    with the observed sample counted as one of the resamples so that p > 0:

        p = min(1, 2 min(1 + #{d_b <= 0}, 1 + #{d_b >= 0}) / (B + 1)).

    Args:
        differences: [S] float, of two methods' accuracies, one a seed.
        resampled_differences: [B, S], the same on resamples of the images.
        shares: [B, S], from `seed_shares`.

    Returns:
        Paired; difference is the mean over seeds.
    """
    drawn = (resampled_differences * shares).sum(axis=1)
    # Sums of thirds and the like are 0 only up to rounding.
    drawn[np.abs(drawn) < 1e-12] = 0
    low, high = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2])
    tail = 1 + min((drawn <= 0).sum(), (drawn >= 0).sum())
    p = min(1, 2 * tail / (len(drawn) + 1))
    return Paired(
        float(np.mean(differences)), float(low), float(high), float(p)
    )


def holm(p):
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


def average_ranks(scores):
    """Average rank of every method; 1 is best, ties share their ranks.

    Args:
        scores: [N, k] float of k methods in N blocks; more is better.

    Returns:
        [k] float, 1..k.
    """
    return stats.rankdata(-np.asarray(scores), axis=1).mean(axis=0)


def critical_difference(methods, blocks):
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

"""Delta_m: how much better or worse than single tasks, over all tasks."""

import itertools

import numpy as np
import pandas as pd

from samtl.comparison import statistics
from samtl.comparison.differences import TESTED, both_ways, corrected
from samtl.comparison.loading import Comparison
from samtl.comparison.resampling import ImageSet


def delta_m(
    comparison: Comparison, image_sets: dict[tuple[str, str], list[ImageSet]]
) -> pd.DataFrame:
    """Test the Delta_m of every method against that of every other.

    Delta_m is the mean over the T tasks of the relative change of accuracy,

        Delta_m = 1/T sum_t (M_mt - M_bt) / M_bt,

    M the mean accuracy over the seeds and b the baseline of the comparison
    (Maninis, Radosavovic, Kokkinos, Attentive Single-Tasking of Multiple
    Tasks, CVPR 2019, arXiv 1904.08918, equation 4). Two methods are compared on
    the seeds that both and the baseline have of all tasks. Where the runs of a
    task were tested on several sets of images, that of most runs counts.

    Args:
        comparison: from `loading.read_comparison`.
        image_sets: from `resampling.image_sets`.

    Returns:
        DataFrame: pair, method, baseline, seeds (in common), difference, low,
        high (in %: Delta_m of the method minus that of the baseline, which
        is 0 for the baseline of the comparison; 95 % interval), p and
        corrected_p, by Holm over the methods that are compared with the same
        baseline.
    """
    found = []
    for pair in comparison.pairs:
        largest = [
            max(image_sets[pair, task], key=lambda several: len(several.places))
            for task in comparison.tasks(pair)
        ]
        for one, two in itertools.combinations(comparison.methods, 2):
            names = (one, two, comparison.baseline)
            common = [set(several.seeds(*names)) for several in largest]
            seeds = sorted(set.intersection(*common))
            test = _test(largest, names, seeds) if seeds else None
            if test:
                rows = both_ways(one, two, len(seeds), test)
                found += [{"pair": pair, **row} for row in rows]
    table = pd.DataFrame(found, columns=["pair", *TESTED])
    return corrected(table, comparison)


def relative_change(scores: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """(mean of the scores - mean of the baseline's) / mean of the baseline's.

    Args:
        scores, baseline: [..., S] float > 0, over S seeds.

    Returns:
        [...] float.
    """
    return scores.mean(axis=-1) / baseline.mean(axis=-1) - 1


def change_by_seed(scores: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """A `relative_change` as the mean over seeds of S numbers.

    Their variance over S is that of the relative change, to first order (the
    delta method for the ratio r of two means),

        c_s = r - 1 + (m_s - r b_s) / mean(b).

    Args:
        scores, baseline: [S] float > 0 of the same seeds.

    Returns:
        [S] float.
    """
    change = relative_change(scores, baseline)
    left = scores - (1 + change) * baseline
    return change + left / baseline.mean()


def _test(image_sets, names, seeds):
    """Test of two methods' Delta_m; names: (one, two, the baseline).

    None where the baseline may have nothing right.
    """
    by_seed, resampled = 0.0, 0.0
    for several in image_sets:
        one, two, single = (several.of(name, seeds) for name in names)
        if not single[1].any(axis=1).all():
            return None
        by_seed += change_by_seed(one[0], single[0])
        by_seed -= change_by_seed(two[0], single[0])
        resampled += relative_change(one[1], single[1])
        resampled -= relative_change(two[1], single[1])
    count = len(image_sets)
    return statistics.paired_test(by_seed / count, (resampled / count).var())

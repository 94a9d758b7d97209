"""Tests of every method against every other on the same test images."""

import itertools
from collections.abc import Iterator

import pandas as pd

from samtl.comparison import statistics
from samtl.comparison.loading import Comparison
from samtl.comparison.resampling import ImageSet

TESTED = ["method", "baseline", "seeds", *statistics.Paired._fields]


def differences(
    comparison: Comparison, image_sets: dict[tuple[str, str], list[ImageSet]]
) -> pd.DataFrame:
    """Test every method against every other, on every task of every pair.

    Two methods are compared on the seeds that both have, and on runs with the
    same test images. Where they share several test sets, the one with the most
    seeds counts. Holm's correction is over all methods and tasks of a pair that
    are compared with the same baseline.

    Args:
        comparison: from `loading.read_comparison`.
        image_sets: from `resampling.image_sets`.

    Returns:
        DataFrame: pair, task, method, baseline, seeds (in common), difference,
        low, high (points: method minus baseline, 95 % interval), p and
        corrected_p.
    """
    found = [
        {"pair": pair, "task": task, **row}
        for (pair, task), several in image_sets.items()
        for one, two in itertools.combinations(comparison.methods, 2)
        for row in _tests(several, one, two)
    ]
    table = pd.DataFrame(found, columns=["pair", "task", *TESTED])
    return corrected(table, comparison)


def both_ways(
    one: str, two: str, seeds: int, test: statistics.Paired
) -> Iterator[dict]:
    """The rows of a test and of its mirror image, in percent."""
    difference, low, high = (100 * value for value in test[:3])
    for method, baseline, numbers in (
        (one, two, (difference, low, high)),
        (two, one, (-difference, -high, -low)),
    ):
        values = (method, baseline, seeds, *numbers, test.p)
        yield dict(zip(TESTED, values, strict=True))


def corrected(table: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """The tests of one baseline after the other, with `corrected_p`.

    Holm's correction is over the tests of a pair with the same baseline.
    """
    for name in ("pair", "method", "baseline"):
        order = getattr(comparison, "pairs" if name == "pair" else "methods")
        table[name] = pd.Categorical(table[name], order)
    table = table.sort_values(
        ["pair", "baseline"], kind="stable", ignore_index=True
    )
    family = table.groupby(["pair", "baseline"], observed=True)
    table["corrected_p"] = family["p"].transform(statistics.holm)
    return table.astype({"pair": str, "method": str, "baseline": str})


def _tests(image_sets, one, two):
    """Both rows of two methods, on the test set with most common seeds."""
    shared = max(image_sets, key=lambda several: len(several.seeds(one, two)))
    seeds = shared.seeds(one, two)
    if not seeds:
        return
    accuracies, resampled = shared.of(one, seeds)
    others, resampled_others = shared.of(two, seeds)
    test = statistics.paired_test(
        accuracies - others,
        (resampled - resampled_others).mean(axis=1).var(),
    )
    yield from both_ways(one, two, len(seeds), test)

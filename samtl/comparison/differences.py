"""Tests of every method against every other on the same test images."""

import itertools
import json

import numpy as np
import pandas as pd

from samtl.comparison import statistics
from samtl.comparison.loading import Comparison


def differences(
    comparison: Comparison, draws: int = statistics.DRAWS
) -> pd.DataFrame:
    """Test every method against every other, on every task of every pair.

    Two methods are compared on the seeds that both have, and on runs with the
    same test images. Where they share several test sets, the one with the most
    seeds counts. Holm's correction is over all methods and tasks of a pair that
    are compared with the same baseline.

    Args:
        comparison: from `loading.read_comparison`.
        draws: number of bootstrap resamples.

    Returns:
        DataFrame: pair, task, method, baseline, seeds (in common), difference,
        low, high (points: method minus baseline, 95 % interval), p and
        corrected_p.
    """
    columns = ["pair", "task", "method", "baseline", "seeds"]
    columns += [*statistics.Paired._fields, "corrected_p"]
    found = [
        {"pair": pair, "task": task, **row}
        for pair in comparison.pairs
        for task in comparison.tasks(pair)
        for row in _task_tests(comparison, pair, task, draws)
    ]
    table = pd.DataFrame(found, columns=columns)
    table = table.sort_values("seeds", ascending=False, kind="stable")
    table = table.drop_duplicates(columns[:4]).sort_index(ignore_index=True)
    for name in ("pair", "method", "baseline"):
        order = getattr(comparison, "pairs" if name == "pair" else "methods")
        table[name] = pd.Categorical(table[name], order)
    table = table.sort_values(["pair", "baseline"], kind="stable")
    family = table.groupby(["pair", "baseline"], observed=True)
    table["corrected_p"] = family["p"].transform(statistics.holm)
    return table.astype({"pair": str, "method": str, "baseline": str})


def class_counts(row: pd.Series) -> str:
    """Number of test images of each class; it identifies a run's test set.

    Args:
        row: of results.csv.
    """
    return str(np.sum(json.loads(row["confusion"]), axis=1).tolist())


def _task_tests(comparison, pair, task, draws):
    rows = comparison.results
    rows = rows[(rows["pair"] == pair) & (rows["task"] == task)]
    for _, same in rows.groupby(rows.apply(class_counts, axis=1)):
        correct = np.array([_bits(row) for row in same.itertuples()])
        accuracies = statistics.resampled(correct, draws)
        places = {
            key: place
            for place, key in enumerate(
                zip(same["method"], same["seed"], strict=True)
            )
        }
        table = same.assign(accuracy=correct.mean(axis=1)).pivot_table(
            index="method", columns="seed", values="accuracy"
        )
        of_seeds = statistics.seed_variance(table)
        for method, baseline in itertools.combinations(comparison.methods, 2):
            seeds = [
                seed
                for seed in sorted(set(same["seed"]))
                if (method, seed) in places and (baseline, seed) in places
            ]
            if not seeds:
                continue
            one = [places[method, seed] for seed in seeds]
            two = [places[baseline, seed] for seed in seeds]
            test = statistics.paired_test(
                correct[one].mean(axis=1) - correct[two].mean(axis=1),
                accuracies[:, one] - accuracies[:, two],
                *of_seeds,
            )
            yield from _both_ways(method, baseline, len(seeds), test)


def _both_ways(method, baseline, seeds, test):
    """The rows of a test and of its mirror image, in points."""
    difference, low, high = (100 * value for value in test[:3])
    for one, two, numbers in (
        (method, baseline, (difference, low, high)),
        (baseline, method, (-difference, -high, -low)),
    ):
        fields = statistics.Paired(*numbers, test.p)
        yield {
            "method": one,
            "baseline": two,
            "seeds": seeds,
            **fields._asdict(),
        }


def _bits(row):
    packed = np.frombuffer(bytes.fromhex(row.correct), np.uint8)
    return np.unpackbits(packed)[: row.count].astype(bool)

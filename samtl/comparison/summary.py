"""From the tables of a comparison to the numbers of its report."""

from dataclasses import dataclass

import pandas as pd
from scipy import stats

from samtl.comparison import statistics
from samtl.comparison.convergence import gains
from samtl.comparison.delta_m import delta_m
from samtl.comparison.differences import differences
from samtl.comparison.loading import Comparison
from samtl.comparison.resampling import class_counts, image_sets


@dataclass(frozen=True)
class Numbers:
    """The numbers of the report, each from the function of its name."""

    scores: pd.DataFrame
    differences: pd.DataFrame
    delta_m: pd.DataFrame
    costs: pd.DataFrame
    gains: pd.DataFrame
    ranks: dict | None
    tested_on: list[tuple[str, str, dict[str, list[int]]]]


def numbers(comparison: Comparison) -> Numbers:
    """All numbers of the report."""
    results, images = comparison.results, image_sets(comparison)
    return Numbers(
        scores(results),
        differences(comparison, images),
        delta_m(comparison, images),
        costs(results, comparison.reference),
        gains(comparison),
        ranks(comparison),
        tested_on(results),
    )


def scores(results: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over the seeds, of every method.

    Args:
        results: rows of results.csv.

    Returns:
        DataFrame with index (pair, task, method): seeds; accuracy and
        balanced_accuracy, 0..1, and accuracy_deviation (unbiased, NaN for
        one seed); forgetting, 0..1, NaN where there is none.
    """
    return results.groupby(["pair", "task", "method"]).agg(
        seeds=("seed", "nunique"),
        accuracy=("accuracy", "mean"),
        accuracy_deviation=("accuracy", "std"),
        balanced_accuracy=("balanced_accuracy", "mean"),
        forgetting=("forgetting", "mean"),
    )


def tested_on(
    results: pd.DataFrame,
) -> list[tuple[str, str, dict[str, list[int]]]]:
    """The tasks whose runs were not all tested on the same images.

    Args:
        results: rows of results.csv.

    Returns:
        list of (pair, task, {method: [numbers of images, over its seeds]}).
    """
    found = []
    for (pair, task), rows in results.groupby(["pair", "task"], sort=False):
        if len(set(rows.apply(class_counts, axis=1))) > 1:
            counts = rows.groupby("method", sort=False)["count"].unique()
            found.append(
                (pair, task, {name: sorted(n) for name, n in counts.items()})
            )
    return found


def ranks(comparison: Comparison) -> dict | None:
    """Average ranks of the methods over pairs, tasks and seeds.

    Counted are the methods that have results for every task, in the blocks
    (pair, task, seed) that all of them have.

    Returns:
        dict: ranks ({method: float}, best first), blocks (int), statistic and
        p (Friedman's test) and critical_difference; or None with fewer than
        three methods or two blocks.
    """
    table = comparison.results.pivot_table(
        index=["pair", "task", "seed"], columns="method", values="accuracy"
    )
    tasks = table.groupby(["pair", "task"]).count()
    table = table.loc[:, (tasks > 0).all()].dropna()
    blocks, count = table.shape
    if count < 3 or blocks < 2:
        return None
    average = statistics.average_ranks(table)
    # Where all are level everywhere, the statistic would be 0 / 0.
    is_level = table.eq(table.iloc[:, 0], axis=0).all(axis=None)
    statistic, p = (
        (0.0, 1.0) if is_level else stats.friedmanchisquare(*table.to_numpy().T)
    )
    return {
        "ranks": dict(
            sorted(zip(table.columns, average, strict=True), key=lambda x: x[1])
        ),
        "blocks": blocks,
        "statistic": float(statistic),
        "p": float(p),
        "critical_difference": statistics.critical_difference(count, blocks),
    }


def costs(results: pd.DataFrame, reference: str | None) -> pd.DataFrame:
    """Mean cost of a seed of every method.

    The runs of single tasks count together: their seconds and images add up.

    Args:
        results: rows of results.csv.
        reference: method whose cost is 1, or None.

    Returns:
        DataFrame with index (pair, method): seconds, images_per_second,
        peak_memory_mib, pseudo_share (of the seconds, 0..1); relative_seconds;
        and forward and backward, passes of images through the network for each
        image that the reference trains on. NaN where unknown.
    """
    runs = results.drop_duplicates(["pair", "method", "seed", "run"])
    # A run is known by its first task. One that is missing must not make the
    # sum over single tasks smaller.
    tasks = runs.groupby(["pair", "method", "task"]).agg(
        seconds=("seconds", "mean"),
        pseudo_seconds=("pseudo_seconds", "mean"),
        images_per_second=("images_per_second", "mean"),
        peak_memory_mib=("peak_memory_mib", "mean"),
        trained=("trained_images", "mean"),
        predicted=("predicted_images", "mean"),
    )
    table = tasks.groupby(["pair", "method"]).agg(
        seconds=("seconds", "sum"),
        pseudo_seconds=("pseudo_seconds", "sum"),
        images_per_second=("images_per_second", "mean"),
        peak_memory_mib=("peak_memory_mib", "max"),
        trained=("trained", _whole_sum),
        predicted=("predicted", _whole_sum),
    )
    table["pseudo_share"] = table.pop("pseudo_seconds") / table["seconds"]
    trained, predicted = table.pop("trained"), table.pop("predicted")
    pairs = table.index.get_level_values("pair")
    one = [(pair, reference) for pair in pairs]
    table["relative_seconds"] = _ratio(table["seconds"], table["seconds"], one)
    table["forward"] = _ratio(trained + predicted, trained, one)
    table["backward"] = _ratio(trained, trained, one)
    return table


def _whole_sum(values):
    """The sum; NaN where a value is missing."""
    return values.sum(skipna=False)


def _ratio(values, table, rows):
    """values, divided by these rows of a table."""
    return values / table.reindex(rows).to_numpy()

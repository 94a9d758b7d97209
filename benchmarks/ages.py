"""How many years is the expected age wrong?

    python -m data_preparation utkface --source FOLDER
    python -m benchmarks.ages

Predicts the age of a prepared dataset's test faces as the demos do, by the
expectation over the age groups, and prints the mean absolute error in years, in
all and by group. For comparison: the representative age of the most probable
group and that of the true one, and the training faces' median age for all.
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from samtl.common import flags
from samtl.common.errors import UserError, run_script
from samtl.data import images, tables
from samtl.inference import loading
from samtl.inference.predictor import Predictor

BATCH = 256


def errors(
    probabilities: np.ndarray, years: np.ndarray, ages: np.ndarray
) -> dict[str, np.ndarray]:
    """Absolute errors of two estimates.

    Args:
        probabilities: float [N, C] of the age groups.
        years: float [N], the true ages.
        ages: float [C], the groups' representative ages, in years.

    Returns:
        {"expected age", "most probable group": float [N], in years}.
    """
    return {
        "expected age": np.abs(probabilities @ ages - years),
        "most probable group": np.abs(ages[probabilities.argmax(1)] - years),
    }


def measure(table: tables.Table, predictor: Predictor) -> dict:
    """Mean absolute errors in years on the table's test faces.

    Returns:
        {estimate: {group: float}}, the group "all" first.

    Raises:
        UserError: the dataset has no ages in years, or the network's age
            groups are not those of the dataset.
    """
    groups = table.tasks["age"].classes
    if "age_years" not in table.rows:
        raise UserError(f"{table.name} has no age_years; choose another one")
    if predictor.tasks.get("age") != groups or not predictor.ages:
        raise UserError(
            f"{predictor.name} does not predict the age groups of "
            f"{table.name}, {', '.join(groups)}; give another --weights"
        )
    is_known = table.rows["age_years"].notna() & table.is_labelled("age")
    known = table.take(np.flatnonzero(is_known))
    test, train = known.split("test"), known.split("train")
    years = test.rows["age_years"].to_numpy(float)
    labels, ages = test.labels("age"), np.array(predictor.ages)
    median = np.median(train.rows["age_years"])
    found = errors(_predicted(test, predictor), years, ages) | {
        "true group": np.abs(ages[labels] - years),
        "median of training": np.abs(median - years),
    }
    parts = {"all": labels >= 0}
    parts |= {group: labels == i for i, group in enumerate(groups)}
    return {
        estimate: {
            name: float(wrong[part].mean())
            for name, part in parts.items()
            if part.any()
        }
        for estimate, wrong in found.items()
    }


def _predicted(table, predictor):
    """Probabilities of the age groups, [N, C], resized as for training."""
    decoder = images.Decoder(table.paths, predictor.shape)
    starts = range(0, len(table), BATCH)
    return np.concatenate(
        [
            predictor.probabilities(
                list(decoder[range(i, min(i + BATCH, len(table)))])
            )["age"]
            for i in track(starts, f"predicting {len(table):,} faces")
        ]
    )


def main(argv: list[str] | None = None) -> None:
    """Print the errors as a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    text = "prepared dataset with age and age_years"
    flags.add_flag(parser, "dataset", flags.dataset, "utkface", text)
    text = "folder of the prepared dataset"
    flags.add_flag(parser, "data_dir", Path, Path("data"), text)
    loading.add_flag(parser)
    args = parser.parse_args(argv)
    table = tables.read(args.dataset, args.data_dir, ["age"])
    found = measure(table, loading.load(args.weights))
    printed = Table(title=f"mean absolute error in years, {args.dataset}")
    printed.add_column("estimate")
    for name in found["expected age"]:
        printed.add_column(name, justify="right")
    for estimate, by_group in found.items():
        numbers = [f"{wrong:.1f}" for wrong in by_group.values()]
        printed.add_row(estimate, *numbers)
    Console().print(printed)


if __name__ == "__main__":
    run_script(main)

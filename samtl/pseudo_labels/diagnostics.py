"""Diagnostics of a round's pseudo labels and their weights, for the reader."""

import collections
import io
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from samtl.common import files
from samtl.data.images import Split
from samtl.data.tasks import Task
from samtl.runs import plots

SHOWN = 12  # images of the highest and of the lowest weights
MEASURES = ("confidence", "density", "distribution", "weight")


def write_round(
    run: Path, round_number: int, diagnostics: list[tuple[Task, Split, dict]]
) -> dict[str, float]:
    """Write the diagnostics of a round; returns their metrics.

    A metric of a task that several datasets lack is its images' mean.

    Args:
        run: folder of the run.
        round_number: k, from 1.
        diagnostics: see `write_diagnostics`.
    """
    values, counts = (
        collections.defaultdict(list),
        collections.defaultdict(list),
    )
    for task, split, found in diagnostics:
        metrics = write_diagnostics(run, round_number, task, split, found)
        for name, value in metrics.items():
            values[name].append(value)
            counts[name].append(len(split))
    return {
        name: float(np.average(found, weights=counts[name]))
        for name, found in values.items()
    }


def draw_round(
    run: Path, round_number: int, diagnostics: list[tuple[Task, Split, dict]]
) -> None:
    """Draw the images of the highest and lowest weights, and histograms.

    Args:
        run, round_number, diagnostics: as in `write_round`.
    """
    for task, split, found in diagnostics:
        stem = f"weights_round{round_number}_{split.table.name}_{task.name}"
        _draw_extremes(run / f"{stem}.png", round_number, task, split, found)
        plots.weight_histogram(run / f"{stem}_histogram.png", found)


def write_diagnostics(
    run: Path, round_number: int, task: Task, split: Split, found: dict
) -> dict[str, float]:
    """Write the pseudo labels of a task on a dataset, and their weights.

    weights_round<k>.csv has a row an image and missing task, in the order of
    the dataset; a measure that the method does not use is left empty, and
    so is an unknown truth.

    Args:
        run: folder of the run.
        round_number: k, from 1.
        task: the missing Task.
        split: `images.Split` whose N images were pseudo-labelled.
        found: from `pseudo_labels.fill`: pseudo_label int [N], weight [N],
            selected bool [N] and those computed of confidence, density,
            distribution [N], all in 0..1.

    Returns:
        dict of metrics: pseudo_<task>_mean_weight and, where hidden truth is
        known, pseudo_<task>_accuracy and, where some of it is among the
        selected, pseudo_<task>_accuracy_selected. Where some labels are right
        and some wrong, pseudo_<task>_auc_<measure> of each measure and of the
        weight: the chance that a right label has more of it than a wrong one
        (area under the ROC curve; 0.5 knows nothing).
    """
    truth = split.table.truth(task)
    if truth is None:
        truth = np.full(len(split), -1)
    _write_weights(
        run / f"weights_round{round_number}.csv", split, task, found, truth
    )
    metrics = {"mean_weight": np.mean(found["weight"])}
    known = truth >= 0
    is_right = found["pseudo_label"] == truth
    for name, rows in (
        ("accuracy", known),
        ("accuracy_selected", known & found["selected"]),
    ):
        if rows.any():
            metrics[name] = np.mean(is_right[rows])
    if len(np.unique(is_right[known])) == 2:
        for measure in filter(found.__contains__, MEASURES):
            metrics[f"auc_{measure}"] = roc_auc_score(
                is_right[known], found[measure][known]
            )
    return {
        f"pseudo_{task.name}_{name}": float(value)
        for name, value in metrics.items()
    }


def _write_weights(path, split, task, found, truth):
    """Write the CSV; the rows of other tasks of the round are kept."""
    names = np.array([*task.classes, ""])  # -1 takes the last one
    table = pd.DataFrame(
        {
            "path": split.table.rows["path"].to_numpy(),
            "pseudo_label": names[found["pseudo_label"]],
            **{measure: found.get(measure) for measure in MEASURES},
            "selected": np.asarray(found["selected"], int),
            "truth": names[truth],
            "dataset": split.table.name,
            "task": task.name,
        }
    )
    if path.exists():
        # As text, so that it stays as it is. A resumed round writes its rows
        # again.
        before = pd.read_csv(path, dtype=str, keep_default_na=False)
        keys = ["dataset", "task"]
        is_own = (before[keys] == table[keys].iloc[0]).all(axis=1)
        text = table.to_csv(index=False, float_format="%.5g")
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
        table = pd.concat([before[~is_own], table])
    with files.write(path) as temporary:
        table.to_csv(
            temporary,
            index=False,
            float_format="%.5g",
            lineterminator="\n",
            encoding="utf-8",
        )


def _draw_extremes(path, round_number, task, split, found):
    order = np.argsort(-np.asarray(found["weight"]), kind="stable")
    highest = order[:SHOWN]
    lowest = order[SHOWN:][-SHOWN:]
    rows = np.concatenate([highest, lowest])
    captions = [
        f"{task.classes[found['pseudo_label'][row]]}\n{found['weight'][row]:.3g}"
        for row in rows
    ]
    title = (
        f"pseudo labels of {task.name} on {split.table.name}, round "
        f"{round_number}: highest weights"
    )
    plots.contact_sheet(
        path,
        split.images(rows),
        captions,
        columns=SHOWN,
        row_titles=(title, "lowest weights") if len(lowest) else (title,),
    )

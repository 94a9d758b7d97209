"""Predictions of a teacher on labelled images, and their scores."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.special import softmax

from samtl.data.images import Split
from samtl.data.tasks import Task
from samtl.evaluation import scoring


def predictions(
    teacher: Callable,
    tasks: list[Task],
    datasets: list[dict[str, Split]],
    split: str,
) -> dict[str, pd.DataFrame]:
    """Predictions on the images that are labelled for a task.

    Args:
        teacher: function of a Split and of rows to the outputs, such as a
            `pseudo_labels.Teacher`.
        tasks: of the network.
        datasets: {"train", "validation", "test"} Splits of each dataset.
        split: "train", "validation" or "test".

    Returns:
        {task name: pandas.DataFrame}: dataset, path, label (class index) and
        one column of probabilities a class, named as the class; the rows of
        the datasets one after the other, in the order of their tables.
    """
    frames = {task.name: [] for task in tasks}
    for splits in datasets:
        table = splits[split].table
        labelled = {t: table.is_labelled(t.name) for t in tasks}
        scored = np.flatnonzero(np.any(list(labelled.values()), axis=0))
        if len(scored) == 0:
            continue
        logits = teacher(splits[split], scored)["logits"]
        for task, known in labelled.items():
            if known.any():
                rows = table.take(np.flatnonzero(known))
                found = logits[task.name][known[scored]]
                frames[task.name].append(_frame(task, rows, found))
    return {
        name: pd.concat(found, ignore_index=True)
        for name, found in frames.items()
    }


def _frame(task, table, logits):
    """The rows of a table, their labels and the probabilities of a task."""
    facts = {
        "dataset": table.name,
        "path": table.rows["path"],
        "label": table.labels(task.name),
    }
    columns = dict(zip(task.classes, softmax(logits, 1).T, strict=True))
    return pd.DataFrame({**facts, **columns})


def score(name: str, predicted: pd.DataFrame) -> dict:
    """`scoring.scores` of a task's `predictions`."""
    return scoring.scores(
        predicted["label"].to_numpy(),
        predicted.iloc[:, 3:].to_numpy(),
        ordered=name == "age",
    )

"""Predictions of a teacher on labelled images, and their scores."""

from collections.abc import Callable

import pandas as pd
from scipy.special import softmax

from samtl.data.images import Split
from samtl.data.tasks import Task
from samtl.evaluation import scoring


def evaluate(
    teacher: Callable,
    tasks: list[Task],
    datasets: list[dict[str, Split]],
    split: str,
) -> dict[str, dict]:
    """Score every task on the datasets labelled for it.

    Returns:
        {task name: dict of `scoring.scores`}.
    """
    found = predictions(teacher, tasks, datasets, split)
    return {name: score(name, frame) for name, frame in found.items()}


def predictions(
    teacher: Callable,
    tasks: list[Task],
    datasets: list[dict[str, Split]],
    split: str,
) -> dict[str, pd.DataFrame]:
    """Predictions on the images that are labelled for a task.

    Args:
        teacher: function of a Split to its outputs, such as a
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
        logits = teacher(splits[split])["logits"]
        for task in tasks:
            if task.name not in table.tasks:
                continue
            facts = {
                "dataset": table.name,
                "path": table.rows["path"],
                "label": table.labels(task.name),
            }
            probabilities = softmax(logits[task.name], 1)
            columns = dict(zip(task.classes, probabilities.T, strict=True))
            frames[task.name].append(pd.DataFrame({**facts, **columns}))
    return {
        name: pd.concat(found, ignore_index=True)
        for name, found in frames.items()
    }


def score(name: str, predicted: pd.DataFrame) -> dict:
    """`scoring.scores` of a task's `predictions`."""
    return scoring.scores(
        predicted["label"].to_numpy(),
        predicted.iloc[:, 3:].to_numpy(),
        ordered=name == "age",
    )

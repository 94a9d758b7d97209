"""Scores of a network on one task, and its forgetting."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    recall_score,
)

from samtl.common.errors import UserError


def scores(
    labels: np.ndarray, probabilities: np.ndarray, ordered: bool = False
) -> dict:
    """Compare the most probable classes with the true ones.

    As scikit-learn defines them: macro F1 averages over the classes that
    occur among the labels or the predictions (one that is predicted but
    never true counts 0); balanced accuracy is the mean recall of the classes
    that occur among the labels.

    Args:
        labels: [N] int in 0..C-1, N >= 1.
        probabilities: [N, C] float, or other scores; the largest is predicted.
        ordered: the classes have an order (age groups); adds
            `one_off_accuracy`, the share at most one class away.

    Returns:
        dict: accuracy, macro_f1, balanced_accuracy (float, 0..1), count
        (int N), confusion (int64 [C, C], rows true, columns predicted) and,
        when ordered, one_off_accuracy.

    Raises:
        ValueError: no labels, or one outside 0..C-1.
        UserError: a probability is not finite.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    classes = np.arange(probabilities.shape[1])
    if len(labels) == 0 or not np.isin(labels, classes).all():
        raise ValueError(f"labels must be in 0..{len(classes) - 1}, not empty")
    if not np.isfinite(probabilities).all():
        raise UserError(
            "the network predicts values that are not finite: training has "
            "diverged; lower --learning_rate"
        )
    predictions = probabilities.argmax(axis=1)
    result = {
        "accuracy": float(accuracy_score(labels, predictions)),
        "macro_f1": float(
            f1_score(labels, predictions, average="macro", zero_division=0)
        ),
        # balanced_accuracy_score without its warning about classes that are
        # predicted but never true.
        "balanced_accuracy": float(
            recall_score(
                labels,
                predictions,
                labels=np.unique(labels),
                average="macro",
            )
        ),
    }
    if ordered:
        distance = np.abs(labels - predictions)
        result["one_off_accuracy"] = float((distance <= 1).mean())
    result["count"] = len(labels)
    result["confusion"] = confusion_matrix(labels, predictions, labels=classes)
    return result


def forgetting(
    rows: Sequence[dict], tasks_of_dataset: dict[str, set[str]]
) -> dict[str, dict]:
    """Accuracy after a task's own rounds and after the other datasets'.

    Args:
        rows: metrics rows in the order of their rounds, each with `dataset`,
            one or several joined by +, and `validation_<task>_accuracy`
            (0..1).
        tasks_of_dataset: dataset name -> the tasks that it is labelled for.

    Returns:
        {task: {"own", "others": {"mean", "best"}, "drop"}} in accuracies.
        `drop` is the mean, over the others' rounds that follow an own one,
        of the accuracy after the latest own round minus the accuracy after
        the other's. None where there was no such round.
    """
    result = {}
    for task in sorted(set().union(*tasks_of_dataset.values())):
        own, others, drops = [], [], []
        for row in rows:
            accuracy = row[f"validation_{task}_accuracy"]
            names = row["dataset"].split("+")
            if any(task in tasks_of_dataset[name] for name in names):
                own.append(accuracy)
                continue
            others.append(accuracy)
            if own:
                drops.append(own[-1] - accuracy)
        result[task] = {
            "own": _mean_and_best(own),
            "others": _mean_and_best(others),
            "drop": float(np.mean(drops)) if drops else None,
        }
    return result


def _mean_and_best(accuracies):
    if not accuracies:
        return None
    return {
        "mean": float(np.mean(accuracies)),
        "best": float(np.max(accuracies)),
    }

"""Triples (target, weight, temperature) of true labels."""

import numpy as np
from sklearn.utils.class_weight import compute_sample_weight

from samtl.data.datasets import DataConfig
from samtl.data.images import Split
from samtl.data.tasks import Task
from samtl.pseudo_labels.targets import Triples


def true_labels(
    split: Split, tasks: list[Task], config: DataConfig
) -> dict[Task, Triples]:
    """Triples of the tasks that a dataset is labelled for.

    A true label is (target, 1, 1): its vote shares with `config.votes`, else
    one-hot. With `config.class_weights` of the task its weight is N / (C N_c),
    N_c the class's number of rows and C that of classes that have any.

    Args:
        split: training Split with N images.
        tasks: the network's tasks; those without labels here are absent.
        config: of the data.

    Returns:
        {Task: Triples over the N rows}.
    """
    table = split.table
    triples = {}
    for task in tasks:
        if task.name not in table.tasks:
            continue
        ones = np.ones(len(table), "float32")
        weight = ones
        if {"balanced", task.name} & set(config.class_weights):
            weight = compute_sample_weight("balanced", table.labels(task.name))
            weight = weight.astype("float32")
        target = table.targets(task.name, votes=config.votes)
        triples[task] = Triples(target, weight, ones)
    return triples

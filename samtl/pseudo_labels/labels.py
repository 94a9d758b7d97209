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

    A true label is (target, w, 1): its votes' shares and their weight where
    there are any, else one-hot and 1. A row without either has w = 0. With
    `config.class_weights` of the task, w is multiplied by N / (C N_c), N_c the
    class's number of labelled rows, N that of all labelled ones, and C that
    of classes that have any.

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
        labelled = table.has_target(task.name)
        weight = np.where(labelled, table.vote_weights(task.name), 0)
        weight = weight.astype("float32")
        if {"balanced", task.name} & set(config.class_weights):
            weight = weight * _rarity(table, task.name)
        triples[task] = Triples(
            table.targets(task.name),
            weight,
            np.ones(len(table), "float32"),
            labelled,
        )
    return triples


def _rarity(table, name):
    """N / (C N_c) of every row's class, 1 where the label is missing."""
    labels, known = table.labels(name), table.is_labelled(name)
    weight = np.ones(len(table), "float32")
    weight[known] = compute_sample_weight("balanced", labels[known])
    return weight

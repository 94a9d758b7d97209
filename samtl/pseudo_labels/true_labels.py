"""Triples (target, weight, temperature) of true labels."""

import numpy as np
from sklearn.utils.class_weight import compute_sample_weight

from samtl.pseudo_labels import Triples


def labelled(table, tasks, args):
    """Triples of the tasks that a dataset is labelled for.

    A true label is (target, 1, 1): its vote shares with --votes, else
    one-hot. With --class_weights of the task its weight is N / (C N_c), N_c
    the class's number of rows and C that of classes that have any.

    Args:
        table: N training rows.
        tasks: the network's tasks; those without labels here are left out.
        args: the script's arguments (`samtl.cli.command_line`).

    Returns:
        {Task: Triples over the N rows}.
    """
    return {
        task: _triples(table, task, args)
        for task in tasks
        if task.name in table.tasks
    }


def _triples(table, task, args):
    weight = np.ones(len(table), "float32")
    if {"balanced", task.name} & set(args.class_weights or ()):
        labels = table.labels(task.name)
        weight = compute_sample_weight("balanced", labels).astype("float32")
    return Triples(
        target=table.targets(task.name, votes=args.votes),
        weight=weight,
        temperature=np.ones(len(table), "float32"),
    )

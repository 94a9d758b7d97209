"""Triples of the labels that a dataset lacks, filled in by a teacher."""

from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np

from samtl.data.images import Split
from samtl.data.tables import UNKNOWN
from samtl.data.tasks import Task
from samtl.pseudo_labels.method import Kind, Method
from samtl.pseudo_labels.sampling import CONFIDENCE
from samtl.pseudo_labels.targets import Triples, fill, naive_triples

REFERENCE_IMAGES = 5000  # most reference images per dataset and round


def fill_missing(
    split: Split,
    splits: list[Split],
    tasks: list[Task],
    method: Method,
    teacher: Callable,
    seed: tuple[int, int],
) -> dict[Task, Triples]:
    """Fill in the labels that a dataset lacks.

    Args:
        split: training Split with N images.
        splits: all training Splits, the references of the distribution weight.
        tasks: the network's tasks.
        method: of this round, see `Method.in_round`.
        teacher: function of a Split and of rows (default: all) to the
            teacher's outputs, such as a `Teacher`.
        seed: (of the run, number of the round), draws reference images.

    Returns:
        {Task: Triples over the N rows} of the tasks that some rows lack; rows
        that have a label are masked. Those of pseudo labels carry their
        diagnostics.
    """
    missing = missing_rows(split, tasks)
    if method.kind == Kind.NAIVE or not missing:
        return masked(split, tasks)
    pool = teacher(split)

    def predict(other, rows):
        if other is not split:
            return teacher(other, rows)
        return keras.tree.map_structure(lambda output: output[rows], pool)

    references = dict.fromkeys(missing, (None, None))
    if method.distribution:
        references = _references(splits, list(missing), predict, seed)
    filled = {}
    for task, rows in missing.items():
        triples, diagnostics = fill(
            method,
            pool["logits"][task.name][rows],
            pool["features"][task.name][rows],
            *references[task],
            seed=seed[0],
        )
        if method.kind != Kind.DISTILLED:
            triples = replace(triples, diagnostics=diagnostics)
        filled[task] = _spread(triples, rows)
        if "density_bounds" in diagnostics:
            _print_bounds(task, split, method, diagnostics["density_bounds"])
    return filled


def missing_rows(split: Split, tasks: list[Task]) -> dict[Task, np.ndarray]:
    """Rows without a label: {Task: bool [N]} of the tasks that some lack."""
    missing = {task: ~split.table.has_target(task.name) for task in tasks}
    return {task: rows for task, rows in missing.items() if rows.any()}


def masked(split: Split, tasks: list[Task]) -> dict[Task, Triples]:
    """Naive triples of the tasks that rows of a Split have no labels of."""
    return {
        task: naive_triples(np.zeros((len(split), len(task))))
        for task in missing_rows(split, tasks)
    }


def soft_triples(
    splits: list[Split], targets: list[dict[Task, np.ndarray]]
) -> list[dict[Task, Triples]]:
    """Triples (q, 1, 1) of predicted distributions, with diagnostics.

    Args:
        splits: training Split of each dataset.
        targets: {Task: q, [N, C] distributions} for each Split; those of the
            rows that lack the label are taken.
    """
    return [
        {
            task: _spread(_soft(found[task][rows]), rows)
            for task, rows in missing_rows(split, list(found)).items()
        }
        for split, found in zip(splits, targets, strict=True)
    ]


def _soft(target):
    ones = np.ones(len(target), "float32")
    diagnostics = {
        "pseudo_label": target.argmax(axis=1),
        "weight": ones,
        "selected": ones > 0,
    }
    target = target.astype("float32")
    return Triples(target, ones, ones, diagnostics=diagnostics)


def _spread(triples, rows):
    """Triples of some rows, bool [N], as triples of all; others masked."""
    if rows.all():
        return triples
    whole = naive_triples(np.zeros((len(rows), triples.target.shape[1])))
    for field in ("target", "weight", "temperature"):
        getattr(whole, field)[rows] = getattr(triples, field)
    return replace(whole, diagnostics=triples.diagnostics)


def _print_bounds(task, split, method, bounds):
    print(
        f"{task.name} on {split.table.name}: density estimated for pseudo "
        f"labels of over {method.density_exact_limit:,} images "
        f"(--density_exact_limit); with probability {CONFIDENCE:.0%} all "
        f"weights are within {bounds.weight:.2g} of the exact ones at "
        f"--density_t={method.density_t:g} +- {bounds.quantile:.2g}",
        flush=True,
    )


def _references(splits, missing, teacher, seed):
    """{task: (features [M, d], labels [M])} of images labelled for it.

    More than REFERENCE_IMAGES are sampled afresh each round: the weight needs
    class means and spreads, and a forward pass over a large set would cost
    more than training on a small one.
    """
    rng = np.random.default_rng(list(seed))
    references = {task: ([], []) for task in missing}
    for split in splits:
        needed = [task for task in missing if task.name in split.table.tasks]
        if not needed:
            continue
        rows = rng.permutation(len(split))[:REFERENCE_IMAGES]
        features = teacher(split, rows)["features"]
        for task in needed:
            labels = split.table.labels(task.name)[rows]
            known = labels != UNKNOWN
            references[task][0].append(features[task.name][known])
            references[task][1].append(labels[known])
    return {
        task: tuple(np.concatenate(values) for values in pair)
        for task, pair in references.items()
    }

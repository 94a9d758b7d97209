"""Triples of the labels that a dataset lacks, filled in by a teacher."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from samtl.data.images import Split
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
    """Fill in the tasks that a dataset is not labelled for.

    Args:
        split: training Split with N images.
        splits: all training Splits, the references of the distribution weight.
        tasks: the network's tasks.
        method: of this round, see `Method.in_round`.
        teacher: function of a Split and of rows (default: all) to the
            teacher's outputs, such as a `Teacher`.
        seed: (of the run, number of the round), draws reference images.

    Returns:
        {Task: Triples over the N rows}; those of pseudo labels carry their
        diagnostics.
    """
    missing = [task for task in tasks if task.name not in split.table.tasks]
    if method.kind == Kind.NAIVE or not missing:
        return masked(split, tasks)
    pool = teacher(split)
    references = {task: (None, None) for task in missing}
    if method.distribution:
        references = _references(splits, missing, teacher, seed)
    filled = {}
    for task in missing:
        filled[task], diagnostics = fill(
            method,
            pool["logits"][task.name],
            pool["features"][task.name],
            *references[task],
            seed=seed[0],
        )
        if method.kind != Kind.DISTILLED:
            filled[task] = replace(filled[task], diagnostics=diagnostics)
        if "density_bounds" in diagnostics:
            _print_bounds(task, split, method, diagnostics["density_bounds"])
    return filled


def masked(split: Split, tasks: list[Task]) -> dict[Task, Triples]:
    """Naive triples of the tasks that a Split has no labels of."""
    return {
        task: naive_triples(np.zeros((len(split), len(task))))
        for task in tasks
        if task.name not in split.table.tasks
    }


def soft_triples(
    targets: list[dict[Task, np.ndarray]],
) -> list[dict[Task, Triples]]:
    """Triples (q, 1, 1) of predicted distributions, with diagnostics.

    Args:
        targets: {Task: q, [N, C] distributions} for each Split.
    """
    return [
        {task: _soft(target) for task, target in found.items()}
        for found in targets
    ]


def _soft(target):
    ones = np.ones(len(target), "float32")
    diagnostics = {
        "pseudo_label": target.argmax(axis=1),
        "weight": ones,
        "selected": ones > 0,
    }
    return Triples(target.astype("float32"), ones, ones, diagnostics)


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
            references[task][0].append(features[task.name])
            references[task][1].append(split.table.labels(task.name)[rows])
    return {
        task: tuple(np.concatenate(values) for values in pair)
        for task, pair in references.items()
    }

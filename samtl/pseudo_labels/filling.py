"""Triples of the labels that a dataset lacks, filled in by a teacher."""

import numpy as np

from samtl import pseudo_labels
from samtl.distributed import devices
from samtl.pseudo_labels.sampling import CONFIDENCE

REFERENCE_IMAGES = 5000  # most reference images per dataset and round


def predict(teacher, part, rows=None):
    """The teacher's outputs on the `rows` of a Split, by default all."""
    rows = np.arange(len(part)) if rows is None else rows
    own = devices.shard(teacher.batch_size)
    batches = part.batches(teacher.batch_size, rows, own)
    return teacher.predict(batches, len(rows))


def fill_missing(part, parts, tasks, method, predict, args, number):
    """Fill in the tasks that a dataset is not labelled for.

    Args:
        part: training Split with N images.
        parts: all training Splits, the references of the distribution weight.
        tasks: list of Task.
        method: `pseudo_labels.Method`.
        predict: function of a Split and of rows (default: all) to the
            teacher's outputs.
        args: the script's arguments (`samtl.cli.command_line`); the triples of the first
            `pseudo_warmup` rounds are naive ones.
        number: the round, from 0; draws the reference images.

    Returns:
        ({Task: Triples over the N rows}, audits): audits as in
        `training.Round`, empty where the method makes no pseudo labels.
    """
    missing = [task for task in tasks if task.name not in part.table.tasks]
    is_early = number < args.pseudo_warmup
    if method.kind == "naive" or not missing or is_early:
        return left_out(part, tasks), []
    pool = predict(part)
    references = {task: (None, None) for task in missing}
    if method.distribution:
        seed = [args.seed, number]
        references = _references(parts, missing, predict, seed)
    filled, audits = {}, []
    for task in missing:
        filled[task], audit = pseudo_labels.fill(
            method,
            pool["logits"][task.name],
            pool["features"][task.name],
            *references[task],
            seed=args.seed,
        )
        if method.kind != "distilled":
            audits.append((task, part, audit))
        if "density_bounds" in audit:
            _print_bounds(task, part, method, audit["density_bounds"])
    return filled, audits


def _print_bounds(task, part, method, bounds):
    print(
        f"{task.name} on {part.table.name}: density estimated for pseudo "
        f"labels of over {method.density_exact_limit:,} images "
        f"(--density_exact_limit); with probability {CONFIDENCE:.0%} all "
        f"weights are within {bounds.weight:.2g} of the exact ones at "
        f"--density_t={method.density_t:g} +- {bounds.quantile:.2g}",
        flush=True,
    )


def left_out(part, tasks):
    """Naive triples of the tasks that a Split has no labels of."""
    return {
        task: pseudo_labels.naive_triples(np.zeros((len(part), len(task))))
        for task in tasks
        if task.name not in part.table.tasks
    }


def soft_triples(parts, targets):
    """Triples (q, 1, 1) of predicted distributions, and their audits.

    Args:
        parts: training Splits.
        targets: {Task: q, [N, C] distributions} for each part.

    Returns:
        (one {Task: Triples} a part, audits), see `training.Round`.
    """
    filled, audits = [], []
    for part, found in zip(parts, targets, strict=True):
        ones = np.ones(len(part), "float32")
        filled.append(
            {
                task: pseudo_labels.Triples(
                    target.astype("float32"), ones, ones
                )
                for task, target in found.items()
            }
        )
        for task, target in found.items():
            audit = {
                "pseudo_label": target.argmax(axis=1),
                "weight": ones,
                "selected": ones > 0,
            }
            audits.append((task, part, audit))
    return filled, audits


def _references(parts, missing, predict, seed):
    """{task: (features [M, d], labels [M])} of images labelled for it.

    More than REFERENCE_IMAGES are sampled afresh each round: the weight needs
    class means and spreads, and a forward pass over a large set would cost
    more than training on a small one.
    """
    rng = np.random.default_rng(seed)
    references = {task: ([], []) for task in missing}
    for part in parts:
        needed = [task for task in missing if task.name in part.table.tasks]
        if not needed:
            continue
        rows = rng.permutation(len(part))[:REFERENCE_IMAGES]
        features = predict(part, rows)["features"]
        for task in needed:
            references[task][0].append(features[task.name])
            references[task][1].append(part.table.labels(task.name)[rows])
    return {
        task: tuple(np.concatenate(values) for values in pair)
        for task, pair in references.items()
    }

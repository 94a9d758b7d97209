"""Distillation: trained networks teach a new one, in joint training.

Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network"
(arXiv 1503.02531). Where the distilling of `samtl.pseudo_labels` keeps to what the
network itself knew at a round's start, these teachers are finished: a large
network, several, or one for each task. They see every image once, as the demos
do: itself and its mirror image.
"""

import contextlib
import dataclasses
import hashlib
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.progress import track

from samtl import pseudo_labels
from samtl.common import files
from samtl.common.errors import UserError
from samtl.data import images
from samtl.inference import loading
from samtl.inference.predictor import LEAST_PROBABILITY, Predictor
from samtl.networks.weights import UNREADABLE
from samtl.runs import run_folder

BATCH_PIXELS = 128 * 64 * 64  # predicted at once, and as many mirrored


class Trained(NamedTuple):
    """A trained network.

    path: its file.
    predictor: `samtl.inference.predictor.Predictor`.
    """

    path: Path
    predictor: Predictor


def load(paths, tasks, resume=None):
    """Load the teachers; returns a list of Trained.

    Args:
        paths: their .onnx or .keras files.
        tasks: list of Task; each must be known to one of them at least.
        resume: folder of the run that goes on, whose teachers they must be.

    Raises:
        UserError: a file is no network, another than when the run began, or
            has other classes of a task, or none knows a task.
    """
    known = run_folder.read_args(resume).get("teachers", {}) if resume else {}
    teachers = [_load(Path(path), known.get(path), resume) for path in paths]
    for task in tasks:
        for path, predictor in teachers:
            classes = predictor.tasks.get(task.name, task.classes)
            if tuple(classes) != tuple(task.classes):
                raise UserError(
                    f"{path} knows other classes of {task.name} "
                    f"({', '.join(classes)}) than the datasets have "
                    f"({', '.join(task.classes)}); give another --teacher"
                )
        if not any(task.name in t.predictor.tasks for t in teachers):
            raise UserError(
                f"no --teacher knows {task.name}; give one that does as well"
            )
    return teachers


def predictions(teachers, part, tasks):
    """What the teachers say of the images of a Split.

    Args:
        teachers: from `load`.
        part: N images.
        tasks: list of Task.

    Returns:
        {Task: float32 [N, C]}, the mean of the probabilities of those teachers
        that know the task.
    """
    found = [_predicted(teacher, part) for teacher in teachers]
    return {
        task: np.mean([p[task.name] for p in found if task.name in p], axis=0)
        for task in tasks
    }


def fill(taught, args, parts, labelled, predict, number):
    """Triples of all tasks, for `confusion.Rounds`.

    A missing label is the teachers' p at the temperature T = --distill_t:
    (p_T, 1, T). A true one, (y, w, 1), is blended with it: with a =
    --teacher_share, ((1 - a) y + a p_T, w, 1).

    Args:
        taught: from `predictions`, one a part.
        args: the script's arguments (`samtl.cli.command_line`).
        parts, labelled, predict, number: see `confusion.Rounds`.
    """
    del parts, predict, number
    share = np.float32(args.teacher_share)
    filled = []
    for probabilities, true in zip(taught, labelled, strict=True):
        triples = {}
        for task, p in probabilities.items():
            logits = np.log(np.maximum(p, LEAST_PROBABILITY))
            triples[task] = pseudo_labels.distilled_triples(
                logits, args.distill_t
            )
            if task in true:
                soft = triples[task].target
                triples[task] = dataclasses.replace(
                    true[task],
                    target=(1 - share) * true[task].target + share * soft,
                )
        filled.append(triples)
    return filled, []


def _load(path, origin, resume):
    """One teacher; `origin`: what the run that goes on knows of it."""
    try:
        predictor = loading.load(path)
    except UserError as error:
        reason = str(error).split(";")[0]
        raise UserError(
            f"--teacher={path}: {reason}; give best.keras or best.onnx of a "
            "finished run, with its labels.json beside it"
        ) from error
    if origin and files.sha256(path) != origin["sha256"]:
        raise UserError(
            f"the teacher {path} has changed since {resume} began; put the old "
            "one back or start a new run"
        )
    return Trained(path, predictor)


def _predicted(teacher, part):
    """{task name: float32 [N, C]}; kept beside the decoded images.

    A large network takes minutes over them on a CPU.

    Raises:
        UserError: a prediction is not finite.
    """
    path, predictor = teacher
    paths = part.table.paths
    facts = (
        files.sha256(path),
        predictor.temperatures,
        images.fingerprint(paths),
    )
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
    cache = part.table.data_dir / "cache"
    cached = cache / f"{part.table.name}-teacher-{digest}.npz"
    with contextlib.suppress(UNREADABLE), np.load(cached) as saved:
        return dict(saved)
    read = part.images
    if read([0]).shape[1:] != predictor.shape:
        read = images.Decoder(paths, predictor.shape).__getitem__
    size = max(1, BATCH_PIXELS // math.prod(predictor.shape[:2]))
    outputs = []
    for start in track(
        range(0, len(part), size), f"{path.name} on {part.table.name}"
    ):
        rows = np.arange(start, min(start + size, len(part)))
        outputs.append(predictor.probabilities(list(read(rows))))
    found = {
        task: np.concatenate([o[task] for o in outputs]).astype("float32")
        for task in predictor.tasks
    }
    if not all(np.isfinite(values).all() for values in found.values()):
        raise UserError(
            f"--teacher={path} predicts values that are not finite: its "
            "training diverged; give another"
        )
    try:
        with files.write(cached) as temporary:
            np.savez(temporary, **found)
    except UserError as error:
        print(f"warning: not kept for other runs: {error}", file=sys.stderr)
    return found

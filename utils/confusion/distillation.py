"""Distillation from trained networks, in joint training.

Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network"
(arXiv 1503.02531). Distillation in `samtl.pseudo_labels` preserves the
predictions of the network itself at a round's start. These teachers are
trained before: a large network, several, or one for each task. They predict
every image once, with test-time augmentation, as in the demos: the image and
its mirror image.
"""

import contextlib
import hashlib
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.progress import track

from samtl.common import archives, files
from samtl.common.errors import UserError
from samtl.data import images
from samtl.data.images import Split
from samtl.data.tasks import Task
from samtl.inference import loading
from samtl.inference.predictor import LEAST_PROBABILITY, Predictor
from samtl.networks.weights import UNREADABLE
from samtl.pseudo_labels import Triples, distilled_triples
from samtl.runs import run_folder
from samtl.training.config import Configuration

BATCH_PIXELS = 128 * 64 * 64  # predicted at once, and as many mirrored


class Trained(NamedTuple):
    """A trained network.

    path: its file.
    predictor: `samtl.inference.predictor.Predictor`.
    """

    path: Path
    predictor: Predictor


def triples(
    config: Configuration,
    splits: list[Split],
    tasks: list[Task],
    true: list[dict[Task, Triples]],
) -> list[dict[Task, Triples]]:
    """Triples of all tasks, one dict a dataset, from the chosen teachers.

    Args:
        config: names the teachers, see `load`, and their weight, see `fill`.
        splits: training Split of each dataset.
        tasks: of the network.
        true: triples of the datasets' labels.
    """
    method = config.method
    teachers = load(method.teachers.paths, tasks, config.run.resume)
    predicted = [predictions(teachers, split, tasks) for split in splits]
    return fill(
        predicted, true, method.distill_t, method.teachers.soft_label_weight
    )


def load(
    paths: tuple[str, ...], tasks: list[Task], resume: Path | None = None
) -> list[Trained]:
    """Load the teachers.

    Args:
        paths: their .onnx or .keras files.
        tasks: each must be known to one of them at least.
        resume: folder of the run that goes on, whose teachers they must be.

    Raises:
        UserError: a file is not a network, another than when the run began, or
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


def predictions(
    teachers: list[Trained], split: Split, tasks: list[Task]
) -> dict[Task, np.ndarray]:
    """Predictions of the teachers on the images of a Split.

    Args:
        teachers: from `load`.
        split: N images.
        tasks: of the network.

    Returns:
        {Task: float32 [N, C]}, the mean of the probabilities of those teachers
        that know the task.
    """
    found = [_predicted(teacher, split) for teacher in teachers]
    return {
        task: np.mean([p[task.name] for p in found if task.name in p], axis=0)
        for task in tasks
    }


def fill(
    predicted: list[dict[Task, np.ndarray]],
    true: list[dict[Task, Triples]],
    temperature: float,
    soft_label_weight: float,
) -> list[dict[Task, Triples]]:
    """Triples of all tasks.

    A missing label is the teachers' p at the temperature T: (p_T, 1, T). A
    true one, (y, w, 1), is blended with it: with the soft-label weight a,
    ((1 - a) y + a p_T, w, 1).

    Args:
        predicted: from `predictions`, one a dataset.
        true: triples of the datasets' labels.
        temperature: T >= 1 (--distill_t).
        soft_label_weight: a, 0..1 (--teacher_share).
    """
    share = np.float32(soft_label_weight)
    filled = []
    for probabilities, labelled in zip(predicted, true, strict=True):
        triples = {}
        for task, p in probabilities.items():
            logits = np.log(np.maximum(p, LEAST_PROBABILITY))
            triples[task] = distilled_triples(logits, temperature)
            if task in labelled:
                label = labelled[task]
                triples[task] = _blended(label, triples[task], share)
        filled.append(triples)
    return filled


def _blended(label, soft, share):
    """True labels with a share of soft ones; soft ones where there is none."""
    is_true = label.labelled
    target = (1 - share) * label.target + share * soft.target
    return Triples(
        np.where(is_true[:, None], target, soft.target),
        np.where(is_true, label.weight, soft.weight),
        np.where(is_true, label.temperature, soft.temperature),
        is_true,
    )


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


def _predicted(teacher, split):
    """{task name: float32 [N, C]}; kept beside the decoded images.

    A large network takes minutes over them on a CPU.

    Raises:
        UserError: a prediction is not finite.
    """
    path, predictor = teacher
    paths = split.table.paths
    facts = (
        files.sha256(path),
        predictor.temperatures,
        images.fingerprint(paths),
    )
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
    cache = split.table.data_dir / "cache"
    cached = cache / f"{split.table.name}-teacher-{digest}.npz"
    with contextlib.suppress(UNREADABLE, UserError):
        return archives.read_arrays(cached)
    read = split.images
    if read([0]).shape[1:] != predictor.shape:
        read = images.Decoder(paths, predictor.shape).__getitem__
    size = max(1, BATCH_PIXELS // math.prod(predictor.shape[:2]))
    outputs = []
    for start in track(
        range(0, len(split), size), f"{path.name} on {split.table.name}"
    ):
        rows = np.arange(start, min(start + size, len(split)))
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

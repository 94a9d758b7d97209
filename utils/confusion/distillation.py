"""Distillation: trained networks teach a new one, in joint training.

Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network"
(arXiv 1503.02531). Where the distilling of `utils.pseudo` keeps to what the
network itself knew at a round's start, these teachers are finished: a large
network or several, or one for each task. They see every image once, as the
demos do, itself and its mirror image.
"""

import dataclasses

import numpy as np
from rich.progress import track

from utils import pseudo
from utils.errors import UserError
from utils.faces.predict import LEAST_PROBABILITY
from utils.faces.predict import load as load_network
from utils.images import Decoder

BATCH = 128


def load(paths, tasks):
    """The teachers: list of `faces.predict.Predictor`.

    Args:
        paths: their .onnx or .keras files.
        tasks: list of Task; each must be known to one of them at least.

    Raises:
        UserError: a file is no network, none knows a task, or one has other
            classes of it.
    """
    teachers = [load_network(path) for path in paths]
    for task in tasks:
        for path, teacher in zip(paths, teachers, strict=True):
            classes = teacher.tasks.get(task.name, task.classes)
            if tuple(classes) != tuple(task.classes):
                raise UserError(
                    f"{path} knows other classes of {task.name} "
                    f"({', '.join(classes)}) than the datasets have "
                    f"({', '.join(task.classes)}); give another --teacher"
                )
        if not any(task.name in teacher.tasks for teacher in teachers):
            raise UserError(
                f"no --teacher knows {task.name}; give one that does too"
            )
    return teachers


def predictions(teachers, part, tasks):
    """What the teachers say of the images of a Part.

    Args:
        teachers: from `load`.
        part: N images, in the pixels of the network that learns; a teacher of
            other pixels reads the files again.
        tasks: list of Task.

    Returns:
        {Task: float [N, C]}, the mean of the probabilities of those teachers
        that know the task.
    """
    found = {task: [] for task in tasks}
    for number, teacher in enumerate(teachers, start=1):
        images = part.images
        if images([0]).shape[1:] != teacher.shape:
            images = Decoder(part.table.paths, teacher.shape).__getitem__
        name = f"teacher {number} of {len(teachers)} on {part.table.name}"
        outputs = [
            teacher.probabilities(
                list(images(np.arange(start, min(start + BATCH, len(part)))))
            )
            for start in track(range(0, len(part), BATCH), name)
        ]
        for task in tasks:
            if task.name in teacher.tasks:
                parts = [output[task.name] for output in outputs]
                found[task].append(np.concatenate(parts))
    return {task: np.mean(values, axis=0) for task, values in found.items()}


def fill(taught, args, parts, labelled, predict, number):
    """Triples of all tasks, for `confusion.Rounds`.

    A missing label is the teachers' p at the temperature T = --distill_t,
    (p_T, 1, T). A true one y is blended with it: ((1 - a) y + a p_T, w, 1),
    where a is --teacher_share.

    Args:
        taught: from `predictions`, one a part.
        args: the script's arguments (`utils.cli`).
        parts, labelled, predict, number: see `confusion.Rounds`.
    """
    del parts, predict, number
    share = np.float32(args.teacher_share)
    filled = []
    for probabilities, true in zip(taught, labelled, strict=True):
        triples = {}
        for task, p in probabilities.items():
            logits = np.log(np.maximum(p, LEAST_PROBABILITY))
            soft = pseudo.distilled_triples(logits, args.distill_t)
            if task in true:
                target = (1 - share) * true[task].target + share * soft.target
                soft = dataclasses.replace(true[task], target=target)
            triples[task] = soft
        filled.append(triples)
    return filled, []

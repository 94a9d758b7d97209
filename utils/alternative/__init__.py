"""Alternating training: every round is one pass over one dataset, in turn."""

import functools
import time

from utils import cli, triples
from utils.batches import Batches
from utils.filling import fill_missing, predict
from utils.training import Round


class Rounds:
    """The plan (`utils.training`) of alternating training.

    At a round's start the teacher is a copy of the network, and the triples
    of the active dataset's missing tasks are filled in over the whole
    dataset by the method.

    Args:
        network: model from `networks.build`.
        teacher: `pseudo.Teacher` of it.
        datasets: list of {"train": Part, ...}, the turn's order.
        tasks: list of Task.
        method: `pseudo.Method`.
        args: the script's arguments (`utils.cli`).
    """

    def __init__(self, network, teacher, datasets, tasks, method, args):
        self.network = network
        self.teacher = teacher
        self.parts = [parts["train"] for parts in datasets]
        self.tasks = tasks
        self.method = method
        self.args = args

    def steps(self, number):
        return -(-len(self._active(number)) // self.args.batch_size)

    def __call__(self, number):
        start = time.perf_counter()
        part = self._active(number)
        self.teacher.update(self.network)
        filled, audits = fill_missing(
            part,
            self.parts,
            self.tasks,
            self.method,
            functools.partial(predict, self.teacher),
            self.args,
            number,
        )
        seconds = time.perf_counter() - start
        batches = Batches(
            part,
            triples.labelled(part.table, self.tasks, self.args) | filled,
            self.args.batch_size,
            seed=[self.args.seed, number],
            strength=cli.view_strength(self.args, part.table.name),
        )
        return Round(part.table.name, batches, audits, seconds)

    def _active(self, number):
        return self.parts[number % len(self.parts)]

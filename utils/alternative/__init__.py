"""Alternating training: every round is one pass over one dataset, in turn."""

import functools
import time

from samtl.cli import command_line
from samtl.data.batches import Batches
from samtl.pseudo_labels import true_labels
from samtl.pseudo_labels.filling import fill_missing, predict
from samtl.training.loop import Round


class Rounds:
    """The plan (`samtl.training.loop`) of alternating training.

    At a round's start the teacher is a copy of the network, and the triples
    of the active dataset's missing tasks are filled in over the whole
    dataset by the method.

    Args:
        network: model from `networks.build`.
        teacher: `pseudo.Teacher` of it.
        datasets: list of {"train": Split, ...}, the turn's order.
        tasks: list of Task.
        method: `pseudo.Method`.
        args: the script's arguments (`samtl.cli.command_line`).
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
            true_labels.labelled(part.table, self.tasks, self.args) | filled,
            self.args.batch_size,
            seed=[self.args.seed, number],
            strength=command_line.view_strength(self.args, part.table.name),
        )
        return Round(part.table.name, batches, audits, seconds)

    def _active(self, number):
        return self.parts[number % len(self.parts)]

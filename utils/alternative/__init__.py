"""Alternating training: every round is one pass over one dataset, in turn."""

import time

import numpy as np

from utils import pseudo, triples
from utils.batches import Batches
from utils.training import Round

REFERENCE_IMAGES = 5000  # most reference images per task and round


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
        part = self._active(number)
        filled = triples.labelled(part.table, self.tasks, self.args)
        start = time.perf_counter()
        audits = {}
        missing = [task for task in self.tasks if task not in filled]
        if missing and self.method.kind == "naive":
            filled |= {
                task: pseudo.naive_triples(np.zeros((len(part), len(task))))
                for task in missing
            }
        elif missing:
            self.teacher.update(self.network)
            batch_size = self.teacher.batch_size
            pool = self.teacher.predict(part.batches(batch_size))
            references = self._references(missing, number)
            for task in missing:
                filled[task], audit = pseudo.fill(
                    self.method,
                    pool["logits"][task.name],
                    pool["features"][task.name],
                    *references[task],
                    seed=self.args.seed,
                )
                if self.method.kind != "distilled":
                    audits[task] = audit
        seconds = time.perf_counter() - start
        batches = Batches(
            part,
            filled,
            self.args.batch_size,
            seed=[self.args.seed, number],
            strength=self.args.augmentation_strength,
        )
        return Round(part.table.name, part, batches, audits, seconds)

    def _active(self, number):
        return self.parts[number % len(self.parts)]

    def _references(self, missing, number):
        """{task: (features [M, d], labels [M])} of images labelled for it.

        Only the distribution weight reads them. More than REFERENCE_IMAGES
        are sampled afresh each round: the weight needs class means and
        spreads, and a forward pass over a large set would cost more than
        training on a small one.
        """
        if not self.method.distribution:
            return {task: (None, None) for task in missing}
        rng = np.random.default_rng([self.args.seed, number])
        references = {task: ([], []) for task in missing}
        for part in self.parts:
            needed = [t for t in missing if t.name in part.table.tasks]
            if not needed:
                continue
            rows = rng.permutation(len(part))[:REFERENCE_IMAGES]
            batches = part.batches(self.teacher.batch_size, rows)
            features = self.teacher.predict(batches)
            for task in needed:
                labels = part.table.labels(task.name)[rows]
                references[task][0].append(features["features"][task.name])
                references[task][1].append(labels)
        return {
            task: tuple(np.concatenate(values) for values in pair)
            for task, pair in references.items()
        }

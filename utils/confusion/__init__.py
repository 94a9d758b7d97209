"""Joint training: every batch mixes all datasets.

A round is an epoch, one pass over the largest dataset.
"""

import time

import keras
import numpy as np
from keras import ops

from samtl.cli import command_line
from samtl.common.errors import UserError
from samtl.data.batches import Batches
from samtl.distributed import devices
from samtl.pseudo_labels import filling, true_labels
from samtl.training.learner import AuxiliaryLoss, triple_loss
from samtl.training.loop import Round


class Rounds:
    """The plan (`samtl.training.loop`) of joint training.

    At an epoch's start the teacher is a copy of the network, and the triples
    of the missing tasks of all datasets are filled in, but in the first
    `pseudo_warmup` epochs, which leave them out.

    Args:
        network: model from `networks.build`.
        teacher: `pseudo.Teacher` of it.
        datasets: list of {"train": Split, ...}.
        tasks: list of Task.
        fill: function (parts, labelled, predict, number) that fills in
            missing triples: `parts` are the training Splits; `labelled` are
            the triples of their labels, one {Task: Triples} a part; `predict`
            gives the teacher's outputs on a part (`Predictions`); `number` is
            the epoch, from 0. It returns a {Task: Triples} a part and a list
            of audits (`training.Round`).
        args: the script's arguments (`samtl.cli.command_line`).

    Raises:
        UserError: a batch is too small to hold an image of each dataset.
    """

    def __init__(self, network, teacher, datasets, tasks, fill, args):
        self.network = network
        self.teacher = teacher
        self.parts = [parts["train"] for parts in datasets]
        self.tasks = tasks
        self.fill = fill
        self.args = args
        sizes = [len(part) for part in self.parts]
        self.shares = shares(sizes, args.batch_size)
        self.largest = int(np.argmax(sizes))
        self._steps = -(-max(sizes) // self.shares[self.largest])

    def steps(self, number):
        return self._steps

    def __call__(self, number):
        start = time.perf_counter()
        self.teacher.update(self.network)
        labelled = [
            true_labels.labelled(part.table, self.tasks, self.args)
            for part in self.parts
        ]
        if number < self.args.pseudo_warmup:
            filled = [filling.left_out(part, self.tasks) for part in self.parts]
            audits = []
        else:
            predict = Predictions(self.teacher)
            filled, audits = self.fill(self.parts, labelled, predict, number)
        seconds = time.perf_counter() - start
        passes = [
            Batches(
                part,
                labelled[index] | filled[index],
                self.shares[index],
                seed=[self.args.seed, number, index],
                strength=command_line.view_strength(self.args, part.table.name),
                order=self._order(index, number),
            )
            for index, part in enumerate(self.parts)
        ]
        name = "+".join(part.table.name for part in self.parts)
        return Round(name, MixedBatches(passes), audits, seconds)

    def split_losses(self):
        """Terms that report each task's loss on labelled and other images."""
        return {
            f"{task.name}_{name}_loss": AuxiliaryLoss(
                0.0, _masked_loss(task, mask)
            )
            for task in self.tasks
            for name, mask in (
                ("labelled", self.labelled_rows(task)),
                ("pseudo", 1 - self.labelled_rows(task)),
            )
        }

    def labelled_rows(self, task):
        """Which images of every batch have the task's label: [B] of 0, 1."""
        has = [task.name in part.table.tasks for part in self.parts]
        return np.repeat(np.array(has, "float32"), self.shares)

    def _order(self, index, number):
        """The rows of an epoch's pass over a dataset."""
        count, seed = len(self.parts[index]), [self.args.seed, index]
        if index == self.largest:
            return cycle(count, number * count, count, seed)
        places = self._steps * self.shares[index]
        return cycle(count, number * places, places, seed)


class MixedBatches(keras.utils.PyDataset):
    """Several passes of equally many batches as one.

    Each batch is the passes' batches joined; see `samtl.data.batches.Batches`.

    Args:
        passes: list of Batches.
    """

    def __init__(self, passes):
        super().__init__(workers=1)
        self.passes = passes
        ends = np.cumsum([batches.batch_size for batches in passes])
        own = devices.shard(int(ends[-1]))
        for batches, end in zip(passes, ends, strict=True):
            start = end - batches.batch_size
            batches.own = slice(
                max(0, own.start - start), max(0, own.stop - start)
            )

    @property
    def count(self):
        """Images of the pass."""
        return sum(batches.count for batches in self.passes)

    def __len__(self):
        return len(self.passes[0])

    def __getitem__(self, index):
        return keras.tree.map_structure(
            lambda *arrays: np.concatenate(arrays),
            *(batches[index] for batches in self.passes),
        )

    def paths(self, index):
        """Files of a batch, for error messages."""
        return [
            path for batches in self.passes for path in batches.paths(index)
        ]


class Predictions:
    """The teacher's outputs on Splits, each predicted when first asked for.

    Args:
        teacher: `pseudo.Teacher`; it must not change while this is in use.
    """

    def __init__(self, teacher):
        self._teacher = teacher
        self._outputs = {}

    def __call__(self, part, rows=slice(None)):
        """Outputs on the rows of a part: see `pseudo.Teacher.predict`."""
        if id(part) not in self._outputs:
            self._outputs[id(part)] = filling.predict(self._teacher, part)
        return keras.tree.map_structure(
            lambda output: output[rows], self._outputs[id(part)]
        )


def fill(tasks, method, args, parts, labelled, predict, number):
    """Fill in missing triples as alternating training does, for `Rounds`.

    Args:
        tasks: list of Task.
        method: `pseudo.Method`.
        args: the script's arguments (`samtl.cli.command_line`).
        parts, labelled, predict, number: see `Rounds`.
    """
    del labelled
    found = [
        filling.fill_missing(part, parts, tasks, method, predict, args, number)
        for part in parts
    ]
    return (
        [missing for missing, _ in found],
        [audit for _, audits in found for audit in audits],
    )


def shares(sizes, batch_size):
    """How many images of each dataset a batch holds.

    In proportion to the sizes, rounded so that they add up, and at least one.

    Args:
        sizes: [K] images of each dataset.
        batch_size: images of a batch.

    Returns:
        list of K int >= 1 whose sum is batch_size.

    Raises:
        UserError: there are more datasets than images in a batch.
    """
    if batch_size < len(sizes):
        raise UserError(
            f"a batch of {batch_size} cannot hold an image of each of "
            f"{len(sizes)} datasets; raise --batch_size, or --limit, as no "
            "batch is larger than the largest training set"
        )
    wanted = batch_size * np.array(sizes) / sum(sizes)
    found = np.maximum(1, wanted.astype(int))
    while found.sum() < batch_size:
        found[np.argmax(wanted - found)] += 1
    while found.sum() > batch_size:
        surplus = np.where(found > 1, found - wanted, -np.inf)
        found[np.argmax(surplus)] -= 1
    return found.tolist()


def cycle(count, first, places, seed):
    """Split of an endless walk over rows that shuffles anew after each turn.

    Args:
        count: rows, numbered from 0.
        first: place of the walk to begin at, >= 0.
        places: length of the part.
        seed: list of int; the same seed repeats the walk.

    Returns:
        int [places].
    """
    turns = range(first // count, -(-(first + places) // count))
    orders = [
        np.random.default_rng([*seed, turn]).permutation(count)
        for turn in turns
    ]
    return np.concatenate(orders)[first % count :][:places]


def _masked_loss(task, mask):
    """The task's loss on the images of a batch where `mask`, [B], is 1."""

    def value(outputs, triples):
        triple = triples[task.name]
        # Torch on a GPU multiplies no tensor by a NumPy array.
        weight = ops.multiply(triple["weight"], mask)
        triple = {**triple, "weight": weight}
        return triple_loss(**triple, logits=outputs["logits"][task.name])

    return value

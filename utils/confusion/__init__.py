"""Joint training: every batch mixes all datasets.

An epoch is one pass over the largest dataset, or over that with the most
steps where each has a batch size of its own. (The folder is named after the
scripts; a confusion matrix is something else.)
"""

from collections.abc import Callable

import keras
import numpy as np

from samtl.data.batches import Batches
from samtl.data.images import Split
from samtl.data.steps import joint_steps
from samtl.data.tasks import Task
from samtl.distributed import devices
from samtl.pseudo_labels import Teacher, Triples
from samtl.pseudo_labels.targets import triple_loss
from samtl.training.config import Configuration, TrainingConfig
from samtl.training.learner import AuxiliaryLoss


class Mixture:
    """How the datasets share the batches of joint training.

    As `training.batch_sizes` says, else in proportion to their sizes, at least
    one image of each.

    Args:
        splits: training Split of each dataset.
        training: batch size, or batch sizes.

    Attributes:
        shares: images of each dataset in a batch.
        steps: batches of an epoch, which is one pass over the dataset that
            needs the most of them.

    Raises:
        UserError: a batch is too small to hold an image of each dataset.
    """

    def __init__(self, splits: list[Split], training: TrainingConfig):
        self.splits = splits
        names = [split.table.name for split in splits]
        found = joint_steps(
            [len(split) for split in splits],
            [training.batch_sizes[name] for name in names]
            if training.batch_sizes
            else training.batch_size,
        )
        self.shares, self.steps = found.shares, found.steps
        self._longest = found.longest

    def generator(
        self,
        triples: list[dict[Task, Triples]],
        config: Configuration,
        number: int,
    ) -> "MixedBatches":
        """The batches of an epoch, for a Keras model.

        Args:
            triples: of every task of the network, one dict a dataset.
            config: augmentation and random seed.
            number: the epoch, from 0; the same one repeats its batches.
        """
        seed = config.training.seed
        passes = [
            Batches(
                split,
                triples[index],
                self.shares[index],
                seed=[seed, number, index],
                strength=config.data.augmentation.get(split.table.name, 0.0),
                order=self._order(index, number, seed),
            )
            for index, split in enumerate(self.splits)
        ]
        return MixedBatches(passes)

    def _order(self, index, number, seed):
        """The rows of an epoch's pass over a dataset."""
        count, seed = len(self.splits[index]), [seed, index]
        if index == self._longest:
            return cycle(count, number * count, count, seed)
        places = self.steps * self.shares[index]
        return cycle(count, number * places, places, seed)


class MixedBatches(keras.utils.PyDataset):
    """Several passes of equally many batches as one.

    Each batch is the passes' batches joined; see `samtl.data.batches.Batches`.

    Args:
        passes: one a dataset.
    """

    def __init__(self, passes: list[Batches]):
        super().__init__(workers=1)
        self.passes = passes
        ends = np.cumsum([batches.batch_size for batches in passes])
        shard = devices.shard(int(ends[-1]))
        for batches, end in zip(passes, ends, strict=True):
            start = end - batches.batch_size
            batches.shard = slice(
                max(0, shard.start - start), max(0, shard.stop - start)
            )

    @property
    def name(self) -> str:
        """Names of the datasets."""
        return "+".join(batches.name for batches in self.passes)

    @property
    def diagnostics(self) -> list[tuple]:
        """Those of all passes, see `Batches`."""
        return [found for b in self.passes for found in b.diagnostics]

    @property
    def count(self) -> int:
        """Images of the pass."""
        return sum(batches.count for batches in self.passes)

    def __len__(self):
        return len(self.passes[0])

    def __getitem__(self, index):
        return keras.tree.map_structure(
            lambda *arrays: np.concatenate(arrays),
            *(batches[index] for batches in self.passes),
        )

    def paths(self, index: int) -> list[str]:
        """Files of a batch, for error messages."""
        return [
            path for batches in self.passes for path in batches.paths(index)
        ]


class Predictions:
    """The teacher's outputs on Splits, each predicted when first asked for.

    Args:
        teacher: must not change while this is in use.
    """

    def __init__(self, teacher: Teacher):
        self._teacher = teacher
        self._outputs = {}

    def __call__(self, split: Split, rows: np.ndarray = slice(None)) -> dict:
        """Outputs on the rows of a Split (default: all), see `Teacher`."""
        if id(split) not in self._outputs:
            self._outputs[id(split)] = self._teacher(split)
        return keras.tree.map_structure(
            lambda output: output[rows], self._outputs[id(split)]
        )


def split_losses(tasks: list[Task]) -> dict[str, AuxiliaryLoss]:
    """Report each task's loss on labelled and on other images; weight 0."""
    return {
        f"{task.name}_{name}_loss": AuxiliaryLoss(
            0.0, partial_loss(task, labelled)
        )
        for task in tasks
        for name, labelled in (("labelled", True), ("pseudo", False))
    }


def observed(true: dict[Task, Triples], task: Task, count: int) -> np.ndarray:
    """True labels of a task, of N = `count` images.

    Args:
        true: triples of a dataset's labels.
        task: it may lack.
        count: images of the dataset.

    Returns:
        [N, C] distributions; rows of zeros where there is no label.
    """
    if task not in true:
        return np.zeros((count, len(task)), "float32")
    triples = true[task]
    return np.where(triples.labelled[:, None], triples.target, 0)


def cycle(count: int, first: int, places: int, seed: list[int]) -> np.ndarray:
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


def partial_loss(task: Task, labelled: bool) -> Callable:
    """Function of outputs and triples to a task's loss on part of a batch.

    Args:
        task: whose loss.
        labelled: on the images with a true label, or on the others.
    """

    def value(outputs, triples):
        triple = triples[task.name]
        mask = triple["labelled"] if labelled else 1.0 - triple["labelled"]
        return triple_loss(
            triple["target"],
            triple["weight"] * mask,
            triple["temperature"],
            outputs["logits"][task.name],
        )

    return value

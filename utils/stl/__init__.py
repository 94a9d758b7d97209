"""Single-task learning: every round is one pass over one dataset."""

from samtl.data.batches import Batches
from samtl.data.images import Split
from samtl.data.steps import pass_steps
from samtl.data.tasks import Task
from samtl.pseudo_labels import Triples
from samtl.training.config import Configuration


def generator(
    split: Split,
    triples: dict[Task, Triples],
    config: Configuration,
    number: int,
) -> Batches:
    """One shuffled pass over a dataset, for a Keras model.

    Args:
        split: training Split with N images.
        triples: of every task of the network, over the N rows.
        config: batch size, augmentation and random seed.
        number: the round, from 0; the same one repeats the pass.
    """
    return Batches(
        split,
        triples,
        config.training.batch_of(split.table.name),
        seed=[config.training.seed, number],
        strength=config.data.augmentation.get(split.table.name, 0.0),
    )


def steps(split: Split, config: Configuration) -> int:
    """Optimizer steps of a pass over a dataset."""
    return pass_steps(len(split), config.training.batch_of(split.table.name))

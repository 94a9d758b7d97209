"""How many steps a pass over datasets takes, and the images of each step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samtl.common.errors import UserError


@dataclass(frozen=True)
class JointSteps:
    """An epoch of joint training, whose batches mix all datasets.

    shares: images of each dataset in a batch.
    longest: index of the dataset that an epoch passes over once; the others go
        on where they were, and begin anew when they are over.
    steps: batches of an epoch.
    """

    shares: list[int]
    longest: int
    steps: int


def pass_steps(images: int, batch_size: int) -> int:
    """Steps of a pass over so many images; the last batch may be smaller."""
    return -(-images // batch_size)


def joint_steps(
    sizes: Sequence[int], batch_sizes: Sequence[int] | int
) -> JointSteps:
    """The steps of joint training.

    Args:
        sizes: [K] images of each dataset.
        batch_sizes: [K] images of each dataset in a batch, or those of the
            batch, which the datasets share by their sizes. An epoch is one pass
            over the dataset that needs most steps, or over the largest.

    Raises:
        UserError: a batch is too small to hold an image of each dataset.
    """
    if isinstance(batch_sizes, int):
        found, longest = shares(sizes, batch_sizes), int(np.argmax(sizes))
    else:
        found = list(batch_sizes)
        longest = int(np.argmax(np.divide(sizes, found)))
    return JointSteps(
        found, longest, pass_steps(sizes[longest], found[longest])
    )


def shares(sizes: list[int], batch_size: int) -> list[int]:
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

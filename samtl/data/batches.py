"""Batches of images and label triples for one pass over a dataset."""

import keras
import numpy as np

from samtl.data import augmentation
from samtl.data.images import Split
from samtl.data.tasks import mirrored
from samtl.distributed import devices


class Batches(keras.utils.PyDataset):
    """One shuffled pass over a Split: (inputs, triples) per batch.

    All batches have one size. The last is filled up with images of the pass
    whose triples have weight 0. They cost nothing; a step of another shape
    would be compiled anew, and would not be bitwise reproducible.

    A batch is a pair of
        {"image": uint8 [B, H, W, C]} and, with augmentation, "transform",
        float32 [B, 8], and "light", float32 [B, 2] (`augmentation.draw`);
        {task: {"target": float32 [B, C_t], "weight", "temperature", "labelled":
        float32 [B]}} for every task, 1 where the image has a true label.
    Where several processes share a batch (`samtl.distributed.devices`),
    "image" and the augmentation are those of the places `shard` only.

    Args:
        split: the images, N of them.
        triples: {Task: `pseudo_labels.Triples` over the split's N rows}.
        batch_size: images per batch.
        seed: draws the order and the augmentation; the same seed repeats them.
        strength: of the augmentation, see `augmentation.draw`; 0: none.
        order: int, the rows of the pass (default: all, shuffled).
    """

    def __init__(
        self,
        split: Split,
        triples: dict,
        batch_size: int,
        seed: int | list[int],
        strength: float = 0.0,
        order: np.ndarray | None = None,
    ):
        super().__init__(workers=1)
        rng = np.random.default_rng(seed)
        self.split = split
        self.batch_size = batch_size
        self.shard = devices.shard(batch_size)
        self.order = rng.permutation(len(split)) if order is None else order
        self.augmentation = {}
        self.triples = {
            task.name: {
                "target": values.target[self.order],
                "weight": values.weight[self.order],
                "temperature": values.temperature[self.order],
                "labelled": _labelled(values)[self.order],
            }
            for task, values in triples.items()
        }
        # (Task, Split, diagnostics) of every task with pseudo labels.
        self.diagnostics = [
            (task, _lacking(split, values), values.diagnostics)
            for task, values in triples.items()
            if values.diagnostics is not None
        ]
        if strength:
            height, width = split.images([0]).shape[1:3]
            self.augmentation, flipped = augmentation.draw(
                rng,
                self.count,
                height,
                width,
                strength,
                can_flip=all(task.can_flip for task in triples),
            )
            for task in triples if flipped.any() else ():
                target = self.triples[task.name]["target"]
                target[flipped] = target[flipped][:, mirrored(task.classes)]

    @property
    def name(self) -> str:
        """Name of the dataset."""
        return self.split.table.name

    @property
    def count(self) -> int:
        """Images of the pass."""
        return len(self.order)

    def __len__(self):
        return -(-self.count // self.batch_size)

    def __getitem__(self, index):
        start = index * self.batch_size
        places = np.arange(start, start + self.batch_size)
        rows = places % self.count
        read = rows[self.shard]
        inputs = {"image": self.split.images(self.order[read])}
        for name, values in self.augmentation.items():
            inputs[name] = values[read]
        triples = {
            task: {name: values[rows] for name, values in triple.items()}
            for task, triple in self.triples.items()
        }
        for triple in triples.values():
            triple["weight"][places >= self.count] = 0.0
        return inputs, triples

    def paths(self, index: int) -> list[str]:
        """Files of a batch, for error messages."""
        start = index * self.batch_size
        rows = self.order[start : start + self.batch_size]
        return [str(path) for path in self.split.table.rows["path"].iloc[rows]]


def _labelled(triples):
    """1 for samples with a true label, else 0: float32 [N]."""
    if triples.labelled is None:
        return np.zeros(len(triples.weight), "float32")
    return triples.labelled.astype("float32")


def _lacking(split, triples):
    """The samples without a true label, as a Split."""
    if triples.labelled is None or not triples.labelled.any():
        return split
    return split.take(np.flatnonzero(~triples.labelled))

"""Batches of images and label triples for one pass over a dataset."""

import keras
import numpy as np

from samtl.data import augmentation
from samtl.data.tasks import mirrored
from samtl.distributed import devices


class Batches(keras.utils.PyDataset):
    """One shuffled pass over a Split: (inputs, triples) per batch.

    All batches have one size. The last is filled up with images of the pass
    whose triples have weight 0: they cost nothing, and a step of another
    shape would be compiled anew, to other last digits.

    A batch is a pair of
        {"image": uint8 [B, H, W, C]} and, when augmenting, the views
        "transform", float32 [B, 8], and "light", float32 [B, 2];
        {task: {"target": float32 [B, C_t], "weight": float32 [B],
        "temperature": float32 [B]}} for every task.
    Where several processes share a batch (`samtl.distributed.devices`),
    "image" and the views are those of the places `own` only.

    Args:
        part: the images, N of them.
        triples: {Task: Triples over the part's N rows}.
        batch_size: images per batch.
        seed: the order and the random views; the same seed repeats them.
        strength: of the random views, see
            `augmentation.draw`; 0 shows the images as they are.
        order: int, the rows of the pass (default: all, shuffled).
    """

    def __init__(
        self, part, triples, batch_size, seed, strength=0.0, order=None
    ):
        super().__init__(workers=1)
        rng = np.random.default_rng(seed)
        self.part = part
        self.batch_size = batch_size
        self.own = devices.shard(batch_size)
        self.order = rng.permutation(len(part)) if order is None else order
        self.views = {}
        self.triples = {
            task.name: {
                "target": values.target[self.order],
                "weight": values.weight[self.order],
                "temperature": values.temperature[self.order],
            }
            for task, values in triples.items()
        }
        if strength:
            height, width = part.images([0]).shape[1:3]
            self.views, flipped = augmentation.draw(
                rng, self.count, height, width, strength
            )
            for task in triples:
                target = self.triples[task.name]["target"]
                target[flipped] = target[flipped][:, mirrored(task.classes)]

    @property
    def count(self):
        """Images of the pass."""
        return len(self.order)

    def __len__(self):
        return -(-self.count // self.batch_size)

    def __getitem__(self, index):
        start = index * self.batch_size
        places = np.arange(start, start + self.batch_size)
        rows = places % self.count
        read = rows[self.own]
        inputs = {"image": self.part.images(self.order[read])}
        for name, values in self.views.items():
            inputs[name] = values[read]
        triples = {
            task: {name: values[rows] for name, values in triple.items()}
            for task, triple in self.triples.items()
        }
        for triple in triples.values():
            triple["weight"][places >= self.count] = 0.0
        return inputs, triples

    def paths(self, index):
        """Files of a batch, for error messages."""
        start = index * self.batch_size
        rows = self.order[start : start + self.batch_size]
        return [str(path) for path in self.part.table.rows["path"].iloc[rows]]

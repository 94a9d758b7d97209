"""What each method of joint training costs beside All-in-one.

    python -m benchmarks.joint

All methods in one run, on noise in the numbers of FER+ and MTFL: the seconds
of a training step, over All-in-one's, and the seconds that an epoch spends on
filling in triples, DCN-AP's propagation among them. Steps are taken in turns,
so that a machine whose speed drifts slows all methods alike.
"""

import argparse
import time

import keras
import numpy as np
from keras import ops

from benchmarks.made_up import EMOTION, POSE, noise
from samtl import networks, pseudo_labels
from samtl.common.flags import Number
from samtl.data.datasets import DataConfig
from samtl.pseudo_labels.filling import fill_missing, masked
from samtl.pseudo_labels.labels import true_labels
from samtl.pseudo_labels.method import RandomField, Regularisers
from samtl.pseudo_labels.targets import joined
from samtl.training.config import Configuration, TrainingConfig
from samtl.training.learner import Auxiliary, Learner
from utils import confusion
from utils.confusion import label_transfer, manifold, mrf

TASKS = [EMOTION, POSE]
DATA = DataConfig({}, ())
CONFIG = Configuration(DATA)
LOSS_WEIGHTS = {task.name: 1.0 for task in TASKS}
# Triples filled in by the teacher; the other methods fill in their own way.
TEACHER = {
    "distilled": pseudo_labels.Method("distilled"),
    "sa-mtl-hard": pseudo_labels.Method("hard"),
    "sa-mtl-interpolation": pseudo_labels.Method("interpolation"),
}
REGULARISERS = {
    "sfsmr": Regularisers(lnorm=1e-4, trace_norm=1.0),
    "slrm": Regularisers(lnorm=1e-4, trace_norm=1.0, nuclear_norm=1e-3),
}
METHODS = ("all-in-one", *TEACHER, "lel-ltn", "dcn-ap", *REGULARISERS)


class Contestant:
    """A method with its own network, and a step of its training.

    Args:
        name: of METHODS.
        splits: training Splits.
        batch_size: images of a step.
    """

    def __init__(self, name, splits, batch_size):
        self.name = name
        self.splits = splits
        is_transfer = name == "lel-ltn"
        self.network = networks.build(
            "mini_xception", TASKS, label_embeddings=is_transfer
        )
        self.teacher = pseudo_labels.Teacher(self.network, batch_size)
        self.mixture = confusion.Mixture(
            splits, TrainingConfig(batch_size=batch_size)
        )
        self.transfer = None
        losses = confusion.split_losses(TASKS)
        if is_transfer:
            self.transfer = label_transfer.build(TASKS)
            losses |= label_transfer.losses(
                self.transfer, self.network, TASKS, LOSS_WEIGHTS
            )
        if name in REGULARISERS:
            losses = manifold.losses(self.network, TASKS, REGULARISERS[name])
        self.learner = Learner(
            self.network,
            TrainingConfig(loss_weights=LOSS_WEIGHTS),
            Auxiliary(losses, self.transfer),
        )
        self.learner.compile(optimizer="adam", jit_compile=False)
        self.labels = [true_labels(split, TASKS, DATA) for split in splits]
        self.batch = None

    def _missing(self, predict):
        splits, labels = self.splits, self.labels
        if self.name == "lel-ltn":
            return label_transfer.fill(
                self.transfer, self.network, splits, TASKS, predict
            )
        if self.name == "dcn-ap":
            return mrf.fill(RandomField(), splits, TASKS, labels, predict)
        if self.name not in TEACHER:
            return [masked(split, TASKS) for split in splits]
        method = TEACHER[self.name]
        return [
            fill_missing(split, splits, TASKS, method, predict, (0, 0))
            for split in splits
        ]

    def fill(self):
        """Seconds of an epoch's predictions of all images, and of filling."""
        start = time.perf_counter()
        predict = confusion.Predictions(self.teacher)
        for split in self.splits:
            predict(split)
        predicted = time.perf_counter()
        missing = self._missing(predict)
        filled = time.perf_counter()
        triples = [
            joined(a, b) for a, b in zip(self.labels, missing, strict=True)
        ]
        batches = self.mixture.generator(triples, CONFIG, 0)
        self.batch = keras.tree.map_structure(ops.convert_to_tensor, batches[0])
        return predicted - start, filled - predicted

    def step(self):
        """Seconds of one step, on a batch that is at hand."""
        start = time.perf_counter()
        self.learner.train_on_batch(*self.batch)
        return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--batch_size", type=Number(int, 1), default=64)
    parser.add_argument("--steps", type=Number(int, 1), default=30)
    parser.add_argument(
        "--sizes",
        type=Number(int, 1),
        nargs=2,
        default=(21378, 4999),
        help="images of the two datasets (default: FER+ and MTFL)",
    )
    args = parser.parse_args()
    splits = [
        noise(task, count, seed)
        for seed, (task, count) in enumerate(
            zip(TASKS, args.sizes, strict=True)
        )
    ]
    contestants = {
        name: Contestant(name, splits, args.batch_size) for name in METHODS
    }
    fills = {name: entry.fill() for name, entry in contestants.items()}
    seconds = np.array(
        [
            [entry.step() for entry in contestants.values()]
            for _ in range(args.steps + 1)
        ]
    )[1:]  # the first one compiles
    steps = contestants["all-in-one"].mixture.steps
    print(f"{'method':22}{'ms a step':>10}{'ratio':>8}{'filling in, s':>15}")
    for (name, (_, fill)), column in zip(fills.items(), seconds.T, strict=True):
        ratio = np.median(column / seconds[:, 0])
        milliseconds = 1000 * np.median(column)
        print(f"{name:22}{milliseconds:10.0f}{ratio:8.2f}{fill:15.1f}")
    look = np.median([look for look, _ in fills.values()])
    train = steps * np.median(seconds[:, 0])
    print(
        f"an epoch of All-in-one, {steps} steps: {train:.0f} s; the teacher's "
        f"predictions of all {sum(args.sizes)} images, for all methods but "
        f"those that mask missing labels: {look:.0f} s"
    )


if __name__ == "__main__":
    main()

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

import CONFUSION_EP_multitask as multitask
import CONFUSION_EP_multitask_manifold as regularised
from benchmarks.made_up import EMOTION, POSE, noise
from samtl import networks, pseudo_labels
from samtl.cli import command_line
from samtl.common.flags import Number
from samtl.pseudo_labels import true_labels
from samtl.training.learner import Learner
from utils import confusion
from utils.confusion.methods import assemble

TASKS = [EMOTION, POSE]
NO_WEIGHTS = [f"--is_pseudo_{name}=False" for name in command_line.WEIGHTS]
METHODS = {
    "all-in-one": (multitask, ["--is_naive"]),
    "distilled": (multitask, ["--is_distilled"]),
    "sa-mtl-hard": (multitask, []),
    "sa-mtl-interpolation": (multitask, ["--is_interpolation"]),
    "lel-ltn": (multitask, [*NO_WEIGHTS, "--ltn_warmup=0"]),
    "dcn-ap": (multitask, ["--is_MRF"]),
    "sfsmr": (regularised, ["--is_nuclear_norm=False"]),
    "slrm": (regularised, []),
}


class Contestant:
    """A method with its own network, and a step of its training.

    Args:
        name: of METHODS.
        parts: training Splits.
        batch_size: images of a step.
    """

    def __init__(self, name, parts, batch_size):
        script, words = METHODS[name]
        args = command_line.parse(
            script.parser(), [*words, f"--batch_size={batch_size}"]
        )
        network = networks.build(
            "mini_xception", TASKS, label_embeddings=name == "lel-ltn"
        )
        teacher = pseudo_labels.Teacher(network, batch_size)
        datasets = [{"train": part} for part in parts]
        self.plan, terms, companion = assemble(
            name, network, teacher, datasets, TASKS, args
        )
        loss_weights = command_line.loss_weights(
            args, [task.name for task in TASKS]
        )
        self.learner = Learner(network, loss_weights, terms, companion)
        self.learner.compile(optimizer="adam", jit_compile=False)
        self.labelled = [
            true_labels.labelled(part.table, TASKS, args) for part in parts
        ]
        self.batch = None

    def fill(self):
        """Seconds of an epoch's look at all images, and of the filling in."""
        start = time.perf_counter()
        predict = confusion.Predictions(self.plan.teacher)
        for part in self.plan.parts:
            predict(part)
        looked = time.perf_counter()
        self.plan.fill(self.plan.parts, self.labelled, predict, 0)
        return looked - start, time.perf_counter() - looked

    def step(self):
        """Seconds of one step, on a batch that is at hand."""
        if self.batch is None:
            self.batch = keras.tree.map_structure(
                ops.convert_to_tensor, self.plan(0).batches[0]
            )
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
    parts = [
        noise(task, count, seed)
        for seed, (task, count) in enumerate(
            zip(TASKS, args.sizes, strict=True)
        )
    ]
    contestants = {
        name: Contestant(name, parts, args.batch_size) for name in METHODS
    }
    fills = {name: entry.fill() for name, entry in contestants.items()}
    seconds = np.array(
        [
            [entry.step() for entry in contestants.values()]
            for _ in range(args.steps + 1)
        ]
    )[1:]  # the first one compiles
    steps = contestants["all-in-one"].plan.steps(0)
    print(f"{'method':22}{'ms a step':>10}{'ratio':>8}{'filling in, s':>15}")
    for (name, (_, fill)), column in zip(fills.items(), seconds.T, strict=True):
        ratio = np.median(column / seconds[:, 0])
        milliseconds = 1000 * np.median(column)
        print(f"{name:22}{milliseconds:10.0f}{ratio:8.2f}{fill:15.1f}")
    look = np.median([look for look, _ in fills.values()])
    train = steps * np.median(seconds[:, 0])
    print(
        f"an epoch of All-in-one, {steps} steps: {train:.0f} s; the teacher's "
        f"look at all {sum(args.sizes)} images, for all methods but those that "
        f"leave labels out: {look:.0f} s"
    )


if __name__ == "__main__":
    main()

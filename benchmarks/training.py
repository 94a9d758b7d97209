"""How much of a bare Keras fit's speed the engine keeps.

    python -m benchmarks.training

Side by side in one run: images per second of a bare `fit` of mini_Xception
on arrays in memory, and of the engine with its generator and triples; then
the share of two alternating rounds that SA-MTL spends on pseudo labels. The
two fits take turns, so that a machine whose speed drifts slows both alike.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd

import ALTERNATIVE_EP
from utils import alternative, cli, networks, pseudo, tables, triples
from utils.batches import Batches
from utils.images import Part
from utils.learner import Learner, fit_pass
from utils.tasks import EMOTION_8, POSE, Task

EMOTION, POSE = Task("emotion", EMOTION_8), Task("pose", POSE)


def random_part(task, count, seed):
    """A Part of `count` noise images with random labels of one task."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 64, 64, 1), dtype=np.uint8)
    rows = pd.DataFrame(
        {
            "path": [f"{task.name}{index}.png" for index in range(count)],
            "split": "train",
            task.name: rng.integers(0, len(task), count),
        }
    )
    table = tables.Table(task.name, Path(), rows, {task.name: task})
    return Part(table, pixels, np.arange(count))


def compile_bare(part):
    """A compiled Keras model of the same network, its inputs and targets."""
    network = networks.build("mini_xception", [EMOTION])
    model = keras.Model(network.input, network.output["logits"]["emotion"])
    model.compile(
        optimizer="adam",
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    return model, part.pixels, part.table.targets("emotion")


def fit_ratio(count, batch_size, repeats):
    """Print images per second of both, and the engine's over the bare."""
    part = random_part(EMOTION, count, seed=0)
    args = cli.parse(ALTERNATIVE_EP.parser(), [f"--batch_size={batch_size}"])
    labelled = triples.labelled(part.table, [EMOTION], args)
    learner = Learner(
        networks.build("mini_xception", [EMOTION]), {"emotion": 1.0}
    )
    learner.compile(optimizer="adam", jit_compile=False)
    bare, images, targets = compile_bare(part)
    speeds = {"bare": [], "engine": []}
    for repeat in range(repeats + 1):  # the first one compiles
        start = time.perf_counter()
        bare.fit(images, targets, batch_size=batch_size, verbose=0)
        speeds["bare"].append(count / (time.perf_counter() - start))
        start = time.perf_counter()
        batches = Batches(part, labelled, batch_size, seed=repeat)
        fit_pass(learner, batches, "benchmark")
        speeds["engine"].append(count / (time.perf_counter() - start))
    bare, engine = (np.array(speeds[name][1:]) for name in speeds)
    print(f"bare fit   {np.median(bare):6.0f} images/s")
    print(f"engine     {np.median(engine):6.0f} images/s")
    print(f"ratio      {np.median(engine / bare):6.2f}")


def pseudo_share(sizes, batch_size):
    """Print the share of SA-MTL's rounds spent on pseudo labels."""
    args = cli.parse(ALTERNATIVE_EP.parser(), [f"--batch_size={batch_size}"])
    parts = [
        random_part(task, count, seed)
        for seed, (task, count) in enumerate(
            zip((EMOTION, POSE), sizes, strict=True)
        )
    ]
    network = networks.build("mini_xception", [EMOTION, POSE])
    learner = Learner(network, {"emotion": 1.0, "pose": 1.0})
    learner.compile(optimizer="adam", jit_compile=False)
    plan = alternative.Rounds(
        network,
        pseudo.Teacher(network, batch_size),
        [{"train": part} for part in parts],
        [EMOTION, POSE],
        cli.method(args),
        args,
    )
    total = spent = 0.0
    for number in range(len(parts)):
        start = time.perf_counter()
        current = plan(number)
        fit_pass(learner, current.batches, current.name)
        seconds = time.perf_counter() - start
        total, spent = total + seconds, spent + current.pseudo_seconds
        print(
            f"round over {current.batches.count} images: {seconds:.1f} s, "
            f"{current.pseudo_seconds:.1f} s of it pseudo labels "
            f"({current.pseudo_seconds / seconds:.0%})"
        )
    print(f"share of both rounds: {spent / total:.0%}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", type=int, default=6400)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--sizes",
        type=int,
        nargs=2,
        default=(21823, 4999),
        help="images of the two rounds (default: FER+ and MTFL)",
    )
    args = parser.parse_args()
    fit_ratio(args.images, args.batch_size, args.repeats)
    pseudo_share(args.sizes, args.batch_size)


if __name__ == "__main__":
    main()

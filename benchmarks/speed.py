"""How near to what limits it each part of the code is.

    python -m benchmarks.speed

Every figure is taken beside its physical limit in one run, in turns, so that a
machine whose speed drifts slows both alike; the ratio is the median over the
turns, 1 is the limit:

* training, and its input pipeline alone, against a bare Keras `fit` of the same
  network on arrays in memory;
* decoding images against OpenCV's reading and resizing alone;
* filling in pseudo labels, as a round of SA-MTL does, against the forward
  passes it needs;
* the two weights that compare samples with each other against the matrix
  products they need, at the rate of this machine;
* the video demo against its detector and network alone, on the frames that it
  gives them;
* mini_resnet, in training and on one face through OpenCV as in the demos,
  against mini_Xception;
* a small run, each part in CPU seconds, against what it cannot do without:
  benchmarks/small_run.py, in a process of its own.

Prints a table and writes it to benchmarks/speed.csv. docs/performance.md says
what stands between a part and its limit.
"""

import argparse
import contextlib
import functools
import io
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd
from keras import ops

import final_video_demo
from benchmarks import demos
from benchmarks.made_up import EMOTION, POSE, noise
from benchmarks.weights import CLASSES, DIMENSIONS, drawn
from samtl import networks, pseudo_labels
from samtl.common import files
from samtl.common.flags import Number
from samtl.data import images
from samtl.data.batches import Batches
from samtl.data.datasets import DataConfig
from samtl.faces import detect
from samtl.faces.media import video
from samtl.inference import loading
from samtl.pseudo_labels import (
    distances,
    distribution_similarity,
    filling,
    local_density,
)
from samtl.pseudo_labels.distribution import DistributionConfig
from samtl.pseudo_labels.labels import true_labels
from samtl.runs import run_folder
from samtl.training.config import TrainingConfig
from samtl.training.learner import Learner, fit_pass

SHAPE = (64, 64, 1)
QUANTILE, COMPONENTS = 0.6, 3  # of the weights
DETECT_EVERY = 5  # the video demo's default
FACES_A_TURN = 200
TRAINING = TrainingConfig(loss_weights={"emotion": 1.0})


def in_turns(repeats, *functions):
    """Seconds of each function, [repeats, functions]; a first turn is lost.

    In that one, graphs are compiled and files come into memory.
    """
    seconds = np.empty((repeats + 1, len(functions)))
    for turn in seconds:
        for place, function in enumerate(functions):
            start = time.perf_counter()
            function()
            turn[place] = time.perf_counter() - start
    return seconds[1:]


def row(what, limit, seconds, count, unit):
    """A row of the table, of [repeats, 2] seconds: the part's, its limit's."""
    part, least = count / np.median(seconds, axis=0)
    ratio = np.median(seconds[:, 1] / seconds[:, 0])
    return {
        "part": what,
        "limit": limit,
        "unit": unit,
        "speed": float(part),
        "limit_speed": float(least),
        "ratio": float(ratio),
    }


def training(count, batch_size, repeats):
    """Rows of the engine's pass over `count` images."""
    data = noise(EMOTION, count, seed=0)
    labelled = true_labels(data, [EMOTION], DataConfig({}, ()))
    batches = Batches(data, labelled, batch_size, seed=0)
    learner = Learner(networks.build("mini_xception", [EMOTION]), TRAINING)
    learner.compile(optimizer="adam", jit_compile=False)
    network = networks.build("mini_xception", [EMOTION])
    bare = keras.Model(network.input, network.output["logits"]["emotion"])
    bare.compile(
        optimizer="adam",
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    targets = data.table.targets("emotion")
    seconds = in_turns(
        repeats,
        lambda: fit_pass(learner, batches, "benchmark"),
        lambda: bare.fit(
            data.pixels, targets, batch_size=batch_size, verbose=0
        ),
        lambda: [batches[index] for index in range(len(batches))],
    )
    unit = "images/s"
    return [
        row("training", "bare fit", seconds[:, :2], count, unit),
        row(
            "input pipeline",
            "the bare fit that it feeds",
            seconds[:, [2, 1]],
            count,
            unit,
        ),
    ]


def decoding(folder, count, repeats):
    """Row of decoding `count` crops of 128 x 128 pixels."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        coarse = rng.integers(0, 256, (16, 16), dtype=np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (128, 128)))
    decoder = images.Decoder(paths, SHAPE)
    names = [str(path) for path in paths]
    pool = ThreadPoolExecutor(images.DECODERS)

    def alone(name):
        image = cv2.imread(name, cv2.IMREAD_GRAYSCALE)
        return cv2.resize(image, SHAPE[1::-1], interpolation=cv2.INTER_AREA)

    rows = np.arange(count)
    seconds = in_turns(
        repeats, lambda: decoder[rows], lambda: list(pool.map(alone, names))
    )
    limit = "cv2.imread and resize alone"
    return [row("decoding", limit, seconds, count, "images/s")]


def filling_in(sizes, batch_size, repeats):
    """Row of a round's pseudo labels and weights."""
    tasks = [EMOTION, POSE]
    splits = [
        noise(task, count, seed)
        for seed, (task, count) in enumerate(zip(tasks, sizes, strict=True))
    ]
    teacher = pseudo_labels.Teacher(
        networks.build("mini_xception", tasks), batch_size
    )
    predicted = []

    def predict(split, rows=None):
        predicted.append((split, rows))
        return teacher(split, rows)

    def fill():
        predicted.clear()
        method = pseudo_labels.Method("hard")
        filling.fill_missing(splits[0], splits, tasks, method, predict, (0, 0))

    def forward():
        for split, rows in predicted:
            teacher(split, rows)

    seconds = in_turns(repeats, fill, forward)
    limit = "its forward passes alone"
    return [row("filling in", limit, seconds, sizes[0], "images/s")]


def weights(count, repeats):
    """Rows of density and distribution on `count` features in 7 classes."""
    pool, labels = drawn(count, 1)
    known, known_labels = drawn(filling.REFERENCE_IMAGES, 2)
    block = ops.convert_to_tensor(
        np.ones((distances.LARGE, DIMENSIONS), "float32")
    )

    def multiply(tiles):
        for _ in range(tiles):
            ops.convert_to_numpy(ops.matmul(block, ops.transpose(block))[0, 0])

    def blocks(rows):
        return np.ceil(rows / distances.LARGE)

    members, references = (
        np.bincount(some, minlength=CLASSES) for some in (labels, known_labels)
    )
    # Every component of a class meets itself and the class's references.
    own = members / COMPONENTS
    kernels = blocks(own) * (blocks(own) + 1) / 2 + blocks(own) * blocks(
        references
    )
    calls = {
        "density": (
            np.sum(blocks(members) * (blocks(members) + 1) / 2),
            lambda: local_density(pool, labels, QUANTILE),
        ),
        "distribution": (
            COMPONENTS * np.sum(kernels),
            lambda: distribution_similarity(
                pool,
                labels,
                known,
                known_labels,
                DistributionConfig(COMPONENTS),
            ),
        ),
    }
    found = []
    for name, (tiles, call) in calls.items():
        needed = functools.partial(multiply, int(tiles))
        seconds = in_turns(repeats, call, needed)
        limit = f"{tiles:,.0f} matrix products alone"
        found.append(row(name, limit, seconds, count, "samples/s"))
    return found


def video_demo(folder, frames, repeats, words):
    """Rows of the video demo, encoding and all, on each of the scenes."""
    args = final_video_demo.parser().parse_args(words)
    predictor = loading.load(args.weights)
    detector = detect.open(
        args.detector_model, final_video_demo.LARGEST_SEARCHED
    )
    found = []
    for name, shape in demos.SCENES.items():
        path = folder / "scene.mp4"
        demos.make_video(path, shape, frames)
        pictures = [f.pixels for f in video.open_source(str(path)).frames()]
        faces = [detector(p) for p in pictures[::DETECT_EVERY]]

        def run(path=path):
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                final_video_demo.main(
                    [str(path), f"--output={folder}", "--overwrite", *words]
                )

        def alone(pictures=pictures, faces=faces):
            for index, picture in enumerate(pictures):
                if index % DETECT_EVERY == 0:
                    detector(picture)
                there = faces[index // DETECT_EVERY]
                crops = [predictor.crop(picture, face) for face in there]
                predictor.probabilities(crops)

        seconds = in_turns(repeats, run, alone)
        what, limit = f"video demo, {name}", "detector and network alone"
        found.append(row(what, limit, seconds, frames, "frames/s"))
    return found


def small_networks(folder, count, batch_size, repeats):
    """Rows of mini_resnet against mini_Xception, both for emotion."""
    data = noise(EMOTION, count, seed=0)
    labelled = true_labels(data, [EMOTION], DataConfig({}, ()))
    batches = Batches(data, labelled, batch_size, seed=0)
    face = np.zeros((1, *SHAPE), "float32")
    passes, looks = [], []
    for name in ("mini_resnet", "mini_xception"):
        network = networks.build(name, [EMOTION])
        learner = Learner(network, TRAINING)
        learner.compile(optimizer="adam", jit_compile=False)
        passes.append(
            functools.partial(fit_pass, learner, batches, "benchmark")
        )
        run = folder / name
        run.mkdir()
        run_folder.export(network, run, [EMOTION])
        look = loading.load(run / "best.onnx").run
        looks.append(
            lambda look=look: [look(face) for _ in range(FACES_A_TURN)]
        )
    found = []
    for what, functions, number, unit in (
        ("mini_resnet, training", passes, count, "images/s"),
        ("mini_resnet, one face", looks, FACES_A_TURN, "faces/s"),
    ):
        seconds = in_turns(repeats, *functions)
        found.append(row(what, "mini_Xception", seconds, number, unit))
    return found


def report(rows):
    """Print the table, as docs/performance.md shows it."""
    print("| part | limit | speed | of the limit | ratio |")
    print("|---|---|--:|--:|--:|")
    for line in rows:
        print(
            f"| {line['part']} | {line['limit']} | {line['speed']:,.0f} "
            f"{line['unit']} | {line['limit_speed']:,.0f} "
            f"| {line['ratio']:.2f} |"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--images", type=Number(int, 1), default=6400, help="of a pass"
    )
    parser.add_argument("--batch_size", type=Number(int, 1), default=32)
    parser.add_argument(
        "--sizes",
        type=Number(int, 1),
        nargs=2,
        default=(21378, 4999),
        help="images to fill in and of the other set (default: FER+ and MTFL)",
    )
    parser.add_argument("--samples", type=Number(int, 1), default=50_000)
    parser.add_argument("--frames", type=Number(int, 1), default=250)
    parser.add_argument("--repeats", type=Number(int, 1), default=3)
    parser.add_argument(
        "--csv", type=Path, default=Path(__file__).with_suffix(".csv")
    )
    detect.add_flag(parser)
    args = parser.parse_args()
    words = []
    if args.detector_model:
        words.append(f"--detector_model={args.detector_model}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [
            *training(args.images, args.batch_size, args.repeats),
            *decoding(folder, args.images // 2, args.repeats),
            *filling_in(args.sizes, args.batch_size, args.repeats),
            *weights(args.samples, args.repeats),
            *video_demo(folder, args.frames, args.repeats, words),
            *small_networks(folder, args.images, args.batch_size, args.repeats),
        ]
    print(f"{os.cpu_count()} cores, Keras on {keras.backend.backend()}")
    report(rows)
    with files.write(args.csv) as path:
        pd.DataFrame(rows).round(4).to_csv(path, index=False)
    subprocess.run([sys.executable, "-m", "benchmarks.small_run"], check=True)


if __name__ == "__main__":
    main()

"""Speed of the preparation with one and two processes, and of a second run.

    python -m benchmarks.preparation

Makes 10,000 photos of 250 x 250 pixels in MTFL's layout and prepares them from
label files to table with one process and with two. The two take turns, so that
a machine whose speed drifts slows both alike; the best of each counts. Then
the last set is prepared again, unchanged. Exits with 1 if two processes are
less than 1.7 times as fast as one.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from data_preparation import mtfl
from samtl.common import flags

BOUND = 1.7
SIDE, PHOTOS = 250, 100


def make(folder, count):
    """Write `count` photos, few of them different, each with other landmarks.

    Other landmarks make other crops, which are not taken for duplicates.
    """
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (PHOTOS, 12, 12, 3), dtype=np.uint8)
    contents = []
    for grid in coarse:
        photo = cv2.resize(grid, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        noise = rng.normal(0, 4, photo.shape)
        photo = np.clip(photo + noise, 0, 255).astype(np.uint8)
        contents.append(cv2.imencode(".jpg", photo)[1].tobytes())
    (folder / "web").mkdir()
    lines = {"training.txt": [], "testing.txt": []}
    for number in range(count):
        (folder / "web" / f"{number}.jpg").write_bytes(
            contents[number % PHOTOS]
        )
        x, y = 50 + rng.uniform(0, 60, 2)
        points = np.array([x, x + 60, x + 30, x, x + 60, y, y, y + 30])
        words = [f"web/{number}.jpg", *points, y + 60, y + 60, 1, 1, 1, 3]
        split = "testing.txt" if number % 5 == 0 else "training.txt"
        lines[split].append(" ".join(map(str, words)))
    for name, rows in lines.items():
        (folder / name).write_text("\n".join(rows))


def seconds(source, data_dir, jobs):
    """Time of one preparation, its prints left out."""
    parser = flags.parser("", None)
    mtfl.add_arguments(parser)
    words = [f"--source={source}", f"--data_dir={data_dir}", f"--jobs={jobs}"]
    start = time.perf_counter()
    with open(os.devnull, "w") as null, contextlib.redirect_stdout(null):
        mtfl.prepare(parser.parse_args(words))
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=flags.Number(int, 1), default=10_000)
    parser.add_argument("--repeats", type=flags.Number(int, 1), default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "raw").mkdir()
        make(folder / "raw", args.images)
        times = {1: [], 2: []}
        for turn in range(args.repeats):
            for jobs in times:
                data_dir = folder / f"data{turn}_{jobs}"
                times[jobs].append(seconds(folder / "raw", data_dir, jobs))
        again = seconds(folder / "raw", data_dir, 2)
    speeds = {jobs: args.images / min(times[jobs]) for jobs in times}
    ratio = speeds[2] / speeds[1]
    print(f"{args.images:,} photos of {SIDE} x {SIDE}, {os.cpu_count()} cores")
    for jobs, speed in speeds.items():
        print(f"{jobs} process{'es' * (jobs > 1):2} {speed:8,.0f} images/s")
    print(f"ratio       {ratio:8.2f} (at least {BOUND})")
    print(f"second run  {again:8.2f} s")
    sys.exit(0 if ratio >= BOUND else 1)


if __name__ == "__main__":
    main()

"""Time and memory of the two weights that compare samples with each other.

    python benchmarks/weights.py

Measures the seconds and the memory that local density and distribution
similarity add, for 100,000 pool features and as many reference features of 128
dimensions in 7 classes. Prints them beside their bounds (60 s and 1.5 GiB
together, on 2 cores) and beside the size of one N x N matrix of float32
distances. Writes the same to benchmarks/weights.csv.
"""

import argparse
import csv
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from samtl.common.files import write
from samtl.common.flags import Number
from samtl.pseudo_labels import distribution_similarity, local_density

CLASSES = 7
DIMENSIONS = 128
BOUND_SECONDS = 60.0
BOUND_GIB = 1.5
GIB = 2.0**30


def drawn(count, seed):
    """Features [count, 128] like a ReLU network's, and labels [count]."""
    centres = np.random.default_rng(0).normal(size=(CLASSES, DIMENSIONS))
    random = np.random.default_rng(seed)
    labels = random.integers(CLASSES, size=count)
    features = random.standard_normal((count, DIMENSIONS), "float32")
    features += 0.5 * centres[labels].astype("float32")
    return np.maximum(features, 0.0, out=features), labels


def resident():
    """Memory of this process in bytes (Linux)."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


class Peak:
    """Context: time and memory of its body.

    Attributes:
        seconds: wall time.
        cpu_seconds: of all cores; it depends less on other processes.
        gib: most memory added.
    """

    def __enter__(self):
        self.gib = 0.0
        self._before = resident()
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        self._start = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error):
        self.seconds = time.perf_counter() - self._start[0]
        self.cpu_seconds = time.process_time() - self._start[1]
        self._done.set()
        self._watcher.join()

    def _watch(self):
        while not self._done.wait(0.002):
            self.gib = max(self.gib, (resident() - self._before) / GIB)


def measure(count):
    """One row per weight: dict of its name and costs."""
    pool, labels = drawn(count, 1)
    reference, reference_labels = drawn(count, 2)
    # The first calls load kernels; a training run pays for that once.
    few = slice(0, 500)
    local_density(pool[few], labels[few], 0.6)
    rows = []
    for weight, call in (
        ("density", lambda: local_density(pool, labels, 0.6)),
        (
            "distribution",
            lambda: distribution_similarity(
                pool, labels, reference, reference_labels
            ),
        ),
    ):
        with Peak() as peak:
            call()
        rows.append(
            {
                "weight": weight,
                "samples": count,
                "seconds": round(peak.seconds, 2),
                "cpu_seconds": round(peak.cpu_seconds, 2),
                "added_gib": round(peak.gib, 3),
            }
        )
    rows.append(
        {
            "weight": "both",
            "samples": count,
            "seconds": round(sum(row["seconds"] for row in rows), 2),
            "cpu_seconds": round(sum(row["cpu_seconds"] for row in rows), 2),
            "added_gib": max(row["added_gib"] for row in rows),
        }
    )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=Number(int, 1), default=100_000)
    count = parser.parse_args().samples
    rows = measure(count)
    print(
        f"{count:,} pool and {count:,} reference features x {DIMENSIONS}, "
        f"{CLASSES} classes, {os.cpu_count()} cores"
    )
    for row in rows:
        print(
            f"{row['weight']:<14}{row['seconds']:8.2f} s"
            f"{row['cpu_seconds']:9.2f} CPU s"
            f"{row['added_gib']:9.3f} GiB added"
        )
    print(f"{'bound':<14}{BOUND_SECONDS:8.2f} s{BOUND_GIB:24.3f} GiB added")
    print(f"one N x N float32 matrix would need {4 * count**2 / GIB:.1f} GiB")
    with (
        write(Path(__file__).with_suffix(".csv")) as path,
        path.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    kept = rows[-1]["seconds"] < BOUND_SECONDS
    sys.exit(0 if kept and rows[-1]["added_gib"] < BOUND_GIB else 1)


if __name__ == "__main__":
    main()

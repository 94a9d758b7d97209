"""Start-up on a million rows, and what the weights cost as the pool grows.

    python -m benchmarks.size

First, on a made-up CSV of a million rows that share 1,000 images: seconds and
added memory of reading and checking it, of the split, and of the first batch
(bounds: 15 s, 400 MiB), and the same with every second label missing (bound:
1.2 times the CPU seconds). Then, for pools of 10,000 to 1,000,000 features of
128 dimensions in 7 classes: seconds and added memory of

* exact density (up to --exact_to samples: its cost grows with their square),
* estimated density, with the bound on its error and, where the exact one is
  at hand, its largest error,
* distribution similarity to 5,000 reference features, as in a round.

A line through each one's logarithms of samples and seconds, over the last
decade, has the exponent of its cost as slope. Prints all of it, and writes it
to benchmarks/size.csv and docs/images/size.png. Exits with 1 if a bound is
missed or an exponent is above 2.2 (exact) or 1.2 (the others).
"""

import argparse
import itertools
import os
import sys
import tempfile
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.weights import CLASSES, DIMENSIONS, Peak, drawn
from samtl.common import files
from samtl.common.flags import Number
from samtl.data import images, tables
from samtl.data.batches import Batches
from samtl.data.datasets import DataConfig
from samtl.data.tasks import POSE, Task
from samtl.pseudo_labels import density, distribution_similarity
from samtl.pseudo_labels.filling import REFERENCE_IMAGES
from samtl.pseudo_labels.labels import true_labels
from samtl.runs import plots

ROOT = Path(__file__).parent.parent
SAMPLES = (10_000, 31_623, 100_000, 316_228, 1_000_000)
QUANTILE = 0.6
LONGEST_START, MOST_MIB = 15.0, 400.0
MISSING_COSTS = 1.2  # most CPU seconds of a half empty table, relative
STEEPEST = {"density, exact": 2.2, "density, estimated": 1.2}
STEEPEST["distribution"] = 1.2
FOLDERS = IMAGES = 1000
POSES = Task("pose", POSE)


def make(data_dir, count, missing=0.0, name="crowd", task=POSES):
    """Write a dataset of `count` rows that share 1,000 images.

    A share `missing` of the labels is empty.

    No two rows may have one path: 1,000 links from the folder to itself give
    each image as many.
    """
    folder = data_dir / "db" / name
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        noise = rng.integers(0, 256, (64, 64), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), noise)
    for number in range(FOLDERS):
        (folder / str(number)).symlink_to(".", target_is_directory=True)
    paths = itertools.product(range(FOLDERS), range(IMAGES))
    splits = rng.choice(tables.SPLITS, count, p=(0.8, 0.1, 0.1))
    labels = rng.integers(len(task), size=count).astype(str)
    labels[rng.random(count) < missing] = ""
    with folder.with_suffix(".csv").open("w", encoding="utf-8") as file:
        file.write(f"path,split,{task.name}\n")
        file.writelines(
            f"db/{name}/{link}/{number}.png,{split},{label}\n"
            for (link, number), split, label in zip(
                paths, splits, labels, strict=False
            )
        )
    files.write_json(
        folder.with_suffix(".json"), {"tasks": {task.name: list(task.classes)}}
    )


def start(count, missing=0.0):
    """Seconds and added memory from a CSV to the first batch: list of dict."""
    name = "start, half empty" if missing else "start"
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), count, missing)
        with Peak() as peak:
            table = tables.read("crowd", folder)
        rows = [measured(f"{name}: read", count, peak)]
        with Peak() as peak:
            # A set of this size is decoded on demand by default.
            part = images.open_splits(table, (64, 64, 1), cache_gb=0)["train"]
        rows.append(measured(f"{name}: split", count, peak))
        with Peak() as peak:
            _first_batch(part)
        rows.append(measured(f"{name}: first batch", count, peak))
    # The peaks did not come at once: their sum is at least the whole's.
    whole = {
        column: round(sum(row[column] for row in rows), 3)
        for column in ("seconds", "cpu_seconds", "added_mib")
    }
    return [*rows, {"what": name, "count": count, **whole}]


def _first_batch(split):
    true = true_labels(split, [POSES], DataConfig({}, ()))
    return Batches(split, true, batch_size=64, seed=0)[0]


def measured(name, count, peak):
    """A row of the table."""
    return {
        "what": name,
        "count": count,
        "seconds": round(peak.seconds, 3),
        "cpu_seconds": round(peak.cpu_seconds, 3),
        "added_mib": round(1024 * peak.gib, 1),
    }


def weigh(count, exact_to):
    """The cost of the weights of `count` pseudo labels: list of dict."""
    pool, labels = drawn(count, 1)
    reference = drawn(REFERENCE_IMAGES, 2)
    rows, exact = [], None
    if count <= exact_to:
        with Peak() as peak:
            exact = density.local_density(pool, labels, QUANTILE)
        rows.append(measured("density, exact", count, peak))
    with Peak() as peak:
        found, bounds = density.bounded_density(pool, labels, QUANTILE, 0)
    row = measured("density, estimated", count, peak)
    row["bound"] = round(bounds.weight, 4)
    if exact is not None:
        row["largest_error"] = round(float(np.abs(found - exact).max()), 4)
    rows.append(row)
    with Peak() as peak:
        distribution_similarity(pool, labels, *reference)
    rows.append(measured("distribution", count, peak))
    return rows


def exponents(rows):
    """{what: slope of its seconds over its counts, in logarithms}.

    Of the last decade only: below, the line is bent by costs that any pool has.
    """
    found = {}
    for name in STEEPEST:
        costs = {r["count"]: r["seconds"] for r in rows if r["what"] == name}
        costs = {n: s for n, s in costs.items() if n >= 0.09 * max(costs)}
        if len(costs) > 1:
            logarithms = np.log([list(costs), list(costs.values())])
            found[name] = float(np.polyfit(*logarithms, 1)[0])
    return found


def draw(path, rows, slopes):
    """Draw seconds and added memory over the number of samples."""
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure((7.2, 3.0), layout="constrained")
        panels = figure.subplots(1, 2)
        for colour, name in zip(plots.COLOURS, STEEPEST, strict=False):
            own = [row for row in rows if row["what"] == name]
            label = name
            if name in slopes:
                label += f", ~ N^{slopes[name]:.2f}"
            for axes, column in zip(
                panels, ("seconds", "added_mib"), strict=True
            ):
                axes.loglog(
                    [row["count"] for row in own],
                    [row[column] for row in own],
                    "o-",
                    color=colour,
                    label=label,
                )
        for axes, title in zip(panels, ("seconds", "MiB added"), strict=True):
            axes.set_title(title)
            axes.set_xlabel("pseudo labels N")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.grid()
        figure.legend(
            *panels[0].get_legend_handles_labels(),
            loc="outside upper left",
            ncols=len(STEEPEST),
        )
        with files.write(path) as temporary:
            figure.savefig(temporary, dpi=plots.DPI)


def report(rows):
    """Print the rows as a table in Markdown."""
    print("| what | N | s | CPU s | MiB added | error of the weights |")
    print("|---|--:|--:|--:|--:|---|")
    for row in rows:
        error = f"at most {row['bound']:.3f}" if "bound" in row else ""
        if "largest_error" in row:
            error += f", found {row['largest_error']:.3f}"
        print(
            f"| {row['what']} | {row['count']:,} | {row['seconds']:.2f} "
            f"| {row['cpu_seconds']:.2f} | {row['added_mib']:.0f} | {error} |"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=Number(int, 1), default=1_000_000)
    parser.add_argument(
        "--samples", type=Number(int, 1), nargs="+", default=SAMPLES
    )
    parser.add_argument("--exact_to", type=Number(int, 0), default=316_228)
    parser.add_argument(
        "--csv", type=Path, default=ROOT / "benchmarks/size.csv"
    )
    text = "default: docs/images/size.png"
    path = ROOT / "docs" / "images" / "size.png"
    parser.add_argument("--plot", type=Path, default=path, help=text)
    args = parser.parse_args()
    if args.rows > FOLDERS * IMAGES:
        parser.error(f"--rows: at most {FOLDERS * IMAGES}")
    full, half = start(args.rows), start(args.rows, missing=0.5)
    rows = [*full, *half]
    kept = [
        full[-1]["seconds"] < LONGEST_START,
        full[-1]["added_mib"] < MOST_MIB,
        half[-1]["cpu_seconds"] < MISSING_COSTS * full[-1]["cpu_seconds"],
    ]
    weigh(1000, 1000)  # The first calls load kernels, once a run.
    for count in sorted(args.samples):
        rows += weigh(count, args.exact_to)
    print(f"{DIMENSIONS} dimensions, {CLASSES} classes, {os.cpu_count()} cores")
    report(rows)
    slopes = exponents(rows)
    for name, slope in slopes.items():
        print(f"{name}: cost ~ N^{slope:.2f}")
        kept.append(slope < STEEPEST[name])
    with files.write(args.csv) as path:
        pd.DataFrame(rows).to_csv(path, index=False)
    draw(args.plot, rows, slopes)
    sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()

"""What a small run costs, part by part, beside the least that it can cost.

    python -m benchmarks.small_run

SA-MTL (ALTERNATIVE_EP.py), ten rounds on 1,000 and 2,000 synthetic faces, in
this process. A part's figure is CPU seconds of all threads, without the parts
inside it. After the run, its floor is measured with the run's own network:

* loading: importing Keras and its backend in a new process;
* decoding: OpenCV's imread and resize of every file;
* training: as many steps on a batch that is ready, one step traced;
* pseudo labels, validation, report: predictions of as many images, on a batch
  that is ready; traced once, under validation;
* statistics: as many forward passes in training mode, likewise.

All else has a floor of 0. The ratio is that of the sums. benchmarks/speed.py
prints the table, too.
"""

import argparse
import collections
import contextlib
import functools
import pkgutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import cv2
import numpy as np

import ALTERNATIVE_EP
from samtl.common.flags import Number
from samtl.distributed import devices
from samtl.pseudo_labels import Teacher
from samtl.training import statistics

LOADING, REST = "loading", "rest"
TRAINING, STATISTICS, VALIDATION = "training", "statistics", "validation"
# Function, where it is looked up: its part. None: the part that calls it.
FUNCTIONS = {
    "samtl.data.datasets.open_datasets": "decoding",
    "samtl.training.start_network": "building",
    "samtl.pseudo_labels.Teacher.__init__": "building",
    "samtl.training.experiment.fit_pass": TRAINING,
    "samtl.pseudo_labels.fill_missing": "pseudo labels",
    "samtl.pseudo_labels.targets.bounded_density": "density",
    "samtl.pseudo_labels.targets.distribution_similarity": "distribution",
    "samtl.training.statistics.Statistics.refresh": STATISTICS,
    "samtl.training.experiment.Experiment._evaluate": VALIDATION,
    "samtl.pseudo_labels.diagnostics.write_round": "diagnostics",
    "samtl.pseudo_labels.diagnostics.draw_round": "diagnostics",
    "keras.Model.save": "saves",
    "samtl.training.state.save": "saves",
    "samtl.runs.run_folder.write_metrics": "saves",
    "samtl.training.experiment.Experiment.report": "report",
    "samtl.pseudo_labels.Teacher.predict": None,
}
TRAIN = "samtl.training.experiment.fit_pass"
PREDICT = "samtl.pseudo_labels.Teacher.predict"
REFRESH = "samtl.training.statistics.Statistics.refresh"
REPORT = "samtl.training.experiment.Experiment.report"
REPEATS = 10  # of a step and of a forward pass
NAMES = ("synthetic_emotion", "synthetic_pose")
COPY = """
import shutil, sys
from pathlib import Path
from data_preparation import synthetic
source, target, *names = sys.argv[1:]
synthetic.ensure(names, source)
Path(target, "db").mkdir()
for path in (p for name in names for p in Path(source, "db").glob(f"{name}*")):
    copy = shutil.copytree if path.is_dir() else shutil.copy
    copy(path, Path(target, "db", path.name))
"""


class Meter:
    """CPU seconds of parts, each without those that it calls.

    Attributes:
        seconds: {part: CPU seconds}.
        calls: {function: [(part, arguments)]}.
    """

    def __init__(self):
        self.seconds = collections.Counter()
        self.calls = collections.defaultdict(list)
        self._part, self._since = LOADING, 0.0

    def enter(self, part):
        """From now on it is this part; returns the one before."""
        now = time.process_time()
        self.seconds[self._part] += now - self._since
        before, self._part, self._since = self._part, part, now
        return before

    def watch(self, path, part, patch):
        """Have a function be a part, as long as the patch lasts."""
        owner, name = path.rsplit(".", 1)
        owner = pkgutil.resolve_name(owner)
        function = getattr(owner, name)

        @functools.wraps(function)
        def watched(*words, **options):
            before = self.enter(part or self._part)
            self.calls[path].append((self._part, words))
            try:
                return function(*words, **options)
            finally:
                self.enter(before)

        patch.enter_context(mock.patch.object(owner, name, watched))


def run(words):
    """Train by a command line; returns its Meter."""
    meter = Meter()
    with contextlib.ExitStack() as patch:
        for path, part in FUNCTIONS.items():
            meter.watch(path, part, patch)
        meter.enter(REST)
        ALTERNATIVE_EP.main(words)
        meter.enter(None)
    return meter


def floor(meter):
    """{part: CPU seconds} of what the run cannot do without; see above."""
    experiment = meter.calls[REPORT][0][1][0]
    batches = [words[1] for _, words in meter.calls[TRAIN]]
    split = experiment.datasets.train[0]

    def images(count):
        return split.images(np.resize(np.arange(len(split)), count))

    experiment._compile(0, [len(batches[0])])
    learner = experiment._learner
    ready = devices.training_batch(*batches[0][0])
    steps = sum(map(len, batches))
    size = experiment.config.batch_size
    teacher = Teacher(experiment.network, size)
    faces = images(size)
    forward = statistics.compiled(learner.network)
    mixed = images(statistics.BATCH_SIZE).astype("float32")
    refreshed = len(meter.calls[REFRESH])
    found = {
        LOADING: loading(),
        "decoding": decoding(experiment.datasets),
        TRAINING: spent(lambda: learner.train_on_batch(*ready), steps)[0],
        STATISTICS: spent(
            lambda: forward(mixed),
            refreshed * statistics.IMAGES // statistics.BATCH_SIZE,
        )[0],
    }
    tracing, each = spent(lambda: teacher.predict([faces]), 1)
    found[VALIDATION] = tracing - each
    for part, words in meter.calls[PREDICT]:
        found[part] = found.get(part, 0.0) + each * words[2] / size
    return found


def spent(function, calls):
    """CPU seconds of so many calls, the first of them, and of a later one."""

    def total(count):
        begun = time.process_time()
        for _ in range(count):
            function()
        return time.process_time() - begun

    first, later = total(1), total(REPEATS) / REPEATS
    return first + (calls - 1) * later, later


def loading():
    """CPU seconds of a process that imports Keras and no more."""
    code = "import keras, time; print(time.process_time())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    return float(done.stdout.split()[-1])


def decoding(datasets):
    """CPU seconds of OpenCV alone on the files of all splits."""
    begun = time.process_time()
    for splits in datasets.splits:
        for split in splits.values():
            side = split.pixels.shape[2:0:-1]
            for path in split.table.paths:
                image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
                cv2.resize(image, side, interpolation=cv2.INTER_AREA)
    return time.process_time() - begun


def report(seconds, least):
    """Print the table, as docs/performance.md shows it; returns the ratio."""
    print("| part | CPU s | floor | ratio |")
    print("|---|--:|--:|--:|")
    rows = sorted(seconds.items(), key=lambda item: -item[1])
    rows.append(("sum", sum(seconds.values())))
    least = least | {"sum": sum(least.values())}
    for part, value in rows:
        limit = least.get(part)
        cells = f"{limit:.1f} | {value / limit:.2f}" if limit else "0 | "
        print(f"| {part} | {value:.1f} | {cells} |")
    return rows[-1][1] / least["sum"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=Number(int, 1), default=10)
    parser.add_argument(
        "--data_dir", type=Path, default=Path("data"), help="of the faces"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # A copy, of which nothing is decoded yet. The run does not pay for it.
        subprocess.run(
            [sys.executable, "-c", COPY, args.data_dir, folder, *NAMES],
            check=True,
        )
        meter = run(
            [
                f"--dataset_emotion={NAMES[0]}",
                f"--dataset_pose={NAMES[1]}",
                "--limit",
                f"{NAMES[0]}:1000",
                f"--epoch={args.rounds}",
                f"--data_dir={folder}",
                f"--run_dir={folder}/run",
            ]
        )
        report(dict(meter.seconds), floor(meter))


if __name__ == "__main__":
    main()

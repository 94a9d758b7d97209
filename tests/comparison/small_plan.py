"""A plan of two runs on tiny data, of seconds each with `shrink`."""

import dataclasses
import time

import keras
import numpy as np
import pandas as pd
import pytest

from samtl.comparison import plan
from tests import tiny

PLANNED = plan.runs  # unchanged, whoever has shrunk it before
MEASURED = ["seconds", "pseudo_seconds", "images_per_second"]
UNLIKE = {
    "results.csv": [*MEASURED, "peak_memory_mib", "commit"],
    "rounds.csv": [*MEASURED, "train_seconds"],
}
PLAN = """
seeds = [0]

[settings]
passes = 4
batch_size = { ferplus = 12, mtfl = 10 }
is_augmentation = true
bn_statistics = "running"

[pairs.emotion-pose]
dataset_emotion = "ferplus"
dataset_pose = "mtfl"

[methods.all-in-one]
title = "All-in-one"
family = "joint"
is_naive = true

[methods.sa-mtl-hard]
title = "SA-MTL, hard"
family = "alternating"
"""


def write(folder):
    """Write the plan and its datasets."""
    tiny.dataset(folder, "ferplus", [tiny.FERPLUS_EMOTION], (24, 8, 8))
    tiny.dataset(folder, "mtfl", ["pose", "gender"], (20, 10, 10), seed=1)
    (folder / "plan.toml").write_text(PLAN)


def words(folder, out):
    """The flags of compare.py that train it into `out`."""
    path = folder / "plan.toml"
    return [f"--plan={path}", f"--data_dir={folder}", f"--out={out}"]


def shrink(patch):
    """Have the workers train with the scripts of tests.comparison.shrunk.

    Args:
        patch: a `pytest.MonkeyPatch`, which undoes it.
    """

    def runs(*facts):
        return [
            dataclasses.replace(
                run, script=f"tests.comparison.shrunk.{run.script}"
            )
            for run in PLANNED(*facts)
        ]

    patch.setattr(plan, "runs", runs)


def assert_same(whole, other):
    """Both folders hold the same results and weights, to the last bit."""
    for name, measured in UNLIKE.items():
        tables = [
            pd.read_csv(out / name).drop(columns=measured)
            for out in (whole, other)
        ]
        assert len(tables[0]) >= 4
        pd.testing.assert_frame_equal(*tables, check_exact=True)
    for method in ("all-in-one", "sa-mtl-hard"):
        path = f"runs/emotion-pose/{method}/seed0/best.keras"
        networks = [
            keras.saving.load_model(out / path) for out in (whole, other)
        ]
        for one, two in zip(*(n.weights for n in networks), strict=True):
            np.testing.assert_array_equal(one, two)


def wait(condition, process=None):
    """Wait until a condition holds, as long as a process lives."""
    for _ in range(2400):
        if condition():
            return
        assert process is None or process.poll() is None
        time.sleep(0.05)
    pytest.fail("waited for two minutes")

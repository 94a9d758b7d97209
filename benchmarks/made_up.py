"""Datasets of noise, as large as a benchmark wants them."""

from pathlib import Path

import numpy as np
import pandas as pd

from samtl.data import tables
from samtl.data.images import Split
from samtl.data.tasks import EMOTION_8, Task
from samtl.data.tasks import POSE as POSE_CLASSES

EMOTION, POSE = Task("emotion", EMOTION_8), Task("pose", POSE_CLASSES)


def noise(task, count, seed):
    """A Split of `count` noise images with random labels of one task."""
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
    return Split(table, pixels, np.arange(count))

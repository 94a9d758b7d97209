"""Tiny prepared datasets for tests: noise, with the class as a bright bar."""

import cv2
import numpy as np
import pandas as pd

from samtl.data import tables
from samtl.data.tasks import AGE, EMOTION_7, EMOTION_8, GENDER, POSE, Task

TASKS = {
    "emotion": Task("emotion", EMOTION_7),
    "pose": Task("pose", POSE),
    "gender": Task("gender", GENDER),
    "age": Task("age", AGE),
}
FERPLUS_EMOTION = Task("emotion", EMOTION_8)


def dataset(data_dir, name, tasks, counts=(16, 8, 8), seed=0, side=24):
    """Write a dataset with `counts` rows per split; returns its table.

    Args:
        data_dir: data folder.
        name: of the dataset.
        tasks: list of Task or names of TASKS.
        counts: rows in train, validation and test.
        seed: of the noise and of the order.
        side: pixels.
    """
    rng = np.random.default_rng(seed)
    tasks = [TASKS.get(task, task) for task in tasks]
    folder = data_dir / "db" / name
    folder.mkdir(parents=True)
    rows = []
    for split, count in zip(tables.SPLITS, counts, strict=True):
        for index in range(count):
            row = {"path": f"db/{name}/{split}{index}.png", "split": split}
            image = rng.integers(0, 80, (side, side, 3), dtype=np.uint8)
            for place, task in enumerate(tasks):
                row[task.name] = index % len(task)
                left = side * row[task.name] // len(task)
                top = place * side // len(tasks)
                bottom = (place + 1) * side // len(tasks)
                right = left + max(1, side // len(task))
                image[top:bottom, left:right] += 150
            cv2.imwrite(str(data_dir / row["path"]), image)
            rows.append(row)
    tables.write(name, pd.DataFrame(rows), tasks, data_dir, {})
    return tables.read(name, data_dir)


def run_config(run, **options):
    """A RunConfig of a new run in the folder `run`, or of one that is there."""
    # Imported here, as most tests that need a dataset need no Keras.
    from samtl.training.config import RunConfig

    is_there = (run / "args.json").exists()
    return RunConfig(
        script="a_script",
        method="a_method",
        arguments={},
        run_dir=run,
        resume=run if is_there else None,
        **options,
    )

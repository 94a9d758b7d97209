"""What a run measures, as files of its folder."""

import functools
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import psutil

from samtl.common import files
from samtl.common.errors import UserError
from samtl.runs import plots
from samtl.runs.event_log import EventLog

SPLITS = ("validation", "test")


def write_metrics(run: Path, rows: Sequence[dict]) -> None:
    """Write metrics.csv anew and add the new rounds to the TensorBoard log.

    Args:
        run: folder of the run.
        rows: one dict a round, from the first; numbers, and names as text.
    """
    with files.write(run / "metrics.csv") as path:
        pd.DataFrame(rows).to_csv(path, index=False, float_format="%.6g")
    try:
        _event_log(run).write(rows)
    except OSError as error:
        raise UserError(
            f"cannot write the TensorBoard log of {run}: {error.strerror}; "
            "free some disk space and go on with --resume"
        ) from error


@functools.cache
def _event_log(run):
    """The log of a run; it knows what this process has written there."""
    return EventLog(run)


def write_predictions(
    run: Path, split: str, predicted: dict[str, pd.DataFrame]
) -> None:
    """Write predictions_<task>_<split>.csv, one row an image.

    Columns: dataset, path, label, prediction (class names) and the
    probability of each class.

    Args:
        run: folder of the run.
        split: "validation" or "test".
        predicted: {task name: DataFrame} as
            `evaluation.predictions.predictions` gives it.
    """
    for task, frame in predicted.items():
        classes = frame.columns[3:]
        best = frame[classes].to_numpy().argmax(axis=1)
        named = frame.assign(label=classes[frame["label"]])
        named.insert(3, "prediction", classes[best])
        with files.write(run / f"predictions_{task}_{split}.csv") as path:
            named.to_csv(path, index=False, float_format="%.6g")


def peak_memory() -> float:
    """Peak resident memory of this process, in MiB."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def write_result(run: Path, result: dict) -> None:
    """Write every confusion matrix as CSV, then result.json.

    Args:
        run: folder of the run.
        result: JSON-able dict; its "tasks" are {task name: {"classes": names,
            "validation": dict of `scoring.scores`, "test": another}}.
    """
    tasks = {}
    for name, entry in result["tasks"].items():
        tasks[name] = dict(entry)
        for split in SPLITS:
            scores = dict(entry[split])
            frame = pd.DataFrame(
                scores.pop("confusion"),
                index=pd.Index(entry["classes"], name="true"),
                columns=entry["classes"],
            )
            tasks[name][split] = scores
            with files.write(run / f"confusion_{name}_{split}.csv") as path:
                frame.to_csv(path)
    result = {**result, "tasks": tasks}
    files.write_json(run / "result.json", result, is_sealed=True)


def draw(run: Path, rows: Sequence[dict], result: dict) -> None:
    """Draw curves.png and every confusion matrix.

    Args:
        run: folder of the run.
        rows: as in `write_metrics`.
        result: as in `write_result`.
    """
    plots.curves(run / "curves.png", rows)
    for name, entry in result["tasks"].items():
        for split in SPLITS:
            scores = entry[split]
            plots.confusion(
                run / f"confusion_{name}_{split}.png",
                scores["confusion"],
                entry["classes"],
                f"{name}, {split}: {scores['accuracy']:.1%} right",
            )

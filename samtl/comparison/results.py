"""Gathers the results of a comparison's runs in three tables."""

import json
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from samtl.common import files
from samtl.common.errors import UserError
from samtl.comparison.plan import Run
from samtl.comparison.states import is_recorded
from samtl.runs import run_folder

SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "one_off_accuracy")
COSTS = (
    "rounds",
    "best_round",
    "seconds",
    "pseudo_seconds",
    "images_per_second",
    "peak_memory_mib",
)
# Images that went forward and backward, and forward alone, for pseudo labels.
IMAGES = ("trained_images", "predicted_images")
RESULTS = (
    "pair",
    "method",
    "seed",
    "task",
    "split",
    *SCORES,
    "count",
    "validation_accuracy",
    *COSTS,
    *IMAGES,
    "commit",
    "forgetting",
    "confusion",
    "correct",
    "run",
    "classes",
    "command",
)
NEWER = (*IMAGES, "command")  # tables of earlier versions lack them
UNREADABLE = (
    OSError,
    ValueError,
    ArithmeticError,
    AttributeError,
    KeyError,
    TypeError,
)
ROUNDS = ("pair", "method", "seed")  # and the rounds' metrics
FAILED = ("pair", "method", "seed", "error", "run")


def write_tables(runs: list[Run], out: Path) -> None:
    """Write results.csv and rounds.csv of the finished runs.

    results.csv has one row a run and task, on the test split; `confusion` is
    the matrix as JSON, rows true; `correct` has a bit for each test image, 1
    for a right prediction, as the hexadecimal digits of `numpy.packbits`, in
    the order of the run's predictions; `forgetting` is the drop of
    `evaluation.forgetting`; `run` is the run's folder relative to `out`, and
    `command` is what trained it. rounds.csv has one row a run and round: the
    runs' metrics.csv. The rows are in the order of the plan: pair, method,
    seed, task. Those of a run whose folder has gone stay as they are.

    Args:
        runs: list of `plan.Run`; those without a result are skipped.
        out: folder of the comparison.

    Raises:
        UserError: a run's files cannot be read.
    """
    tables = {"results.csv": [], "rounds.csv": []}
    recorded = {}
    if any(is_recorded(run, out) for run in runs):
        paths = {name: out / name for name in tables}
        recorded = {n: _read_text(p) for n, p in paths.items() if p.exists()}
    for run in _ordered(runs):
        if (out / run.folder / "result.json").exists():
            # As objects, so that no cell depends on those of other runs.
            found = pd.DataFrame(_results(run, out), dtype=object)
            tables["results.csv"].append(found.reindex(columns=RESULTS))
            tables["rounds.csv"].append(_rounds(run, out))
        elif is_recorded(run, out):
            for name, table in recorded.items():
                tables[name].append(_rows_of(run, table))
    for name, columns in (("results.csv", RESULTS), ("rounds.csv", ROUNDS)):
        empty = pd.DataFrame(columns=columns)
        parts = tables[name]
        _write_csv(out / name, pd.concat(parts) if parts else empty)


def _rows_of(run, table):
    """Rows of a pair, method and seed."""
    wanted = [run.pair, run.method, str(run.seed)]
    return table[(table[list(ROUNDS)] == wanted).all(axis=1)]


def _read_text(path):
    """A table as text, cell by cell."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def require_runs(out: Path, safe: Collection[Path]) -> None:
    """Refuse to write tables anew without runs that are known from them alone.

    Args:
        out: folder of the comparison.
        safe: folders of the runs whose rows stay, or are trained again.

    Raises:
        UserError: results.csv has another run, whose result is not in `out`.
    """
    path = out / "results.csv"
    if not path.exists():
        return
    try:
        names = pd.read_csv(path, usecols=["run"], dtype=str)["run"].dropna()
    except UNREADABLE:
        names = pd.Series(dtype=str)  # a damaged table is written anew
    gone = [
        name
        for name in names.unique()
        if Path(name) not in safe and not (out / name / "result.json").exists()
    ]
    if gone:
        what = f"{gone[0]} is" if len(gone) == 1 else f"{len(gone)} runs are"
        raise UserError(
            f"{what} in {path} but neither in {out} nor in the plan, and would "
            "be lost from the table; choose another --out, or write the report "
            f"from the table alone: python -m samtl.comparison.report {out}"
        )


def write_failed(runs: list[Run], out: Path, failures: dict[Path, str]) -> None:
    """Write failed.csv, one row a run that has failed.

    Args:
        runs, out: see `write_tables`.
        failures: {run's folder: error of one line}.
    """
    rows = [
        {
            "pair": run.pair,
            "method": run.method,
            "seed": run.seed,
            "error": failures[run.folder],
            "run": str(run.folder),
        }
        for run in _ordered(runs)
        if run.folder in failures
    ]
    _write_csv(out / "failed.csv", pd.DataFrame(rows, columns=FAILED))


def read_failed(out: Path, folders: Iterable[Path]) -> dict[Path, str]:
    """{run's folder: error} of failed.csv, for those of the folders.

    It is empty where the table is damaged.
    """
    try:
        rows = pd.read_csv(out / "failed.csv", dtype=str)
        errors = dict(zip(map(Path, rows["run"]), rows["error"], strict=True))
    except UNREADABLE:
        return {}
    return {name: errors[name] for name in folders if name in errors}


def _ordered(runs):
    """The runs by pair, method and seed, each in the order of the plan."""
    places = {
        name: list(dict.fromkeys(getattr(run, name) for run in runs))
        for name in ("pair", "method", "seed")
    }
    return sorted(
        runs,
        key=lambda run: [
            values.index(getattr(run, name)) for name, values in places.items()
        ],
    )


def _results(run, out):
    """A row for each task of a finished run."""
    folder = out / run.folder
    try:
        result = files.read_json(folder / "result.json")
        commits = run_folder.commits(files.read_json(folder / "args.json"))
        for task in run.tasks:
            entry = result["tasks"][task]
            confusion = pd.read_csv(
                folder / f"confusion_{task}_test.csv", index_col=0
            )
            predicted = pd.read_csv(
                folder / f"predictions_{task}_test.csv",
                usecols=["label", "prediction"],
                dtype=str,
                keep_default_na=False,
            )
            is_right = predicted["label"] == predicted["prediction"]
            _require_agreement(entry["test"], confusion.to_numpy(), is_right)
            yield {
                "pair": run.pair,
                "method": run.method,
                "seed": run.seed,
                "task": task,
                "split": "test",
                **entry["test"],
                "validation_accuracy": entry["validation"]["accuracy"],
                **{name: result[name] for name in COSTS},
                **{name: result.get(name) for name in IMAGES},
                "commit": "+".join(map(_commit, commits)),
                "forgetting": result["forgetting"][task]["drop"],
                "confusion": json.dumps(confusion.to_numpy().tolist()),
                "correct": np.packbits(is_right).tobytes().hex(),
                "run": str(run.folder),
                "classes": json.dumps(entry["classes"]),
                "command": run.command,
            }
    except UNREADABLE as error:
        raise _unreadable(folder, error) from error


def _require_agreement(scores, confusion, is_right):
    """The tables have no checksums, but their numbers must agree."""
    for count, right in (
        (confusion.sum(), confusion.trace()),
        (len(is_right), is_right.sum()),
    ):
        if (count, right) != (
            scores["count"],
            round(scores["accuracy"] * scores["count"]),
        ):
            raise ValueError("its tables contradict its result.json")


def _unreadable(folder, error):
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"cannot read the result of {folder}: {reason}; delete that folder "
        "and run the comparison again"
    )


def _rounds(run, out):
    folder = out / run.folder
    try:
        metrics = _read_text(folder / "metrics.csv")
    except UNREADABLE as error:
        raise _unreadable(folder, error) from error
    metrics.insert(0, "seed", run.seed)
    metrics.insert(0, "method", run.method)
    metrics.insert(0, "pair", run.pair)
    return metrics


def _commit(commit):
    """The commit's name, with -dirty if files had been changed since."""
    if commit is None:
        return ""
    return commit["id"] + ("-dirty" if commit["dirty"] else "")


def _write_csv(path, table):
    with files.write(path) as temporary:
        table.to_csv(temporary, index=False)

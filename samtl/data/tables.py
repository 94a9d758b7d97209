"""The data contract: `db/<name>.csv`, one row a face, and `db/<name>.json`.

CSV columns: `path` (relative to the data folder), `split` (train, validation
or test), one class index per task, empty where it is unknown, and whatever
else the dataset knows (`yaw`, `age_years`, `subject` ...). Votes of annotators,
people or models, are in one share column per class, `<task>_<class>`, with a
weight, `<task>_weight`. The JSON names the tasks with their classes, none for
an unlabelled pool, and says where the rows come from. Hidden labels, for
diagnostics only, are in `db/<name>.truth.csv`.
"""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from samtl.common import files
from samtl.common.errors import UserError
from samtl.common.text import printable
from samtl.data.checks import (
    SPLITS,
    Paths,
    check_columns,
    check_labels,
    check_paths,
    check_shares,
    check_splits,
    one_line,
    prepare_again,
    refuse_repeated,
    share_columns,
)
from samtl.data.tasks import NAME, ORDER, TAKEN, Task, ordered

UNKNOWN = -1  # class index of a missing label


@dataclass(frozen=True)
class Table:
    """The labelled faces of one dataset, or of one of its splits.

    Attributes:
        name: of the dataset.
        data_dir: absolute folder that the paths start from.
        rows: pandas.DataFrame with a RangeIndex, N rows.
        tasks: name -> Task, in canonical order.
        hidden: the same of tasks that it is labelled for but that were not
            asked for.
    """

    name: str
    data_dir: Path
    rows: pd.DataFrame
    tasks: dict[str, Task]
    hidden: dict[str, Task] = field(default_factory=dict)

    def __len__(self):
        return len(self.rows)

    def split(self, name: str) -> "Table":
        """The rows of "train", "validation" or "test", numbered from 0."""
        if name not in SPLITS:
            raise ValueError(f"split {name!r} is none of {SPLITS}")
        return self.take(np.flatnonzero(self.rows["split"] == name))

    def take(self, positions: np.ndarray) -> "Table":
        """The rows at these positions, int [M], numbered from 0."""
        rows = self.rows.iloc[positions].reset_index(drop=True)
        return replace(self, rows=rows)

    def labels(self, task: str) -> np.ndarray:
        """Class indices of a task, int64 [N], UNKNOWN where there is none."""
        return self.rows[task].to_numpy(np.int64)

    def is_labelled(self, task: str) -> np.ndarray:
        """Which rows have a label of a task, bool [N]."""
        if task not in self.tasks:
            return np.zeros(len(self), bool)
        return self.labels(task) != UNKNOWN

    def has_target(self, task: str) -> np.ndarray:
        """Which rows have a label of a task, or votes: bool [N]."""
        found = self.is_labelled(task)
        if found.all() or task not in self.tasks:
            return found
        columns = share_columns(self.tasks[task])
        if set(columns) <= set(self.rows):
            found = found | self.rows[columns[0]].notna().to_numpy()
        return found

    def targets(self, task: str) -> np.ndarray:
        """Target distributions of a task, float32 [N, C], rows sum to 1.

        The votes' shares where there are any, else one-hot labels; uniform in
        rows that have neither.
        """
        labels, columns = self.labels(task), share_columns(self.tasks[task])
        uniform = np.full(len(columns), 1 / len(columns), np.float32)
        # The last row is that of UNKNOWN.
        found = np.vstack([np.eye(len(columns), dtype=np.float32), uniform])
        found = found[labels]
        if set(columns) <= set(self.rows):
            shares = self.rows[columns].to_numpy(np.float32)
            found = np.where(np.isnan(shares), found, shares)
        return found

    def vote_weights(self, task: str) -> np.ndarray:
        """Weights of the rows' votes, float32 [N] in 0..1; 1 without votes."""
        column = f"{task}_weight"
        if column not in self.rows:
            return np.ones(len(self), np.float32)
        return self.rows[column].fillna(1.0).to_numpy(np.float32)

    def truth(self, task: Task) -> np.ndarray | None:
        """Hidden class indices of a Task, int64 [N], -1 where unknown.

        Those of a task that the dataset is labelled for but that was not
        asked for, else those of `<name>.truth.csv`; None where there are
        neither, or they are of other classes. For diagnostics only: nothing
        that trains may read them.

        Raises:
            UserError: the file of hidden labels cannot be read.
        """
        if task.name in self.hidden:
            if self.hidden[task.name] != task:
                return None
            return self.labels(task.name)
        csv = csv_path(self.name, self.data_dir)
        path = csv.with_suffix(".truth.csv")
        if not path.exists():
            return None
        hidden = _read_csv(path, {"path": str})
        if "path" not in hidden:
            raise UserError(f"{path} has no column path; {prepare_again(csv)}")
        if task.name not in hidden:
            return None
        refuse_repeated(path, hidden["path"])
        labels = pd.to_numeric(hidden[task.name], errors="coerce").fillna(-1)
        if not labels.isin(range(-1, len(task))).all():
            return None
        labels = labels.set_axis(hidden["path"])
        labels = labels.reindex(self.rows["path"], fill_value=-1)
        return labels.to_numpy(np.int64)

    @property
    def paths(self) -> Paths:
        """Absolute path of every image: sequence of N."""
        return Paths(self.data_dir, self.rows["path"].to_numpy())


def read(
    name: str,
    data_dir: Path | str = "data",
    tasks: list[str] | None = None,
    votes: bool = True,
) -> Table:
    """Read and check a prepared dataset.

    Args:
        name: of the dataset.
        data_dir: the folder that holds `db/<name>.csv`.
        tasks: names of the tasks the caller needs; the table has only these
            (default: all tasks of the dataset).
        votes: whether the table has the votes; without them, it has no task
            that only votes tell of.

    Raises:
        UserError: names the file, the row (line of the CSV) and the cure.
    """
    data_dir = Path(data_dir).absolute()
    path = csv_path(name, data_dir)
    known = labelled_tasks(name, data_dir)
    tasks = list(known) if tasks is None else tasks
    missing = [task for task in tasks if task not in known]
    if missing:
        raise UserError(
            f"dataset {name} has no labels for {', '.join(missing)}, only for "
            f"{', '.join(known) or 'nothing'}; choose another dataset for this "
            "task"
        )
    text = dict.fromkeys(("path", "split", "subject", *known), str)
    rows = _read_csv(path, text)
    check_columns(path, rows, known)
    check_splits(path, rows, SPLITS if known else SPLITS[:1])
    check_paths(path, rows["path"], data_dir)
    for task in known.values():
        rows[task.name] = check_labels(path, rows[task.name], task)
        check_shares(path, rows, task)
    # A column of a task that the JSON does not know is not a label.
    others = [t for t in ORDER if t in rows and t not in known]
    for task in [] if votes else known.values():
        columns = [*share_columns(task), f"{task.name}_weight"]
        others += [column for column in columns if column in rows]
    if not votes:
        known = {t: known[t] for t in known if (rows[t] != UNKNOWN).any()}
    needed = {t: known[t] for t in known if t in tasks}
    hidden = {t: known[t] for t in known if t not in needed}
    return Table(name, data_dir, rows.drop(columns=others), needed, hidden)


def labelled_tasks(name: str, data_dir: Path) -> dict[str, Task]:
    """The tasks that a prepared dataset is labelled for: {name: Task}.

    Raises:
        UserError: the dataset is not prepared or its JSON cannot be read.
    """
    _require_prepared(name, data_dir)
    return _read_tasks(csv_path(name, data_dir).with_suffix(".json"))


def write(
    name: str,
    rows: pd.DataFrame,
    tasks: list[Task],
    data_dir: Path,
    facts: dict,
) -> None:
    """Write a prepared dataset: the CSV, then the JSON, each atomically.

    Args:
        name: of the dataset.
        rows: pandas.DataFrame with the columns of the contract; a missing
            label is UNKNOWN or NaN.
        tasks: the dataset's Task objects; written in canonical order.
        data_dir: the folder that the paths of `rows` start from.
        facts: what else the JSON says: source, dropped, split_seed, citation,
            terms and the like; JSON-able.

    Raises:
        UserError: the folder cannot be written.
    """
    path = csv_path(name, data_dir)
    named = {task.name: task for task in tasks}
    tasks = [named[name] for name in ordered(named)]
    rows = rows.assign(**{task.name: _known(rows[task.name]) for task in tasks})
    with files.write(path) as temporary:
        rows.to_csv(temporary, index=False, lineterminator="\n")
    description = {
        "name": name,
        "tasks": {task.name: list(task.classes) for task in tasks},
        "counts": counts(rows, tasks),
    }
    unflippable = [task.name for task in tasks if not task.can_flip]
    if unflippable:
        description["no_flip"] = unflippable
    files.write_json(path.with_suffix(".json"), description | facts)


def counts(rows: pd.DataFrame, tasks: list[Task]) -> dict:
    """Rows per split, and per split, task and class: nested dicts of int.

    Where labels are missing, "unlabelled" has their number for each task.
    """
    result = {}
    for split in SPLITS:
        part = rows[rows["split"] == split]
        result[split] = {"rows": len(part)}
        unlabelled = {}
        for task in tasks:
            labels = _known(part[task.name]).dropna().to_numpy(np.int64)
            numbers = np.bincount(labels, minlength=len(task))
            result[split][task.name] = dict(
                zip(task.classes, numbers.tolist(), strict=True)
            )
            if len(labels) < len(part):
                unlabelled[task.name] = len(part) - len(labels)
        if unlabelled:
            result[split]["unlabelled"] = unlabelled
    return result


def _known(labels):
    """Class indices as integers; <NA> where there is none."""
    labels = pd.to_numeric(labels).astype("Int64")
    return labels.mask(labels == UNKNOWN)


def prepared(data_dir: Path | str = "data") -> list[str]:
    """Names of the datasets that are ready to be read, sorted."""
    return sorted(
        path.stem
        for path in (Path(data_dir) / "db").glob("*.json")
        if path.with_suffix(".csv").exists()
    )


def csv_path(name: str, data_dir: Path | str) -> Path:
    """Where the rows of a dataset are, prepared or not."""
    return Path(data_dir) / "db" / f"{name}.csv"


def _require_prepared(name, data_dir):
    path = csv_path(name, data_dir)
    if re.fullmatch(r"[\w+-]+", name) and path.exists():
        return
    there = prepared(data_dir)
    for other in there:
        if other.lower() == name:
            raise UserError(
                f"dataset {name} is not prepared, only {other}; write its name "
                f"in lower case: rename {other}.csv and {other}.json"
            )
    raise UserError(
        f"dataset {name} is not prepared: no {path} (prepared: "
        f"{', '.join(there) or 'none'}); run python -m data_preparation for "
        "the datasets and their commands"
    )


def _read_tasks(path):
    """{name: Task} in canonical order."""
    try:
        description = files.read_json(path)
        tasks = description["tasks"]
        fixed = description.get("no_flip", [])
        found = {
            task: Task(task, tuple(tasks[task]), task not in fixed)
            for task in ordered(tasks)
        }
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; {prepare_again(path)}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot read {path}: {one_line(error)}; {prepare_again(path)}"
        ) from error
    for task, classes in tasks.items():
        if not NAME.fullmatch(task) or task in TAKEN:
            raise UserError(
                f'{path}: "tasks" has {task!r}; name a task in lower-case '
                f"letters, digits and _, and not {', '.join(TAKEN)}"
            )
        if not _are_classes(classes):
            raise UserError(
                f'{path}: "tasks" must map {task} to a list of different '
                f"printable class names other than {', '.join(TAKEN)}; "
                f"{prepare_again(path)}"
            )
    return found


def _are_classes(names):
    return (
        isinstance(names, list)
        and len(names) > 0
        and all(isinstance(name, str) for name in names)
        and all(printable(name) == name for name in names)
        and len(set(names).difference(TAKEN)) == len(names)
    )


def _read_csv(path, types):
    # Blank lines are kept so that index + 2 is the line number, and "NA" is
    # text: it may well be somebody's name.
    try:
        rows = pd.read_csv(
            path,
            dtype=types,
            keep_default_na=False,
            na_values=[""],
            skip_blank_lines=False,
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {path}: {one_line(error)}; repair or replace the file"
        ) from error
    if not isinstance(rows.index, pd.RangeIndex):
        raise UserError(
            f"{path}, row 2: more cells than the header has; correct the header"
        )
    return rows

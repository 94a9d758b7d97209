"""The data contract: `db/<name>.csv`, one row a face, and `db/<name>.json`.

CSV columns: `path` (relative to the data folder), `split` (train, validation
or test), one class index per task, in range and never empty, and whatever
else the dataset knows (`yaw`, `age_years`, `subject` ...). A task whose
labels come as votes also has one share column per class,
`<task>_<class>`. The JSON names the tasks with their classes and says where
the rows come from. Hidden labels, for audits only, are in
`db/<name>.truth.csv`.
"""

import functools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from samtl.common import files
from samtl.common.errors import UserError
from samtl.data.tasks import Task

SPLITS = ("train", "validation", "test")
ORDER = ("emotion", "pose", "gender", "age")
TAKEN = ("dataset", "path", "label", "prediction")  # columns of predictions
SHARE_TOLERANCE = 1e-3


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

    def split(self, name):
        """The rows of "train", "validation" or "test", numbered from 0."""
        if name not in SPLITS:
            raise ValueError(f"split {name!r} is none of {SPLITS}")
        return self.take(np.flatnonzero(self.rows["split"] == name))

    def take(self, positions):
        """The rows at these positions, int [M], numbered from 0."""
        rows = self.rows.iloc[positions].reset_index(drop=True)
        return replace(self, rows=rows)

    def labels(self, task):
        """Class indices of a task, int64 [N]."""
        return self.rows[task].to_numpy(np.int64)

    def targets(self, task, votes=True):
        """Target distributions of a task, float32 [N, C], rows sum to 1.

        The annotators' vote shares where the dataset has them and `votes` is
        true, one-hot labels otherwise.
        """
        columns = share_columns(self.tasks[task])
        if votes and set(columns) <= set(self.rows):
            return self.rows[columns].to_numpy(np.float32)
        return np.eye(len(columns), dtype=np.float32)[self.labels(task)]

    def truth(self, task):
        """Hidden class indices of a Task, int64 [N], -1 where unknown.

        Those of a task that the dataset is labelled for but that was not
        asked for, else those of `<name>.truth.csv`; None where there are
        neither, or they are of other classes. For audits only: nothing that
        trains may read them.

        Raises:
            UserError: the file of hidden labels cannot be read.
        """
        if task.name in self.hidden:
            if self.hidden[task.name] != task:
                return None
            return self.labels(task.name)
        path = csv_path(self.name, self.data_dir).with_suffix(".truth.csv")
        if not path.exists():
            return None
        hidden = _read_csv(path, {"path": str})
        if "path" not in hidden:
            raise UserError(f"{path} has no column path; {_again(self.name)}")
        if task.name not in hidden:
            return None
        _refuse_repeated(path, hidden["path"])
        labels = pd.to_numeric(hidden[task.name], errors="coerce").fillna(-1)
        if not labels.isin(range(-1, len(task))).all():
            return None
        labels = labels.set_axis(hidden["path"])
        labels = labels.reindex(self.rows["path"], fill_value=-1)
        return labels.to_numpy(np.int64)

    @property
    def paths(self):
        """Absolute path of every image: sequence of N."""
        return Paths(self.data_dir, self.rows["path"].to_numpy())


class Paths(Sequence):
    """Paths below a folder, each made when it is asked for.

    A million `Path` objects would take 230 MiB and seconds.

    Args:
        folder: absolute Path.
        names: array of str [N], relative to it.
    """

    def __init__(self, folder, names):
        self.folder = folder
        self.names = names

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        return self.folder / self.names[index]

    def words(self):
        """Yield every path as str, without a `Path` on the way."""
        root = os.path.join(self.folder, "")
        return (root + name for name in self.names)


def share_columns(task):
    """Names of the columns that hold a task's vote shares."""
    return [f"{task.name}_{label}" for label in task.classes]


def read(name, data_dir="data", tasks=()):
    """Read and check a prepared dataset.

    Args:
        name: of the dataset.
        data_dir: the folder that holds `db/<name>.csv`.
        tasks: names of the tasks the caller needs; the table has only these.
            Empty: all tasks of the dataset.

    Raises:
        UserError: names the file, the row (line of the CSV) and the cure.
    """
    data_dir = Path(data_dir).absolute()
    path = csv_path(name, data_dir)
    known = labelled_tasks(name, data_dir)
    missing = [task for task in tasks if task not in known]
    if missing:
        raise UserError(
            f"dataset {name} has no labels for {', '.join(missing)}, only for "
            f"{', '.join(known)}; choose another dataset for this task"
        )
    text = dict.fromkeys(("path", "split", "subject", *known), str)
    rows = _read_csv(path, text)
    _check_columns(path, rows, known)
    _check_splits(path, rows, name)
    _check_paths(path, rows["path"], data_dir, name)
    for task in known.values():
        rows[task.name] = _check_labels(path, rows[task.name], task)
        _check_shares(path, rows, task)
    # A column of such a name that the JSON does not know is no label.
    others = [t for t in ORDER if t in rows and t not in known]
    needed = {t: known[t] for t in known if t in tasks or not tasks}
    hidden = {t: known[t] for t in known if t not in needed}
    table = Table(name, data_dir, rows.drop(columns=others), needed, hidden)
    _require_training_classes(path, table)
    return table


def labelled_tasks(name, data_dir):
    """The tasks that a prepared dataset is labelled for: {name: Task}.

    Raises:
        UserError: the dataset is not prepared or its JSON cannot be read.
    """
    _require_prepared(name, data_dir)
    return _read_tasks(name, csv_path(name, data_dir).with_suffix(".json"))


def write(name, rows, tasks, data_dir, facts):
    """Write a prepared dataset: the CSV, then the JSON, each atomically.

    Args:
        name: of the dataset.
        rows: pandas.DataFrame with the columns of the contract.
        tasks: the dataset's Task objects; written in canonical order.
        data_dir: the folder that the paths of `rows` start from.
        facts: what else the JSON says: source, dropped, split_seed, citation,
            terms and the like; JSON-able.

    Raises:
        UserError: the folder cannot be written.
    """
    path = csv_path(name, data_dir)
    tasks = sorted(tasks, key=lambda task: ORDER.index(task.name))
    with files.write(path) as temporary:
        rows.to_csv(temporary, index=False, lineterminator="\n")
    description = {
        "name": name,
        "tasks": {task.name: list(task.classes) for task in tasks},
        "counts": counts(rows, tasks),
    }
    files.write_json(path.with_suffix(".json"), description | facts)


def counts(rows, tasks):
    """Rows per split, and per split, task and class: nested dicts of int."""
    result = {}
    for split in SPLITS:
        part = rows[rows["split"] == split]
        result[split] = {"rows": len(part)}
        for task in tasks:
            labels = part[task.name].to_numpy(np.int64)
            numbers = np.bincount(labels, minlength=len(task))
            result[split][task.name] = dict(
                zip(task.classes, numbers.tolist(), strict=True)
            )
    return result


def prepared(data_dir="data"):
    """Names of the datasets that are ready to be read, sorted."""
    return sorted(
        path.stem
        for path in (Path(data_dir) / "db").glob("*.json")
        if path.with_suffix(".csv").exists()
    )


def csv_path(name, data_dir):
    """Where the rows of a dataset are, prepared or not."""
    return Path(data_dir) / "db" / f"{name}.csv"


def _again(name):
    if name.startswith("synthetic_"):
        words = "synthetic"  # draws them all
    else:
        words = f"{name} --source FOLDER"
    return f"prepare it again: python -m data_preparation {words} --overwrite"


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


def _read_tasks(name, path):
    try:
        description = files.read_json(path)
        tasks = description["tasks"]
        found = {t: Task(t, tuple(tasks[t])) for t in ORDER if t in tasks}
        is_good = len(found) == len(tasks) > 0 and all(
            isinstance(labels, list)
            and labels
            and all(isinstance(label, str) for label in labels)
            and len(set(labels).difference(TAKEN)) == len(labels)
            for labels in tasks.values()
        )
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; {_again(name)}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot read {path}: {_one_line(error)}; {_again(name)}"
        ) from error
    if not is_good:
        raise UserError(
            f'{path}: "tasks" must map some of {", ".join(ORDER)} to lists of '
            f"different class names other than {', '.join(TAKEN)}; "
            f"{_again(name)}"
        )
    return found


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
            f"cannot read {path}: {_one_line(error)}; mend or replace the file"
        ) from error
    if not isinstance(rows.index, pd.RangeIndex):
        raise UserError(
            f"{path}, row 2: more cells than the header has; mend the header"
        )
    return rows


def _one_line(error):
    return " ".join(str(error).split()) or type(error).__name__


def _check_columns(path, rows, tasks):
    missing = [c for c in ("path", "split", *tasks) if c not in rows]
    if missing:
        raise UserError(
            f"{path} has no column {', '.join(missing)}; add it to the header "
            "and every row"
        )


def _check_splits(path, rows, name):
    bad = ~rows["split"].isin(SPLITS)
    if bad.any():
        _refuse(
            path,
            bad,
            f"split is {_shown(rows['split'], bad)}",
            f"write {', '.join(SPLITS[:2])} or {SPLITS[2]}",
        )
    empty = [s for s in SPLITS if not (rows["split"] == s).any()]
    if empty:
        raise UserError(
            f"{path} has no row for split {', '.join(empty)}; add rows or "
            f"{_again(name)}"
        )


def _check_paths(path, column, data_dir, name):
    bad = column.isna()
    if bad.any():
        _refuse(path, bad, "path is empty", "fill it in or delete the row")
    _refuse_repeated(path, column.map(os.path.normpath))
    bad = column.map(_is_outside)
    if bad.any():
        _refuse(
            path,
            bad,
            f"path {_shown(column, bad)} leaves the data folder",
            f"write it relative to {data_dir}",
        )
    images = Paths(data_dir, column.to_numpy())
    bad = ~pd.Series(list(map(os.path.isfile, images.words())))
    if bad.any():
        _refuse(
            path,
            bad,
            f"image {_shown(column, bad)} is missing ({bad.sum()} are)",
            f"restore it in {data_dir} or {_again(name)}",
        )
    bad = ~pd.Series(list(_are_inside(images.words(), data_dir)))
    if bad.any():
        _refuse(
            path,
            bad,
            f"a link takes {_shown(column, bad)} out of the data folder",
            f"put the images themselves into {data_dir}",
        )


def _is_outside(image):
    normal = os.path.normpath(image)
    return os.path.isabs(normal) or normal.split(os.sep)[0] == ".."


def _are_inside(images, data_dir):
    """Yield for every path whether it is below the folder, links followed."""
    root = os.path.join(os.path.realpath(data_dir), "")

    def is_inside(path):
        return os.path.join(os.path.realpath(path), "").startswith(root)

    has_folder_inside = functools.cache(is_inside)
    for image in images:
        yield has_folder_inside(os.path.dirname(image)) and (
            not os.path.islink(image) or is_inside(image)
        )


def _refuse_repeated(path, column):
    bad = column.duplicated()
    if bad.any():
        first = (column == column[bad.idxmax()]).idxmax() + 2
        _refuse(
            path,
            bad,
            f"path {_shown(column, bad)} is also in row {first}",
            "delete one of the two",
        )


def _check_labels(path, column, task):
    labels = pd.to_numeric(column, errors="coerce")
    bad = ~labels.isin(range(len(task)))
    if bad.any():
        _refuse(
            path,
            bad,
            f"{task.name} is {_shown(column, bad)}",
            f"write a whole number in 0..{len(task) - 1} or delete the row",
        )
    return labels.astype(np.int64)


def _check_shares(path, rows, task):
    columns = share_columns(task)
    present = [column for column in columns if column in rows]
    if not present:
        return
    if present != columns:
        missing = [column for column in columns if column not in rows]
        raise UserError(
            f"{path} has no column {', '.join(missing)} beside {present[0]}; "
            f"give a share to every class of {task.name} or to none"
        )
    shares = rows[columns].apply(pd.to_numeric, errors="coerce")
    total = shares.sum(axis=1, skipna=False)
    is_good = (shares >= 0).all(axis=1) & ((total - 1).abs() <= SHARE_TOLERANCE)
    if not is_good.all():
        _refuse(
            path,
            ~is_good,
            f"the {len(columns)} vote shares of {task.name} are no "
            "distribution",
            "write numbers of at least 0 that sum to 1",
        )


def _require_training_classes(path, table):
    train = table.split("train")
    for task in table.tasks.values():
        numbers = np.bincount(train.labels(task.name), minlength=len(task))
        if not numbers.all():
            empty = int(numbers.argmin())
            raise UserError(
                f"{path} has no training row of {task.name} {empty} "
                f"({task.classes[empty]}); add some or take the class out of "
                f"{path.with_suffix('.json').name} and renumber the rest"
            )


def _refuse(path, bad, what, cure):
    raise UserError(f"{path}, row {bad.idxmax() + 2}: {what}; {cure}")


def _shown(column, bad):
    value = column[bad.idxmax()]
    return "empty" if pd.isna(value) else repr(value)

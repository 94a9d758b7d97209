"""Checks of a prepared dataset's rows; errors name file, row and cure.

Rows are pandas.DataFrames with a RangeIndex, so that index + 2 is the line of
the CSV.
"""

import contextlib
import functools
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from samtl.common import files
from samtl.common.errors import UserError
from samtl.data.tasks import Task

SPLITS = ("train", "validation", "test")
SHARE_TOLERANCE = 1e-3


class Paths(Sequence):
    """Paths below a folder, each made when it is asked for.

    A million `Path` objects would take 230 MiB and seconds.

    Args:
        folder: absolute Path.
        names: array of str [N], relative to it.
    """

    def __init__(self, folder: Path, names: np.ndarray):
        self.folder = folder
        self.names = names

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        return self.folder / self.names[index]

    def words(self) -> Iterator[str]:
        """Yield every path as str, without a `Path` on the way."""
        root = os.path.join(self.folder, "")
        return (root + name for name in self.names)


def share_columns(task: Task) -> list[str]:
    """Names of the columns that hold a task's vote shares."""
    return [f"{task.name}_{label}" for label in task.classes]


def check_columns(path: Path, rows: pd.DataFrame, tasks: list[str]) -> None:
    """Refuse rows without a column for path, split or a task."""
    missing = [c for c in ("path", "split", *tasks) if c not in rows]
    if missing:
        raise UserError(
            f"{path} has no column {', '.join(missing)}; add it to the header "
            "and every row"
        )


def check_splits(
    path: Path, rows: pd.DataFrame, needed: tuple[str, ...] = SPLITS
) -> None:
    """Refuse unknown splits, and a dataset without one that is needed."""
    bad = ~rows["split"].isin(SPLITS)
    if bad.any():
        _refuse(
            path,
            bad,
            f"split is {_shown(rows['split'], bad)}",
            f"write {', '.join(SPLITS[:2])} or {SPLITS[2]}",
        )
    empty = [s for s in needed if not (rows["split"] == s).any()]
    if empty:
        raise UserError(
            f"{path} has no row for split {', '.join(empty)}; add rows or "
            f"{prepare_again(path)}"
        )


def check_paths(path: Path, column: pd.Series, data_dir: Path) -> None:
    """Refuse image paths that are missing, repeated or outside the folder."""
    bad = column.isna()
    if bad.any():
        _refuse(path, bad, "path is empty", "fill it in or delete the row")
    refuse_repeated(path, column.map(os.path.normpath))
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
            f"restore it in {data_dir} or {prepare_again(path)}",
        )
    bad = ~pd.Series(list(_are_inside(images.words(), data_dir)))
    if bad.any():
        _refuse(
            path,
            bad,
            f"a link takes {_shown(column, bad)} out of the data folder",
            f"put the images themselves into {data_dir}",
        )


def refuse_repeated(path: Path, column: pd.Series) -> None:
    """Refuse a path that stands in two rows."""
    bad = column.duplicated()
    if bad.any():
        first = (column == column[bad.idxmax()]).idxmax() + 2
        _refuse(
            path,
            bad,
            f"path {_shown(column, bad)} is also in row {first}",
            "delete one of the two",
        )


def check_labels(path: Path, column: pd.Series, task: Task) -> pd.Series:
    """Class indices, int64 [N], -1 for an empty cell; refuse other cells."""
    labels = pd.to_numeric(column, errors="coerce")
    bad = ~labels.isin(range(len(task))) & column.notna()
    if bad.any():
        _refuse(
            path,
            bad,
            f"{task.name} is {_shown(column, bad)}",
            f"write a whole number in 0..{len(task) - 1} or leave the cell "
            "empty",
        )
    return labels.fillna(-1).astype(np.int64)


def check_shares(path: Path, rows: pd.DataFrame, task: Task) -> None:
    """Refuse vote shares that are incomplete or not a distribution."""
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
    is_good |= rows[columns].isna().all(axis=1)
    if not is_good.all():
        _refuse(
            path,
            ~is_good,
            f"the {len(columns)} vote shares of {task.name} are not "
            "a distribution",
            "write numbers of at least 0 that sum to 1, or leave all empty",
        )
    column = f"{task.name}_weight"
    if column in rows:
        weights = pd.to_numeric(rows[column], errors="coerce")
        bad = ~weights.between(0, 1) & rows[column].notna()
        if bad.any():
            _refuse(
                path,
                bad,
                f"{column} is {_shown(rows[column], bad)}",
                "write a number from 0 to 1 or leave the cell empty",
            )


def prepare_again(path: Path) -> str:
    """The command that prepares a dataset again, for messages.

    Args:
        path: of its CSV; a set of one's own has the command in its JSON.
    """
    words = f"{path.stem} --source FOLDER"
    if path.stem.startswith("synthetic_"):
        words = "synthetic"  # draws them all
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        facts = files.read_json(path.with_suffix(".json"))
        # A stranger's words may hold line breaks.
        words = " ".join(shlex.join(facts["prepared_with"]).split())
    words = words.removesuffix(" --overwrite")
    return f"prepare it again: python -m data_preparation {words} --overwrite"


def one_line(error: Exception) -> str:
    """The text of an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


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


def _refuse(path, bad, what, cure):
    raise UserError(f"{path}, row {bad.idxmax() + 2}: {what}; {cure}")


def _shown(column, bad):
    value = column[bad.idxmax()]
    return "empty" if pd.isna(value) else repr(value)

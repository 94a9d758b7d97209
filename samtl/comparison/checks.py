"""Checks of a comparison's tables, which may come from anybody.

Names of pairs, methods and tasks become names of files, and folders of runs are
read: none may lead out of the comparison's folder.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from samtl.data.tasks import NAME

FOLDER = re.compile(r"[\w+-]+")  # name of a pair or method
LARGEST = 2**53  # whole numbers up to it are exact
TEXT_COLUMNS = (
    *("pair", "method", "task", "split", "commit", "error", "run"),
    *("dataset", "confusion", "correct", "classes", "command"),
)
SHARES = (
    *("accuracy", "balanced_accuracy", "macro_f1", "one_off_accuracy"),
    "validation_accuracy",
)


def check_results(table: pd.DataFrame) -> None:
    """Check the rows of results.csv.

    Raises:
        ValueError: names row, column and value.
    """
    _check_names(table)
    _check_each(table, "task", NAME.fullmatch)
    _check_each(table, "run", _is_inside)
    _check_numbers(table, table.columns.drop(_texts(table)))
    for name in SHARES:
        known = table[table[name].notna()]
        _check_each(known, name, lambda x: 0 <= x <= 1)
    _check_each(table, "accuracy", np.isfinite)
    _check_each(table, "count", lambda x: x == int(x) and 0 < x < LARGEST)
    for place, row in enumerate(table.itertuples()):
        fault = _fault(row)
        if fault:
            raise ValueError(f"row {place + 2}: {fault}")


def check_rounds(table: pd.DataFrame) -> None:
    """Check the rows of rounds.csv; raises as `check_results`."""
    _check_names(table)
    numbers = table.columns.drop(_texts(table))
    _check_numbers(table, numbers)
    if "round" in table:
        _check_each(table, "round", lambda x: x == int(x) and 0 < x < LARGEST)


def check_failed(table: pd.DataFrame) -> None:
    """Check the rows of failed.csv; raises as `check_results`."""
    _check_names(table)


def _texts(table):
    return [name for name in table if name in TEXT_COLUMNS]


def _check_names(table):
    for name in ("pair", "method"):
        _check_each(table, name, FOLDER.fullmatch)
    _check_numbers(table, ["seed"])
    _check_each(table, "seed", lambda x: x == int(x) and 0 <= x < LARGEST)


def _check_numbers(table, columns):
    """Refuse text and infinities; empty cells are numbers that are missing."""
    for name in columns:
        numbers = pd.to_numeric(table[name], errors="coerce")
        is_good = np.isfinite(numbers) | table[name].isna()
        if not is_good.all():
            _refuse(table, name, is_good)


def _check_each(table, column, is_good: Callable):
    """Refuse a cell of a column for which is_good() is not true."""
    found = [pd.notna(cell) and bool(is_good(cell)) for cell in table[column]]
    if not all(found):
        _refuse(table, column, pd.Series(found, table.index))


def _refuse(table, column, is_good):
    place = int(np.argmin(is_good.to_numpy(bool)))
    value = str(table[column].iloc[place])[:40]
    raise ValueError(f"row {table.index[place] + 2}: {column} is {value!r}")


def _is_inside(run):
    path = Path(run)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in run


def _fault(row):
    """What contradicts itself in a row of results.csv, or None."""
    try:
        classes, matrix = json.loads(row.classes), json.loads(row.confusion)
        is_list = isinstance(classes, list) and len(classes) > 0
        if not is_list or not all(isinstance(name, str) for name in classes):
            return "classes is not a list of names"
        counts = np.array(matrix)
        is_matrix = counts.shape == (len(classes), len(classes))
        if not is_matrix or counts.dtype.kind != "i" or (counts < 0).any():
            return "confusion is not a matrix of counts"
        if counts.sum() != row.count:
            return "confusion does not add up to count"
        bits = bytes.fromhex(row.correct)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        return f"confusion, correct or classes cannot be read ({error})"
    if len(bits) != (row.count + 7) // 8:
        return "correct has not one bit an image"
    return None

"""Which columns of a user's table are tasks, votes and facts.

A column is a task, and its cells are classes. Columns `<task>_<class>` are
votes for the classes of a row, shares or numbers, and `<task>_weight` is their
weight. Angles, years and measurements are facts.
"""

import functools
import re
import unicodedata
from collections import Counter

import numpy as np

from data_preparation.spreadsheet import Sheet, shown
from samtl.common.errors import UserError
from samtl.data.tasks import NAME, TAKEN

SPECIAL = ("path", "split", "subject")
FACTS = re.compile(r"yaw|pitch|roll|\w+_years")
WEIGHT = "weight"
# A column of numbers with decimals is a measurement, not a task, if it has
# more different values than this.
MOST_VALUES = 50
TOLERANCE = 1e-3  # of the sum of a row's shares
INTEGER = re.compile(r"([+-]?\d+)(\.0*)?")


def normal(heading: str) -> str:
    """A heading as a name: lower case, with _ for blanks and hyphens."""
    return re.sub(r"[\s-]", "_", heading.lower())


def number(text: str) -> float | None:
    """A finite number, also with a decimal comma; None for other text."""
    try:
        found = float(text.replace(",", "."))
    except ValueError:
        return None
    return found if np.isfinite(found) and "_" not in text else None


class Columns:
    """The columns of a spreadsheet.Sheet of N rows, by normal names.

    Attributes:
        sheet: the Sheet.
        cells: {name of a column: list of str [N]}.
        count: N.
    """

    def __init__(self, sheet: Sheet):
        """Read the headings.

        Raises:
            UserError: two headings are the same name.
        """
        names, count = Counter(map(normal, sheet.columns)).most_common(1)[0]
        if count > 1:
            raise UserError(
                f"{sheet.path}: two columns are called {names}; rename or "
                "delete one of them"
            )
        self.sheet = sheet
        self._headings = {normal(heading): heading for heading in sheet.columns}
        self.cells = {
            name: [unicodedata.normalize("NFC", cell) for cell in cells]
            for name, cells in zip(
                self._headings, sheet.columns.values(), strict=True
            )
        }
        self.count = len(self.cells["path"])
        self._is_count = functools.cache(self._find_is_count)

    def candidates(self) -> list[str]:
        """Columns that may be tasks or votes."""
        return [
            name
            for name in self.cells
            if name not in SPECIAL and not FACTS.fullmatch(name)
        ]

    def tasks(self, classes: dict[str, list[str]]) -> list[str]:
        """All columns but for votes and facts, and what is voted for.

        Args:
            classes: {task: class names that the user gives}.
        """
        names, used = [], set()
        candidates = self.candidates()
        for name in candidates:
            votes = self.votes(name, classes.get(name))
            if votes:
                used |= {*votes.values(), f"{name}_{WEIGHT}"}
        for name in candidates:
            if name in used:
                continue
            prefix, votes = self._voted(name, classes)
            if votes and not used & {*votes.values()}:
                used |= {*votes.values(), f"{prefix}_{WEIGHT}"}
                names.append(prefix)
            elif not self.is_measurement(name):
                names.append(name)
        return names

    def _voted(self, name, classes):
        """The task that a column is a vote for, and its votes.

        Only of a task without a column of its own; ("", {}) for no vote.
        """
        for place in (match.start() for match in re.finditer("_", name)):
            prefix = name[:place]
            if prefix not in self.cells and NAME.fullmatch(prefix):
                votes = self.votes(prefix, classes.get(prefix))
                if name in votes.values():
                    return prefix, votes
        return "", {}

    def votes(self, task: str, classes: list[str] | None) -> dict[str, str]:
        """The columns of a task's votes.

        Args:
            task: name of a column, or of votes alone.
            classes: names that the user gives, or None: those of the cells
                and headings.

        Returns:
            {class name: column}, or {} where there are no votes.

        Raises:
            UserError: a class has no column, or a column may be none.
        """
        found = self.suffixes(task)
        if classes:
            voted = [label for label in classes if normal(label) in found]
            self._require_votes(task, classes, voted)
            return {label: found[normal(label)] for label in voted}
        values = sorted({*self.cells.get(task, ())} - {""})
        voted = [value for value in values if normal(value) in found]
        self._require_votes(task, values, voted)
        are_shares = len(found) > 1 and self._are_shares(found.values())
        if voted and len(voted) < len(found) and not are_shares:
            raise UserError(
                f"{self.sheet.path}: {', '.join(found.values())} do not sum "
                "to 1 in every row; name the classes: --classes "
                f"{task}:{','.join(values)}"
            )
        # Without a column that is named after a cell, cells are class indices.
        are_indices = all(map(INTEGER.fullmatch, values))
        if not voted and not (are_shares and are_indices):
            return {}
        spelled = {normal(value): value for value in voted}
        return {
            spelled.get(name, self._headings[column][len(task) + 1 :]): column
            for name, column in found.items()
        }

    def _require_votes(self, task, classes, voted):
        missing = [label for label in classes if label not in voted]
        if voted and missing:
            raise UserError(
                f"{self.sheet.path} has no column {task}_{normal(missing[0])} "
                f"of numbers beside {task}_{normal(voted[0])}; add it, or "
                f"choose the classes: --classes {task}:CLASS,CLASS"
            )

    def suffixes(self, task: str) -> dict[str, str]:
        """{normal name of a class: column} of columns of numbers TASK_CLASS."""
        start = f"{task}_"
        return {
            name.removeprefix(start): name
            for name in self.candidates()
            if name.startswith(start)
            and name not in (start, f"{start}{WEIGHT}")
            and self._is_count(name)
        }

    def _find_is_count(self, name):
        """Whether a column has numbers of at least 0, or nothing."""
        numbers = [number(cell) for cell in self.cells[name] if cell]
        return all(n is not None and n >= 0 for n in numbers)

    def _are_shares(self, names):
        """Whether the numbers of these columns sum to 1 in filled rows."""
        rows = np.stack([self.numbers(name) for name in names], axis=1)
        rows = rows[~np.isnan(rows).all(axis=1)]
        return len(rows) > 0 and np.allclose(rows.sum(axis=1), 1, 0, TOLERANCE)

    def facts(self) -> list[str]:
        """Columns of numbers that are not tasks."""
        return [
            name
            for name in self.cells
            if NAME.fullmatch(name)
            and name not in TAKEN
            and (FACTS.fullmatch(name) or self.is_measurement(name))
        ]

    def is_measurement(self, name: str) -> bool:
        """Whether a column has numbers with decimals, too many for classes."""
        values = {*self.cells[name]} - {""}
        if not values or any(number(value) is None for value in values):
            return False
        if all(map(INTEGER.fullmatch, values)):
            return False
        return len(values) > MOST_VALUES or self.is_scattered(name)

    def is_scattered(self, name: str) -> bool:
        """Whether a column has more values than every other filled row."""
        values = [cell for cell in self.cells[name] if cell]
        return 2 * len(set(values)) > len(values)

    def numbers(self, name: str) -> np.ndarray:
        """A column of numbers: float [N], NaN where a cell is empty.

        Raises:
            UserError: a cell holds something else.
        """
        found = np.full(self.count, np.nan)
        for index, cell in enumerate(self.cells[name]):
            value = number(cell) if cell else np.nan
            if value is None:
                self.sheet.refuse(
                    index,
                    f"{name} is {shown(cell)}",
                    "write a number, or leave the cell empty",
                )
            found[index] = value
        return found

    def others(self, name: str) -> str:
        """Columns to choose instead of one, for the end of a message."""
        names = [
            other
            for other in self.candidates()
            if other not in (name, *TAKEN)
            and NAME.fullmatch(other)
            and len({*self.cells[other]} - {""}) > 1
            and not self.is_scattered(other)
        ]
        return " ".join(names) or "NAME"

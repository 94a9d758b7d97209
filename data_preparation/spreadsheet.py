"""A user's table as text: CSV of any Unicode encoding and separator.

The file may come from anybody: whatever it holds is text, and what cannot be
read is an error that names file, row and cure.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from samtl.common.errors import UserError
from samtl.common.text import CONTROL, counted

# Most specific first: UTF-32's mark begins with that of UTF-16.
MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"\xef\xbb\xbf": "utf-8-sig",
}
SEPARATORS = ",;\t"
# A first line for Excel.
HINT = re.compile(r"\Asep=.(?=\r?\n)", re.IGNORECASE)
MOST_COLUMNS = 1000
# First bytes of a workbook, which is an archive, or in the older format.
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
SAVE_AGAIN = "save the table as CSV in UTF-8"


@dataclass(frozen=True)
class Sheet:
    """Columns of text, N cells each, without blanks around them.

    Attributes:
        path: of the file, or of the folder that the rows were read from.
        columns: {heading: list of str [N]}, in the order of the file.
        rows: int [N], number of each row in the file, the first one is 1;
            empty where the rows are files of a folder.
    """

    path: Path
    columns: dict[str, list[str]]
    rows: list[int]

    def column(self, name: str) -> list[str] | None:
        """The cells below a heading in any case, or None."""
        for heading, cells in self.columns.items():
            if heading.lower() == name:
                return cells
        return None

    def take(self, indices: Sequence[int]) -> "Sheet":
        """The rows at these indices."""
        columns = {
            heading: [cells[index] for index in indices]
            for heading, cells in self.columns.items()
        }
        rows = [self.rows[index] for index in indices] if self.rows else []
        return Sheet(self.path, columns, rows)

    def refuse(self, index: int, what: str, cure: str) -> NoReturn:
        """Raise the UserError about the row at an index."""
        if self.rows:
            place = f"{self.path}, row {self.rows[index]}"
        else:
            place = self.path / self.columns["path"][index]
        raise UserError(f"{place}: {what}; {cure}")


def read(path: Path) -> Sheet:
    """Read a table, without empty rows and columns without a heading.

    Args:
        path: Path of the file.

    Returns:
        Sheet with a column for each heading.

    Raises:
        UserError: the file is missing, empty or not a CSV file, a heading is
            there twice, or a row has more cells than there are headings.
    """
    numbered = [
        (number, [cell.strip() for cell in row])
        for number, row in enumerate(_rows(path, _text(path)), start=1)
    ]
    numbered = [(number, row) for number, row in numbered if any(row)]
    if not numbered:
        raise UserError(f"{path} is empty; write a heading `path` and rows")
    header = [CONTROL.sub(" ", cell).strip() for cell in numbered[0][1]]
    _require_headings(path, header)
    for number, row in numbered:
        if any(row[len(header) :]):
            raise UserError(
                f"{path}, row {number}: {counted(len(row), 'cell')} under "
                f"{counted(len(header), 'heading')}; put cells that "
                "hold the separator in quotes"
            )
    cells = [row + [""] * (len(header) - len(row)) for _, row in numbered[1:]]
    columns = {
        heading: [row[place] for row in cells]
        for place, heading in enumerate(header)
        if heading
    }
    return Sheet(path, columns, [number for number, _ in numbered[1:]])


def shown(text: str, most: int = 40) -> str:
    """A cell for a message: quoted, in one line, of at most so many letters."""
    return repr(text if len(text) <= most else f"{text[:most]}...")


def _text(path):
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; give another --csv"
        ) from error
    if data.startswith(WORKBOOKS):
        raise UserError(f"{path} is a workbook, not a CSV file; {SAVE_AGAIN}")
    encoding = encoding_of(data)
    try:
        return HINT.sub("", data.decode(encoding))
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path}, row {row}: not valid {encoding.upper()}; {SAVE_AGAIN}"
        ) from error


def encoding_of(data: bytes) -> str:
    """The Unicode encoding of a table whose first letters are ASCII."""
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return encoding
    # In UTF-16, half of the bytes of ASCII are zeros.
    if b"\0" not in data[:2]:
        return "utf-8"
    return "utf-16-be" if data[:1] == b"\0" else "utf-16-le"


def separator_of(text: str) -> str:
    """The separator that divides the first line into the most cells."""
    # Read leniently, as a wrong separator may end a quoted heading.
    start = text.lstrip("\r\n")
    return max(
        SEPARATORS,
        key=lambda found: len(next(_reader(start, found, False), [])),
    )


def _rows(path, text):
    """Yield all rows, also empty ones, as lists of str."""
    number = 0
    try:
        for row in _reader(text, separator_of(text), True):
            number += 1
            yield row
    except csv.Error as error:
        raise UserError(
            f"{path}, row {number + 1}: {error}; is a quote not closed? "
            "Correct the row"
        ) from error


def _reader(text, separator, is_strict):
    # Newlines as they are: a quoted cell may hold some.
    return csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        skipinitialspace=True,
        strict=is_strict,
    )


def _require_headings(path, header):
    if len(header) > MOST_COLUMNS:
        raise UserError(
            f"{path} has {len(header):,} columns, more than {MOST_COLUMNS:,}; "
            "delete those that are not needed"
        )
    counts = Counter(heading.lower() for heading in header if heading)
    for heading, count in counts.items():
        if count > 1:
            raise UserError(
                f"{path}: two columns are called {shown(heading)}; rename or "
                "delete one of them"
            )

"""Read the published label files; an error message is one line."""

import csv
import os
import re
from pathlib import Path

from data_preparation import spreadsheet
from samtl.common.errors import UserError
from samtl.common.text import counted
from samtl.faces import inputs

# Bytes of an archive: (their place in the file, its kind).
ARCHIVES = {
    b"ustar": (257, "tar"),
    b"PK\x03\x04": (0, "zip"),
    b"\x1f\x8b": (0, "gzip"),
    b"BZh": (0, "bzip2"),
    b"\xfd7zXZ\0": (0, "xz"),
    b"7z\xbc\xaf\x27\x1c": (0, "7z"),
    b"Rar!": (0, "rar"),
}
WHOLE = re.compile(r"^\s*(-?\d+)\.0+\s*$")
COMMA = re.compile(r"^\s*([+-]?\d+),(\d+(?:[eE][+-]?\d+)?)\s*$")
# Names of archives.
PACKED = (".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip")


def lines(path):
    """The lines of a text file that are not blank.

    Raises:
        UserError: the file is missing or is not valid UTF-8.
    """
    return [line for line in _text(path).splitlines() if line.strip()]


def cells(line, count):
    """The cells of a line, with blanks, tabs, semicolons or commas between.

    Whole numbers that a program wrote as 3.0 are 3 again.

    Returns:
        list of str [count], of which only the first may hold blanks; empty
        where the line has fewer cells.
    """
    for separator in (None, ";", ","):
        words = line.strip().rsplit(separator, count - 1)
        if len(words) == count:
            return [WHOLE.sub(r"\1", word.strip()) for word in words]
    return []


def csv_rows(path):
    """The rows of a CSV file, a list of str each; empty rows are skipped.

    The separator is a comma, a semicolon or a tab; beside the latter two, a
    number may have a decimal comma. Whole numbers that a program wrote as 3.0
    are 3 again.

    Raises:
        UserError: the file is missing or is not a CSV file.
    """
    text = _text(path)
    separator = spreadsheet.separator_of(text)

    def usual(cell):
        cell = cell if separator == "," else COMMA.sub(r"\1.\2", cell)
        return WHOLE.sub(r"\1", cell)

    try:
        rows = csv.reader(text.splitlines(keepends=True), delimiter=separator)
        return [list(map(usual, row)) for row in rows if "".join(row).strip()]
    except csv.Error as error:
        raise UserError(
            f"cannot read {path}: {error}; download it again"
        ) from error


def csv_table(path, needed):
    """The rows of a CSV file under its headings, a list of dict.

    Args:
        path: of the file.
        needed: headings that must be there, in any case.

    Raises:
        UserError: the file cannot be read, lacks a heading, or has a row with
            more or fewer cells than headings. Empty cells at its end do not
            count.
    """
    header, *rows = csv_rows(path) or [[]]
    known = {column.lower(): column for column in needed}
    header = [column.strip() for column in header]
    header = [known.get(column.lower(), column) for column in header]
    missing = [column for column in needed if column not in header]
    if missing:
        raise UserError(
            f"{path} has no column {', '.join(missing)} in its first line but "
            f"{', '.join(header) or 'nothing'}; download it again"
        )
    for line, row in enumerate(rows, start=2):
        if "".join(row[len(header) :]).strip() or len(row) < len(header):
            raise UserError(
                f"{path}, row {line}: {counted(len(row), 'cell')} under "
                f"{counted(len(header), 'heading')}; download it again"
            )
    # Those without a heading are left out.
    return [dict(zip(header, row, strict=False)) for row in rows]


def images(folder, data_dir, suffixes=(".png", ".jpg", ".jpeg")):
    """Image files in a folder and its subfolders, also linked ones.

    Prepared sets below `data_dir` are skipped, as `folder` may contain it, and
    the files that macOS adds (`._face.jpg`, `__MACOSX`).

    Returns:
        sorted list of Path.

    Raises:
        UserError: a folder cannot be read.
    """
    closed = {os.path.realpath(data_dir / "db")}
    return sorted(
        path
        for path in _walk(folder, closed)
        if path.name.lower().endswith(tuple(suffixes))
    )


def _walk(folder, closed):
    """Yield the files below a folder; skip the real paths in `closed`."""
    real = os.path.realpath(folder)
    if real in closed:
        return
    try:
        with os.scandir(folder) as entries:
            kinds = {Path(entry): entry.is_dir() for entry in entries}
    except OSError as error:
        raise UserError(
            f"cannot read {error.filename}: {error.strerror}; make it "
            "readable, or move it out of --source"
        ) from error
    for path, is_folder in kinds.items():
        if inputs.is_apples(path):
            continue
        if is_folder:
            # A link may lead to a parent folder.
            yield from _walk(path, {*closed, real})
        else:
            yield path


def unpacked(folder, name):
    """The folder of a set's files, in `folder` or where its archive put it.

    Archives hold one folder, called like the set or like themselves. Hidden
    files, those of macOS, and archives beside it do not count.
    """
    paths = [
        path
        for path in folder.iterdir()
        if not (path.name.startswith(".") or inputs.is_apples(path))
        and not path.name.lower().endswith(PACKED)
    ]
    names = [path.name.lower() for path in paths if path.is_dir()]
    is_doubled = names in ([name], [folder.resolve().name.lower()])
    if is_doubled and len(paths) == 1:
        return unpacked(paths[0], name)
    return folder


def found(folder, most=6):
    """The first `most` names in a folder, for the end of an error message."""
    names = sorted(path.name for path in folder.iterdir())
    names = [
        f"{name}, to be unpacked" if name.lower().endswith(PACKED) else name
        for name in names
    ]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + more


def _text(path):
    if path.parent.is_dir() and not path.exists():
        raise UserError(
            f"{path.parent} has no {path.name} (found: {found(path.parent)}); "
            "--source must hold the files as published, see --help"
        )
    try:
        data = path.read_bytes()
        for start, (place, kind) in ARCHIVES.items():
            if data[place : place + len(start)] == start:
                raise UserError(f"{path} is a {kind} archive; unpack it there")
        text = data.decode(spreadsheet.encoding_of(data))
        return spreadsheet.HINT.sub("", text.removeprefix("\ufeff"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read {path}: {error}; download it again"
        ) from error

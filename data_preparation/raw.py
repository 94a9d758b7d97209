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


def lines(path):
    """The lines of a text file that are not blank.

    Raises:
        UserError: the file is missing or is not valid UTF-8.
    """
    return [line for line in _text(path).splitlines() if line.strip()]


def csv_rows(path):
    """The rows of a CSV file, a list of str each; empty lines are skipped.

    The separator is a comma, a semicolon or a tab. Whole numbers that a
    program wrote as 3.0 are 3 again.

    Raises:
        UserError: the file is missing or is not a CSV file.
    """
    text = _text(path)
    try:
        rows = csv.reader(
            text.splitlines(keepends=True),
            delimiter=spreadsheet.separator_of(text),
        )
        return [[WHOLE.sub(r"\1", cell) for cell in row] for row in rows if row]
    except csv.Error as error:
        raise UserError(
            f"cannot read {path}: {error}; download it again"
        ) from error


def csv_table(path, needed):
    """The rows of a CSV file under its headings, a list of dict.

    Args:
        path: of the file.
        needed: headings that must be there.

    Raises:
        UserError: the file cannot be read, lacks a heading, or has a row with
            more or fewer cells than headings.
    """
    header, *rows = csv_rows(path) or [[]]
    header = [column.strip() for column in header]
    missing = [column for column in needed if column not in header]
    if missing:
        raise UserError(
            f"{path} has no column {', '.join(missing)} in its first line but "
            f"{', '.join(header) or 'nothing'}; download it again"
        )
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise UserError(
                f"{path}, row {line}: {counted(len(row), 'cell')} under "
                f"{counted(len(header), 'heading')}; download it again"
            )
    return [dict(zip(header, row, strict=True)) for row in rows]


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


def found(folder, most=6):
    """The first `most` names in a folder, for the end of an error message."""
    names = sorted(path.name for path in folder.iterdir())
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
        return data.decode(spreadsheet.encoding_of(data)).removeprefix("\ufeff")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read {path}: {error}; download it again"
        ) from error

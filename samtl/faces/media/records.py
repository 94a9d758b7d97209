"""The records of many images, on disk until all of them are known."""

import csv
import errno
import itertools
import json
import os
import tempfile
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from samtl.common import files
from samtl.common.errors import UserError, reason
from samtl.faces.media import output


class Records:
    """Dicts for JSON, in the order of adding; its length is their number.

    Args:
        file: open for writing bytes and reading, unbuffered, empty.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self._count = 0

    def __len__(self):
        return self._count

    def __iter__(self) -> Iterator[dict]:
        self._file.seek(0)
        number = self._file.fileno()
        with open(number, encoding="utf-8", closefd=False) as lines:
            yield from map(json.loads, itertools.islice(lines, self._count))

    def add(self, record: dict) -> None:
        """Keep a record.

        Raises:
            UserError: the disk of temporary files is full.
        """
        line = json.dumps(record).encode() + b"\n"
        try:
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise UserError(
                f"cannot write {tempfile.gettempdir()}: {reason(error)}; set "
                "TMPDIR to a folder on a disk with space"
            ) from error
        self._count += 1


def write_json(path: Path, head: dict, records: Iterable[dict]) -> None:
    """Write `head` with the records as its "images", indented, atomically.

    Raises:
        UserError: as `files.write`.
    """
    text = json.dumps({**head, "images": [0]}, indent=2, ensure_ascii=False)
    start, _, end = text.rpartition("    0")
    with files.write(path) as temporary, _opened(temporary) as file:
        file.write(start)
        for number, record in enumerate(records):
            text = json.dumps(record, indent=2, ensure_ascii=False)
            file.write(",\n" * bool(number) + textwrap.indent(text, "    "))
        file.write(end + "\n")


def write_csv(path: Path, columns: Iterable[str], records: Iterable[dict]):
    """Write a row for each face of the records, atomically.

    Raises:
        UserError: as `files.write`.
    """
    with files.write(path) as temporary, _opened(temporary) as file:
        writer = csv.DictWriter(file, ("file", *columns))
        writer.writeheader()
        for image in records:
            for face in image.get("faces", ()):
                writer.writerow({"file": image["file"], **output.row(face)})


def _opened(path):
    # Text that is not valid UTF-8 becomes an escape, which JSON has, too.
    return path.open(
        "w", newline="", encoding="utf-8", errors="backslashreplace"
    )

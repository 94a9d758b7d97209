"""Atomic writing: a file is either whole or absent. Reading JSON."""

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from samtl.common.errors import UserError, reason

CHECKSUM = "checksum"  # key of a sealed JSON file
TEMPORARY = ".tmp"  # in the names of files that are being written


@contextlib.contextmanager
def write(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it there on success.

    The temporary name keeps the suffix, because libraries choose the file
    format by it. Parent folders are created. Nothing is left on failure.
    A pipe or device is not a file that could be replaced: it is yielded itself.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    temporary = None
    try:
        if is_stream(path):
            yield path
            return
        if path.is_dir():  # found out before hours of work, not after
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}.",
            suffix=f"{TEMPORARY}{path.suffix}",
            dir=path.parent,
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {reason(error)}; choose a writable folder "
            "on a disk with space"
        ) from error
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


def sweep(folder: Path, start: str = "") -> None:
    """Remove what killed processes have left of `write` in a folder.

    Args:
        folder: nobody may write there meanwhile.
        start: of the names of the files that were written.
    """
    left = re.compile(
        rf"\.{re.escape(start)}.*\.[a-z0-9_]{{8}}{re.escape(TEMPORARY)}(\..*)?"
    )
    for path in folder.glob(f".*{TEMPORARY}*"):
        if left.fullmatch(path.name) and path.is_file():
            with contextlib.suppress(OSError):  # it does no harm
                path.unlink()


def is_stream(path: Path) -> bool:
    """Whether a path is a pipe or device, which cannot be replaced."""
    # These may lead to a file.
    if re.match(r"/dev/(stdout|stderr|fd/)|/proc/[^/]+/fd/", str(path)):
        return True
    return path.exists() and not (path.is_file() or path.is_dir())


def write_json(path: Path, value, is_sealed: bool = False) -> None:
    """Write `value` as indented JSON, atomically.

    Sealed, a dict gets a checksum, by which `read_json` finds damage.

    Raises:
        UserError: as `write`, or a path in it is not valid UTF-8.
    """
    if is_sealed:
        # At the top, where its line can be deleted like any other.
        value = {CHECKSUM: _checksum(value), **value}
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        around = text[: error.end].splitlines()[-1].strip()
        raise UserError(
            f"cannot write {path}: the end of {around!r} is not valid UTF-8; "
            "rename the file or folder"
        ) from error
    with write(path) as temporary:
        temporary.write_bytes(data)


def read_json(path: Path) -> dict:
    """What a JSON file of an object holds, without its checksum.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not JSON or no object, or its checksum is another.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("it is not an object, in braces")
    found = value.pop(CHECKSUM, None)
    if found not in (None, _checksum(value)):
        raise ValueError(
            "it is not what was written; if you changed it yourself, "
            f"delete its {CHECKSUM}"
        )
    return value


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum(value):
    # Tuples and numbers as keys as they are after writing and reading.
    plain = json.loads(json.dumps(value))
    text = json.dumps(plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask

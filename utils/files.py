"""Atomic writing: a file is either whole or absent."""

import contextlib
import json
import os
import tempfile
from pathlib import Path

from utils.errors import UserError


@contextlib.contextmanager
def write(path):
    """Yield a temporary path beside `path`; rename it there on success.

    The temporary name keeps the suffix, because libraries choose the file
    format by it. Parent folders are created. Nothing is left on failure.

    Raises:
        UserError: the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent
        )
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; choose a writable folder"
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, value):
    """Write `value` as indented JSON, atomically."""
    with write(path) as temporary:
        temporary.write_text(
            json.dumps(value, indent=2, ensure_ascii=False) + "\n",
            encoding="utf-8",
        )


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""Locks on folders: one process works there, and the others can name it.

The operating system frees the lock of a process that ends, however it ends.
"""

import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from samtl.common import files
from samtl.common.errors import UserError, reason

# Some network file systems have no locks.
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
_held = {}  # path of a lock -> FileLock, those of this process


def acquire(path: Path, busy: str | None, cure: str = "") -> None:
    """Take a lock until `release`, or until this process ends.

    A second file beside the lock says who has it.

    Args:
        path: of the lock's file; its folder is made.
        busy: what another process does there, for the error; None: wait until
            the lock is free.
        cure: what to do about the other process.

    Raises:
        UserError: another process has it, or the folder cannot be written.
    """
    path = Path(path).resolve()
    lock = FileLock(path, thread_local=False)  # any thread may release it
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=-1 if busy is None else 0)
    except Timeout as error:
        raise UserError(f"{busy} ({_holder(path)}); {cure}") from error
    except OSError as error:
        if error.errno in WITHOUT_LOCKS:
            return
        raise UserError(
            f"cannot write {path.parent}: {reason(error)}; choose a folder "
            "that may be written"
        ) from error
    _held[path] = lock
    moment = time.strftime("%Y-%m-%d %H:%M:%S")
    who = f"process {os.getpid()} on {socket.gethostname()} since {moment}"
    # On a full disk, the lock holds without the note.
    with contextlib.suppress(UserError), files.write(_note(path)) as temporary:
        temporary.write_text(who, encoding="utf-8")


def release(path: Path) -> None:
    """Free a lock of this process, if it has it, and remove its files."""
    path = Path(path).resolve()
    lock = _held.pop(path, None)
    if lock is None:
        return
    # While the lock is held: whoever waits for a file that is gone notices.
    for file in (_note(path), path):
        with contextlib.suppress(OSError):  # Windows keeps open files
            file.unlink(missing_ok=True)
    lock.release()


@contextlib.contextmanager
def held(path: Path, busy: str | None, cure: str = "") -> Iterator[None]:
    """`acquire` a lock, and `release` it at the end."""
    acquire(path, busy, cure)
    try:
        yield
    finally:
        release(path)


def is_of_lock(path: Path, lock: Path) -> bool:
    """Whether a file is that of a lock, or belongs to it."""
    return path.name in (lock.name, _note(lock).name)


def _note(path):
    return path.with_name(f"{path.name}.holder")


def _holder(path):
    """Who holds a lock, in words."""
    try:
        return _note(path).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return "another process"

"""The one exception that users see without a traceback."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable

from samtl.common.text import printable

# Errors of the operating system that need no programmer.
USERS = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EFBIG,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.EPERM,
    errno.EROFS,
}


class UserError(Exception):
    """Something the user can put right; the message says what and how.

    As text it is one line, whatever a name or value in it contains.
    """

    def __str__(self):
        return printable(super().__str__())


def reason(error: Exception | str) -> str:
    """The cause in one line: an error's first line, else its type."""
    text = getattr(error, "strerror", None) or str(error).strip()
    return (text or type(error).__name__).splitlines()[0]


INTERRUPTED = "interrupted"
REPEAT = "stopped; the same command goes on from here"
_interrupted = INTERRUPTED


def on_interrupt(text: str = INTERRUPTED) -> None:
    """Let Ctrl-C in `run_script` say from now on, in one line, how to go on."""
    global _interrupted
    _interrupted = text


def run_script(main: Callable[[], int | None]) -> None:
    """Call main() and turn a UserError into one line and exit code 2.

    It does the same for an OSError of the user's disk, such as a full one.
    Otherwise main's return value is the exit code, None for 0. It is 130 after
    Ctrl-C, and 141 if standard output was closed, as by `head`.
    """
    # File names may hold bytes, or letters that the terminal's encoding lacks.
    with contextlib.suppress(AttributeError):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = main()
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:
        try:
            print(flush=True)  # was it standard output?
        except BrokenPipeError:
            # Python flushes once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)
        raise
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in USERS:
            raise
        name = f"{printable(error.filename)}: " if error.filename else ""
        print(
            f"error: {name}{error.strerror}; free some disk space, or choose "
            "a file or folder that may be used",
            file=sys.stderr,
        )
        sys.exit(2)
    except KeyboardInterrupt:
        print(_interrupted, file=sys.stderr)
        sys.exit(130)
    if status:
        sys.exit(status)

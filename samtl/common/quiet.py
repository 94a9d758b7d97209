"""TensorFlow's notes about the machine, left out."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# Of TensorFlow and of absl, which it logs with: notes and warnings, and two
# errors that mean no more than a machine without a GPU. None needs an action.
NOTES = re.compile(
    r"WARNING: All log messages before absl|To enable the following instr"
    r"|([IW]\d{4} |[\d-]+ [\d:.]+: [IW] )"
    r"|(E\d{4} |[\d-]+ [\d:.]+: E ).*(call to cuInit|Unable to register cu)"
)


def load_keras() -> None:
    """Load Keras and its backend, without the notes."""
    with without_notes():
        import keras

        if keras.backend.backend() == "tensorflow":
            keras.distribution.list_devices()  # is there a GPU?


@contextlib.contextmanager
def without_notes() -> Iterator[None]:
    """Leave the lines of NOTES out of standard error.

    Libraries in C write past sys.stderr. So the descriptor leads to a file, of
    which the other lines are written at the end.
    """
    if sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            for line in file.read().decode(errors="replace").splitlines():
                if not NOTES.match(line):
                    print(line, file=sys.stderr)

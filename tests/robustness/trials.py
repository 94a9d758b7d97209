"""Damages of files, the definition of a passed case, and counts."""

import contextlib
import re
import resource

import numpy as np

from samtl.common.errors import UserError

REFUSED = object()
COUNTS = {"tried": 0, "survived": 0}


@contextlib.contextmanager
def case():
    """Count a case. It survives unless an error leaves the block."""
    COUNTS["tried"] += 1
    yield
    COUNTS["survived"] += 1


def attempt(call, is_right=lambda result: True):
    """A case: either one line with cause and cure, or a result that is right.

    Returns:
        the result of `call()`, or REFUSED.
    """
    with case():
        try:
            result = call()
        except UserError as error:
            check_message(error)
            return REFUSED
        assert is_right(result)
        return result


def check_message(error):
    """Check for one line with a cure: after a semicolon, a flag, or --help."""
    message = str(error)
    assert "\n" not in message
    assert re.search("; .|needs --|--help lists all flags", message), message


def damages(data, count, seed=0):
    """Yield `count` damaged copies of bytes, the same ones each time.

    Cut off; with up to five flipped bits, anywhere or near the front; with a
    piece missing.
    """
    for number in range(count):
        rng = np.random.default_rng([seed, number, len(data)])
        kind = rng.integers(4)
        if kind == 0:
            yield data[: rng.integers(len(data))]
            continue
        copy = bytearray(data)
        last = len(data) if kind != 1 else min(64, len(data))
        for _ in range(rng.integers(1, 6)):
            copy[rng.integers(last)] ^= 1 << rng.integers(8)
        if kind == 2:
            del copy[slice(*sorted(rng.integers(len(copy), size=2)))]
        if copy != data:
            yield bytes(copy)


@contextlib.contextmanager
def full_disk(size):
    """Limit every file to `size` bytes, so that writes really fail halfway."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

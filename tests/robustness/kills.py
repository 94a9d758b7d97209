"""Preparations that are killed: `python -m tests.robustness.kills FOLDER`.

A process of its own, because it forks: a copy of this process costs a
hundredth of a new one. Prints one line a case, "survived" or what went wrong.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np

from samtl.common.errors import UserError
from samtl.data import tables
from tests.robustness import small_set

SEEDS = 8
PUBLISHING = 18  # the last changes: the old set is replaced
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
NAME = "utkface"


def run(work, moment=None, seconds=None):
    """Call work() in a copy of this process.

    Args:
        work: function.
        moment: it is killed before its change of the file system with this
            number, from 0.
        seconds: or so long after its start.

    Returns:
        number of changes, None where it was killed.
    """
    answer, end = os.pipe()
    child = os.fork()
    if child == 0:
        _work(work, moment, end)
    os.close(end)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(answer) as file:
        output = file.read()
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), f"it ended with {status}"
    return int(output) if output else None


def _work(work, moment, end):
    changes = 0

    def count(event, arguments):
        nonlocal changes
        is_change = event in CHANGES or (
            event == "open" and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
        )
        if is_change and changes == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        changes += is_change

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.addaudithook(count)
    try:
        work()
        os.write(end, str(changes).encode())
        os._exit(0)
    finally:
        os._exit(1)


def published(data_dir):
    """The prepared set, without leftovers of killed runs."""
    found = small_set.tree(data_dir)
    return {k: v for k, v in found.items() if not k.startswith(".")}


def is_complete_or_refused(data_dir, wholes):
    """Whether the set is one of the complete sets, or refused."""
    try:
        tables.read(NAME, data_dir)
    except UserError:
        return True
    found = published(data_dir)
    return any(
        all(
            found.get(name) == content
            for name, content in whole.items()
            if not name.endswith(".dropped.csv")
        )
        for whole in wholes
    )


def main(folder):
    new, old = sources = folder / "new", folder / "old"
    for seed, name in enumerate(sources):
        name.mkdir()
        small_set.source(name, seed=seed)

    def prepare(data_dir, source=new, words=("--overwrite",)):
        return lambda: small_set.prepare(source / "UTKFace", data_dir, *words)

    start = time.perf_counter()
    changes = run(prepare(folder / "whole", words=()))
    duration = time.perf_counter() - start
    tables.read(NAME, folder / "whole")
    run(prepare(folder / "before", old))
    shutil.copytree(folder / "before", folder / "after")
    publishing = range(run(prepare(folder / "after")))[-PUBLISHING:]
    wholes = [published(folder / name) for name in ("whole", "before")]

    def end(data_dir, moments=(), delays=()):
        """What becomes of a set after kills."""
        kills = [{"moment": moment} for moment in moments]
        for kill in (*kills, *({"seconds": delay} for delay in delays)):
            run(prepare(data_dir), **kill)
            if not is_complete_or_refused(data_dir, wholes):
                return f"{data_dir.name}, {kill}: what is read is not whole"
        run(prepare(data_dir))
        is_same = published(data_dir) == wholes[0]
        return "survived" if is_same else f"{data_dir.name}: another end"

    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        times = rng.integers(1, 3)
        moments = rng.integers(changes, size=times)
        delays = rng.uniform(0, duration, size=times)
        print(end(folder / f"data{seed}", moments, delays), flush=True)
    for moment in publishing:
        data_dir = folder / f"over{moment}"
        shutil.copytree(folder / "before", data_dir)
        print(end(data_dir, [moment]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

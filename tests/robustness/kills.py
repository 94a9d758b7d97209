"""Preparations that are killed: `python -m tests.robustness.kills FOLDER`.

A process of its own, because it forks: a copy of this process costs a
hundredth of a new one. Prints one line a case, "survived" or what went wrong.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from tests.robustness import small_set
from utils import tables
from utils.errors import UserError

SEEDS = 15
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
        said = file.read()
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), f"it ended with {status}"
    return int(said) if said else None


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
    """The prepared set, without what killed runs leave beside it."""
    found = small_set.tree(data_dir)
    return {k: v for k, v in found.items() if not k.startswith(".")}


def is_honest(data_dir, wholes):
    """What can be read is one of the whole sets, or nothing."""
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
    source = small_set.source(folder)

    def prepare(data_dir, *words):
        return lambda: small_set.prepare(source, data_dir, *words)

    other = ("--seed=1",)
    count = run(prepare(folder / "whole"))
    run(prepare(folder / "other", *other))
    whole, before = published(folder / "whole"), published(folder / "other")
    start = time.perf_counter()
    run(prepare(folder / "timed"))
    duration = time.perf_counter() - start
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        data_dir = folder / f"data{seed}"
        words = ()
        if seed % 3 == 2:  # another set is in the place
            run(prepare(data_dir, *other))
            words = ("--overwrite",)
        verdict = "survived"
        for _ in range(rng.integers(1, 4)):
            if seed % 3 == 1:
                run(
                    prepare(data_dir, *words),
                    seconds=rng.uniform(0, duration),
                )
            else:
                # The last changes are those of publishing.
                last = rng.choice([count, 20])
                moment = count - 1 - rng.integers(last)
                run(prepare(data_dir, *words), moment=moment)
            if not is_honest(data_dir, [whole, before]):
                verdict = f"seed {seed}: what is read is not whole"
        run(prepare(data_dir, *words))
        if published(data_dir) != whole:
            verdict = f"seed {seed}: it ended elsewhere"
        print(verdict, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Does any input end in a traceback, without end, or with the memory full?

    python -m benchmarks.fuzz
    python -m benchmarks.fuzz --cases=1000 --kinds plans tables

Hypothesis changes command lines, files of flags, tables, plans, runs, networks
and images. A case passes with a result, or with a UserError of one line that
names a cure.
"""

import argparse
import contextlib
import dataclasses
import io
import os
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import hypothesis

from benchmarks import fuzz_kinds
from samtl.common import flags
from samtl.common.errors import USERS, UserError, run_script
from samtl.runs.results import peak_memory

CASES = 20_000
SECONDS = 60  # a case that takes longer hangs
GROWTH = 1024  # MiB that this process may grow


@dataclasses.dataclass
class Count:
    """What became of the cases of a kind.

    read, refused: numbers of cases that passed.
    failures: {exception and place: an input}.
    """

    read: int = 0
    refused: int = 0
    failures: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def cases(self) -> int:
        """All of them."""
        return self.read + self.refused + len(self.failures)


def fuzz(name: str, cases: int, seed: int) -> Count:
    """Try inputs of a kind.

    Args:
        name: of `fuzz_kinds.KINDS`.
        cases: how many, about.
        seed: of the inputs.
    """
    count = Count()
    with tempfile.TemporaryDirectory() as folder, _watched() as note:
        strategy, read = fuzz_kinds.KINDS[name](Path(folder))

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=cases,
            deadline=None,
            database=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(strategy)
        def trial(value):
            note(f"{name}: {value!r}")
            _try(read, value, count)

        trial()
    return count


def _try(read, value, count):
    output = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
        ):
            read(value)
        count.read += 1
    except UserError as error:
        count.refused += 1
        fault = fault_of(str(error))
        if fault:
            count.failures.setdefault(f"{fault}: {error}", repr(value))
    # Whatever else leaves it is a traceback of the user.
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        if getattr(error, "errno", None) in USERS:  # told by run_script
            count.refused += 1
            return
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} in {place.filename}:{place.lineno}"
        count.failures.setdefault(kind, f"{value!r}: {error}"[:2000])


def fault_of(message: str) -> str | None:
    """What a message to the user lacks, or None."""
    if len(message.splitlines()) != 1:
        return "not one line"
    cures = ("; ", "needs --", "--help lists all flags")
    return None if any(cure in message for cure in cures) else "no cure"


@contextlib.contextmanager
def _watched() -> Iterator[Callable[[str], None]]:
    """A function to call before each case; a case that hangs ends it all."""
    began = {"case": "the preparation", "time": time.monotonic()}
    stop = threading.Event()

    def watch():
        while not stop.wait(1):
            if time.monotonic() - began["time"] > SECONDS:
                print(f"hangs: {began['case'][:2000]}", file=sys.__stderr__)
                os._exit(1)

    def note(case):
        began.update(case=case, time=time.monotonic())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield note
    finally:
        stop.set()
        thread.join()


def parser() -> argparse.ArgumentParser:
    parser = flags.parser(__doc__, None)
    parser.prog = "python -m benchmarks.fuzz"
    whole = flags.Number(int, 1)
    flags.add_flag(parser, "cases", whole, CASES, "inputs of all kinds")
    kinds = tuple(fuzz_kinds.KINDS)
    text = "kinds of inputs (default: all)"
    flags.add_flag(parser, "kinds", kinds, None, text, many=True)
    seeds = flags.Number(int, 0)
    flags.add_flag(parser, "seed", seeds, 0, "of the inputs")
    return parser


def main() -> int:
    """Returns the exit code: 1 for a failure."""
    args = parser().parse_args()
    kinds = list(dict.fromkeys(args.kinds or fuzz_kinds.KINDS))
    # One line for each damaged image would follow.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    is_good, total = True, 0
    print(f"{'kind':14} {'cases':>7} {'read':>7} {'refused':>7} {'MiB':>7}")
    for name in kinds:
        before = peak_memory()
        count = fuzz(name, -(-args.cases // len(kinds)), args.seed)
        grown = peak_memory() - before
        print(
            f"{name:14} {count.cases:7,} {count.read:7,} {count.refused:7,} "
            f"{grown:7,.0f}  {len(count.failures)} failures",
            flush=True,
        )
        for failure, value in count.failures.items():
            print(f"  {failure}\n    {value}")
        total += count.cases
        is_good = is_good and not count.failures and grown < GROWTH
    print(f"{total:,} cases")
    return 0 if is_good else 1


if __name__ == "__main__":
    run_script(main)

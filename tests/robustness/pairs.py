"""Two processes in one folder, killed at random: is a result ever mixed?

    python -m tests.robustness.pairs
    python -m tests.robustness.pairs --trials=20 --kinds sets sweeps

A trial starts two trainings with different seeds in one run folder, two
preparations of a set from different sources, or two sweeps of a comparison,
within milliseconds. SIGKILL ends each after a random time, which may be later
than its own end. Two more follow, and then one alone. A process must end with
its work, the kill, or one line for the user. Where there is a result, after any
of them, it must be that of one process that was never disturbed.

Processes are forked: a copy costs a hundredth of a new one.
"""

import collections
import contextlib
import hashlib
import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from samtl.common import files, flags
from samtl.common.errors import UserError, run_script
from samtl.data import tables
from tests import tiny
from tests.robustness import kills, slow_training, small_set

TRIALS, PAIRS = 200, 2
LATER = 3  # the latest kill, in durations of the work alone


class Kind(NamedTuple):
    """A kind of work.

    Attributes:
        begin: makes what all trials read, in a folder.
        work: begins or goes on in a folder, as process 0 or 1.
        read: the result in a folder as text, "" without one.
    """

    begin: Callable[[Path], None]
    work: Callable[[Path, int], None]
    read: Callable[[Path], str]


def _begin_run(folder):
    # For all copies: it takes seconds. Nothing is computed before the copy.
    importlib.import_module("ALTERNATIVE_EP")
    tiny.dataset(folder / "data", "moods", ["emotion"], (16, 8, 8))
    tiny.dataset(folder / "data", "turns", ["pose"], (12, 6, 6))


def _train(folder, number):
    import ALTERNATIVE_EP
    from tests import quick

    if (folder / "result.json").exists():
        return
    quick.shrink(pytest.MonkeyPatch())
    words = [f"--resume={folder}"]
    if not (folder / "args.json").exists():
        words = ["--dataset_emotion=moods", "--dataset_pose=turns", "--epoch=3"]
        words += [f"--data_dir={folder.parent / 'data'}", "--is_naive=True"]
        words += [f"--run_dir={folder}", f"--seed={number}"]
    ALTERNATIVE_EP.main(words)


def _read_run(folder):
    """The seed and all that it decides."""
    import keras

    if not (folder / "result.json").exists():
        return ""
    result = files.read_json(folder / "result.json")
    network = keras.saving.load_model(folder / "best.keras", compile=False)
    digest = hashlib.sha256()
    for array in network.get_weights():
        digest.update(array.tobytes())
    rows = pd.read_csv(folder / "metrics.csv")
    found = {name: result[name] for name in ("best_round", "tasks")}
    found["metrics"] = rows.filter(regex="^(round|.*loss|validation)").to_csv()
    found["seed"] = files.read_json(folder / "args.json")["arguments"]["seed"]
    return json.dumps([found, digest.hexdigest()])


def _begin_set(folder):
    for seed, name in enumerate(("first", "second")):
        (folder / name).mkdir()
        small_set.source(folder / name, seed=seed)


def _prepare(folder, number):
    source = folder.parent / ("first", "second")[number]
    small_set.prepare(source / "UTKFace", folder, "--overwrite")


def _read_set(folder):
    try:
        tables.read(kills.NAME, folder)
    except UserError:
        return ""
    found = kills.published(folder).items()
    return repr(sorted(x for x in found if not x[0].endswith(".dropped.csv")))


def _sweep(folder, _):
    import compare
    from samtl.comparison import plan, protocol, report, results

    runs = [slow_training.run(seed) for seed in range(2)]
    with (
        mock.patch.object(plan, "runs", return_value=runs),
        mock.patch.object(protocol, "fault", return_value=None),
        mock.patch.object(compare, "_draw"),
        mock.patch.object(results, "write_tables"),
        mock.patch.object(report, "write_report", return_value=[]),
    ):
        compare.main([f"--out={folder}"])


def _read_sweep(folder):
    runs = [folder / slow_training.run(seed).folder for seed in range(2)]
    if not all((run / "result.json").exists() for run in runs):
        return ""
    return repr([slow_training.read(run) for run in runs])


KINDS = {
    "runs": Kind(_begin_run, _train, _read_run),
    "sets": Kind(_begin_set, _prepare, _read_set),
    "sweeps": Kind(lambda folder: None, _sweep, _read_sweep),
}


def start(work: Callable[[], None], log: Path) -> int:
    """Call work() in a copy of this process, with its output in a file."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        with log.open("a") as file:
            for descriptor in (1, 2):
                os.dup2(file.fileno(), descriptor)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        run_script(work)
        status = 0
    except SystemExit as error:
        status = error.code
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def end(child: int) -> str:
    """How a process ended: done, killed, refused, or failed."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    names = {0: "done", 2: "refused", -signal.SIGKILL: "killed"}
    return names.get(status, "failed")


def pair(kind: Kind, folder: Path, log: Path, delays: np.ndarray) -> list[str]:
    """Start two processes, and kill each after its delay in seconds."""
    children = [
        start(lambda number=number: kind.work(folder, number), log)
        for number in range(2)
    ]
    began = time.monotonic()
    for number in np.argsort(delays):
        _wait(children[number], began + delays[number])
        os.kill(children[number], signal.SIGKILL)
    return [end(child) for child in children]


def _wait(child, moment):
    """Wait until a process has ended, or a moment has come."""
    look = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while time.monotonic() < moment and not os.waitid(os.P_PID, child, look):
        time.sleep(0.002)


def result(kind: Kind, folder: Path, log: Path, number: int | None) -> str:
    """What a folder holds; with a number, after one undisturbed process.

    Returns:
        The result, "" without one, "failed" where the work or reading fails.
    """

    def work():
        if number is not None:
            kind.work(folder, number)
        answer.write_text(kind.read(folder), encoding="utf-8")

    answer = log.with_suffix(".result")
    answer.unlink(missing_ok=True)
    end(start(work, log))
    if answer.exists():
        return answer.read_text(encoding="utf-8")
    return "failed"


def trials(name: str, count: int, seed: int) -> collections.Counter:
    """Try a kind.

    Returns:
        Counter of done, refused, killed and failed processes, and of mixed
        results; what failed is printed.
    """
    kind, found = KINDS[name], collections.Counter()
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        log = place / "log"
        kind.begin(place)
        began = time.monotonic()
        wholes = {result(kind, place / f"whole{n}", log, n) for n in range(2)}
        assert not wholes & {"", "failed"}, log.read_text()
        latest = LATER * (time.monotonic() - began) / 2
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            folder = place / f"trial{number}"
            log = place / f"log{number}"
            ends, results = [], []
            for _ in range(PAIRS):
                ends += pair(kind, folder, log, rng.uniform(0, latest, 2))
                results.append(result(kind, folder, log, None) or "none")
            results.append(result(kind, folder, log, 0))
            is_mixed = not wholes.union(["none"]).issuperset(results)
            found.update(ends, mixed=is_mixed)
            if is_mixed or "failed" in ends:
                print(f"{name} {number}: {ends}\n{log.read_text()[-3000:]}")
    return found


def main() -> int:
    """Returns the exit code: 1 where a result was mixed or a process failed."""
    parser = flags.parser(__doc__, None)
    parser.prog = "python -m tests.robustness.pairs"
    whole = flags.Number(int, 0)
    flags.add_flag(parser, "trials", whole, TRIALS, "of all kinds")
    flags.add_flag(parser, "kinds", tuple(KINDS), None, "", many=True)
    flags.add_flag(parser, "seed", whole, 0, "of the moments")
    args = parser.parse_args()
    kinds = list(dict.fromkeys(args.kinds or KINDS))
    is_good = True
    for place, name in enumerate(kinds):
        count = (args.trials + place) // len(kinds)
        found = trials(name, count, args.seed)
        words = ("killed", "refused", "done", "failed", "mixed")
        numbers = ", ".join(f"{found[word]} {word}" for word in words)
        print(f"{name}: {count} trials: {numbers}", flush=True)
        is_good = is_good and not (found["failed"] or found["mixed"])
    return 0 if is_good else 1


if __name__ == "__main__":
    run_script(main)

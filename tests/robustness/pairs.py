"""Two processes in one folder, killed at random: is a result ever mixed?

    python -m tests.robustness.pairs
    python -m tests.robustness.pairs --trials=20 --kinds sets sweeps

A trial starts two trainings with different seeds in one run folder, two
preparations of a set from different sources, or two sweeps of a comparison,
within milliseconds. SIGKILL ends each after a random time, which may be later
than its own end. Two more follow, and then one alone. A process must end with
its work, the kill, or one line for the user, and the result must be that of one
process that was never disturbed.

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
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from samtl.common import files, flags
from samtl.common.errors import UserError, run_script
from tests import tiny
from tests.robustness import kills, slow_training, small_set

TRIALS, PAIRS = 200, 2
LATER = 1.5  # the latest kill, in durations of the work alone
PICTURES = 24


class Kind(NamedTuple):
    """A kind of work.

    Attributes:
        begin: makes what all trials read, in a folder.
        work: begins or goes on in a folder, as process 0 or 1.
        read: of a folder that is done; the result as text.
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
        small_set.source(folder / name, PICTURES, seed)


def _prepare(folder, number):
    source = folder.parent / ("first", "second")[number]
    small_set.prepare(source / "UTKFace", folder, "--overwrite")


def _read_set(folder):
    return repr(sorted(kills.published(folder).items()))


def _sweep(folder, _):
    import compare
    from samtl.comparison import report

    runs = [slow_training.run(seed) for seed in range(2)]
    with (
        mock.patch.object(compare.plan, "runs", return_value=runs),
        mock.patch.object(compare.protocol, "fault", return_value=None),
        mock.patch.object(compare, "_draw"),
        mock.patch.object(compare.results, "write_tables"),
        mock.patch.object(report, "write_report", return_value=[]),
    ):
        compare.main([f"--out={folder}"])


def _read_sweep(folder):
    found = []
    for seed in range(2):
        run = folder / slow_training.run(seed).folder
        found.append(slow_training.read(run))
    return repr(found)


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
        import traceback

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
        time.sleep(max(0.0, began + delays[number] - time.monotonic()))
        os.kill(children[number], signal.SIGKILL)
    return [end(child) for child in children]


def alone(kind: Kind, folder: Path, log: Path, number: int = 0) -> str:
    """The result of a folder after one process, undisturbed; "" if it failed.

    A finished run refuses to be resumed.
    """

    def work():
        with contextlib.suppress(UserError):
            kind.work(folder, number)
        answer.write_text(kind.read(folder), encoding="utf-8")

    answer = log.with_suffix(".result")
    answer.unlink(missing_ok=True)
    end(start(work, log))
    return answer.read_text(encoding="utf-8") if answer.exists() else ""


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
        wholes = {alone(kind, place / f"whole{n}", log, n) for n in range(2)}
        latest = LATER * (time.monotonic() - began) / 2
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            folder = place / f"trial{number}"
            log = place / f"log{number}"
            ends = []
            for _ in range(PAIRS):
                ends += pair(kind, folder, log, rng.uniform(0, latest, 2))
            is_whole = alone(kind, folder, log) in wholes - {""}
            found.update(ends)
            found["mixed"] += not is_whole
            if not is_whole or "failed" in ends:
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

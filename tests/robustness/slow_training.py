"""A training script that trains nothing, and says who wrote each round."""

import dataclasses
import itertools
import os
import time
from pathlib import Path

from samtl.cli import command_line
from samtl.common import files
from samtl.runs import run_folder
from tests.comparison import stub

ROUNDS, SECONDS = 8, 0.1


def main(argv):
    args = command_line.parse(stub.parser(), argv)
    folder = args.resume or args.run_dir
    run_folder.hold(folder)
    if not args.resume:
        arguments = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(args).items()
        }
        files.write_json(folder / "args.json", {"arguments": arguments})
    path = folder / "metrics.json"
    rows = files.read_json(path)["rows"] if path.exists() else []
    while len(rows) < ROUNDS:
        rows.append([len(rows), args.seed, os.getpid()])
        time.sleep(SECONDS)
        files.write_json(path, {"rows": rows})
    files.write_json(folder / "result.json", {"rows": rows})


def run(seed):
    """A `plan.Run` of this script."""
    return dataclasses.replace(stub.run(seed), script=__name__)


def read(folder):
    """Rounds and seeds of a finished run, which one process at a time wrote."""
    rows = files.read_json(folder / "result.json")["rows"]
    assert rows == files.read_json(folder / "metrics.json")["rows"]
    turns = [process for process, _ in itertools.groupby(r[2] for r in rows)]
    assert len(turns) == len(set(turns)), "two processes took turns"
    return [row[:2] for row in rows]

"""A training script that trains nothing; its seed says how it ends."""

import os
import time
from pathlib import Path

from samtl.cli import command_line
from samtl.common import files
from samtl.common.errors import UserError
from samtl.comparison import plan

GOOD, MISTAKE, DEFECT, DEATH, WAIT = range(5)


def parser():
    parser = command_line.parser(__doc__, "")
    command_line.add_dataset_flags(parser, ("emotion", "pose"))
    command_line.add_training_flags(parser)
    command_line.add_run_flags(parser)
    return parser


def main(argv):
    args = command_line.parse(parser(), argv)
    folder = args.resume or args.run_dir
    arguments = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(args).items()
    }
    files.write_json(folder / "args.json", {"arguments": arguments})
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS")
    print(f"process {os.getpid()} threads {threads}", flush=True)
    if args.seed == MISTAKE:
        raise UserError("no such file; choose another")
    if args.seed == DEFECT:
        raise RuntimeError("out of range\nsecond line")
    if args.seed == DEATH:
        os._exit(3)
    if args.seed == WAIT:
        time.sleep(600)
    files.write_json(folder / "result.json", {"argv": argv})


def run(seed, *words, number=0):
    """A `plan.Run` of this script; `number` tells equal ones apart."""
    words = (
        "--dataset_emotion=ferplus",
        "--dataset_pose=mtfl",
        "--epoch=3",
        *words,
        f"--seed={seed}",
    )
    return plan.Run(
        "emotion-pose",
        "stub",
        "Stub",
        seed,
        ("emotion", "pose"),
        Path(f"runs/emotion-pose/stub/seed{seed}-{number}"),
        "tests.comparison.stub",
        words,
        command_line.parse(parser(), list(words)),
    )

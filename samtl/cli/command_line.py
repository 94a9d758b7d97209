"""The command-line interface of every script: reading and checking flags.

Keras is not imported here, so that --help answers at once.
"""

import difflib
import re
import sys
from pathlib import Path

from samtl.cli.dataset_flags import (
    batch_sizes,
    by_dataset,
    check_datasets,
    limits,
    of_dataset,
    wanted_datasets,
)
from samtl.cli.flag_groups import (
    LOSS_LETTERS,
    add_dataset_flag,
    add_dataset_flags,
    add_run_flags,
    add_task_flags,
    add_training_flags,
)
from samtl.cli.legacy import repair
from samtl.cli.method_choice import choose
from samtl.cli.methods import (
    WEIGHTS,
    Arguments,
    add_joint_flags,
    add_manifold_flags,
    add_method_flags,
    add_single_task_method_flags,
    method,
    method_name,
)
from samtl.common.errors import UserError
from samtl.common.flags import Parser, add_flag, boolean, parser

__all__ = [
    "LOSS_LETTERS",
    "WEIGHTS",
    "add_dataset_flags",
    "add_flag",
    "add_joint_flags",
    "add_manifold_flags",
    "add_method_flags",
    "add_run_flags",
    "add_single_task_method_flags",
    "add_task_flags",
    "add_training_flags",
    "batch_sizes",
    "boolean",
    "by_dataset",
    "check_datasets",
    "completed",
    "given_tasks",
    "limits",
    "method",
    "method_name",
    "of_dataset",
    "parse",
    "parser",
    "repair",
    "trained_tasks",
    "wanted_datasets",
]

LEARNING_RATES = {
    "mini_xception": 3e-3,
    "mini_resnet": 2e-3,
    "wide_resnet": 1e-3,
    "vggface": 1e-4,
}
SYNTHETIC = {
    "emotion": "synthetic_emotion",
    "pose": "synthetic_pose",
    "gender": "synthetic_gender_age",
    "age": "synthetic_gender_age",
}
BATCH_SIZE = 32
DEVICE_FLAGS = ("distribute", "coordinator", "num_processes", "process_id")
CHANGEABLE_ON_RESUME = ("data_dir", "cache_gb", *DEVICE_FLAGS)


def parse(
    parser: Parser,
    argv: list[str] | None = None,
    synthetic: tuple[str, ...] = tuple(SYNTHETIC),
) -> Arguments:
    """Repair, read and check a command line; print what was repaired.

    Args:
        parser: made by `parser` and any of the `add_..._flags`.
        argv: list of words; None takes those of the script.
        synthetic: tasks that get synthetic faces where no dataset is given.

    Returns:
        Arguments with final values: no method, learning rate or
        dataset is left open; paths are Path objects.

    Raises:
        UserError: a flag is unknown, out of range or contradicts another.
    """
    words = parser.expanded(sys.argv[1:] if argv is None else argv)
    _add_task_flags(parser, [word.partition("=")[0] for word in words])
    words, notes = repair(words, _names(parser))
    for note in notes:
        print(note)
    args, unknown = parser.parse_known_args(words, Arguments(parser.family))
    if unknown:
        raise UserError(_unknown(unknown[0], words, parser))
    _check_devices(args)
    if getattr(args, "resume", None):
        return _resumed(parser, args, words)
    _choose_datasets(args, synthetic)
    if "learning_rate" in args:
        _settle_batch_size(args)
        _check_training(args)
    if parser.family:
        choose(args)
    return args


def trained_tasks(args: Arguments, tasks: tuple[str, ...] = ()) -> list[str]:
    """The script's own tasks, then the others that a dataset is given for."""
    prefix = "dataset_"
    others = [
        name.removeprefix(prefix)
        for name, value in vars(args).items()
        if name.startswith(prefix) and value
    ]
    return list(dict.fromkeys([*tasks, *others]))


def completed(saved: dict) -> Arguments:
    """Arguments of a run that was saved before it had all flags of today.

    Args:
        saved: values of flags, from args.json; the others get their defaults.
    """
    known = parser("", None)
    add_training_flags(known)
    add_run_flags(known)
    args = known.parse_args([])
    _settle_batch_size(args)
    return Arguments(**(vars(args) | saved))


def given_tasks(args: Arguments, tasks: tuple[str, ...]) -> list[str]:
    """The tasks that a dataset is given for: two, or one and a pool.

    Raises:
        UserError: there are fewer.
    """
    tasks = trained_tasks(args, tasks)
    given = [name for name in tasks if getattr(args, f"dataset_{name}")]
    if len(given) < 2 and not args.unlabelled:
        others = [f"--dataset_{name}" for name in tasks if name not in given]
        raise UserError(
            f"--dataset_{given[0]} is one task alone; give another with "
            f"{', '.join(others[:-1])} or {others[-1]}"
        )
    return given


def _names(parser):
    """The flags of a parser; argparse has no public list of them."""
    return [action.dest for action in parser._actions]


def _add_task_flags(parser, names):
    """Declare --dataset_<task> for the tasks of a user's own in `names`."""
    if parser.dataset_group is None:
        return
    for name in names:
        match = re.fullmatch(r"(?:--)?dataset_([a-z][a-z0-9_]*)", name)
        if match and f"dataset_{match[1]}" not in _names(parser):
            add_dataset_flag(parser, match[1])


def _unknown(word, words, parser):
    flags = {action.dest: action for action in parser._actions}
    name = word.lstrip("-").split("=")[0]
    before, _, value = words[max(words.index(word) - 1, 0)].partition("=")
    action = flags.get(before.lstrip("-"))
    is_flag = word.startswith("-")
    if value and action and action.nargs == "+" and not is_flag:
        return (
            f"unexpected word {word!r}; several values are given without =: "
            f"{before} {value} {word}"
        )
    close = difflib.get_close_matches(name, flags, n=1)
    if close:
        return f"unknown flag {word.split('=')[0]}; did you mean --{close[0]}?"
    if is_flag:
        return f"unknown flag {word.split('=')[0]}; --help lists all flags"
    return f"unexpected word {word!r}; write flags as --name=value"


def _resumed(parser, args, words):
    """The arguments of the stopped run, but for what may change."""
    # Imported here because samtl.runs.run_folder loads plotting libraries.
    from samtl.runs import run_folder

    given = [word[2:].split("=")[0] for word in words if word[:2] == "--"]
    for name in given:
        if name not in ("resume", *CHANGEABLE_ON_RESUME):
            raise UserError(
                f"--{name} cannot be combined with --resume, which takes all "
                "arguments from the run; only --data_dir, --cache_gb and the "
                "devices can"
            )
    saved = run_folder.read_args(args.resume)
    run_folder.require_unfinished(args.resume)
    _add_task_flags(parser, saved)
    args = parser.parse_args(words, Arguments(parser.family))
    kept = vars(args).keys() - {"resume", *given, *DEVICE_FLAGS}
    missing = sorted(kept - saved.keys())
    if "script" in saved:  # by which `opening.open_run` knows a run
        kept &= saved.keys()  # the others' defaults change nothing
    elif missing:
        raise UserError(
            f"{args.resume} has no {missing[0]}; it is the run of another "
            "script, resume it with that one"
        )
    _check_saved(parser, args.resume, {name: saved[name] for name in kept})
    for name in kept:
        is_path = name in ("data_dir", "runs", "run_dir", "weights")
        value = saved[name]
        setattr(args, name, Path(value) if is_path and value else value)
    return args


def _check_saved(parser, run, saved):
    """Refuse saved arguments that no command line gives."""
    words = []
    for name, value in saved.items():
        if isinstance(value, list):
            words += [f"--{name}", *map(str, value)]
        elif value is not None:
            # In one word, or a value with a dash in front would be a flag.
            words.append(f"--{name}={value}")
    try:
        given = parser.parse_args(words)
        _settle_batch_size(given)
        given = vars(given)
    except UserError as error:
        raise UserError(
            f"{run}/args.json was damaged: {error}; start a new run"
        ) from error
    for name, value in saved.items():
        if value is not None and value != _plain(given[name]):
            raise UserError(
                f"{run}/args.json was damaged: {name} is {value!r}; start a "
                "new run"
            )


def _plain(value):
    return str(value) if isinstance(value, Path) else value


def _choose_datasets(args, synthetic):
    """Without any dataset, take the drawn ones."""
    if "task_type" in args:
        args.dataset = args.dataset or SYNTHETIC.get(args.task_type)
        if args.dataset is None:
            raise UserError(
                f"--task_type={args.task_type} needs --dataset, one that is "
                "labelled for it"
            )
        return
    tasks = [name for name in SYNTHETIC if f"dataset_{name}" in args]
    if not trained_tasks(args):
        for name in set(tasks) & set(synthetic):
            setattr(args, f"dataset_{name}", [SYNTHETIC[name]])


def _settle_batch_size(args):
    """One number for all datasets is an int; else there is one for each."""
    words = args.batch_size
    if words is None:
        args.batch_size = BATCH_SIZE
    elif len(words) == 1 and ":" not in words[0]:
        args.batch_size = int(words[0])


def _check_devices(args):
    if "coordinator" not in args:
        return
    if args.coordinator is None and args.num_processes > 1:
        raise UserError(
            f"--num_processes={args.num_processes} needs --coordinator, the "
            "HOST:PORT at which they meet"
        )
    if args.coordinator and args.distribute == "none":
        raise UserError(
            f"--coordinator={args.coordinator} needs --distribute=auto"
        )
    if args.process_id >= args.num_processes:
        raise UserError(
            f"--process_id={args.process_id} must be below --num_processes="
            f"{args.num_processes}; number the processes from 0"
        )


def _check_training(args):
    if args.learning_rate is None:
        args.learning_rate = LEARNING_RATES[args.model]
    if args.no_freezing_epoch and not args.is_freezing:
        raise UserError(
            f"--no_freezing_epoch={args.no_freezing_epoch} needs "
            "--is_freezing=True"
        )
    if args.no_freezing_epoch > args.epoch:
        raise UserError(
            f"--no_freezing_epoch={args.no_freezing_epoch} is more than "
            f"--epoch={args.epoch}; give at most as many"
        )
    if args.weights and not args.weights.is_file():
        raise UserError(
            f"--weights={args.weights} is not a file; give an existing one"
        )

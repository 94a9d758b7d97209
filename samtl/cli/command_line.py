"""The door of every script: shared flags, their limits and combinations.

Each flag is declared once, with its unit, range and default. Keras is not
imported here, so that --help answers at once.
"""

import difflib
import functools
import sys
from pathlib import Path

from samtl.cli.legacy import repair
from samtl.cli.methods import (
    WEIGHTS,
    add_joint_flags,
    add_manifold_flags,
    add_method_flags,
    choose,
    method,
    method_name,
)
from samtl.common.errors import UserError
from samtl.common.flags import (
    MODELS,
    Number,
    add_flag,
    address,
    boolean,
    dataset,
    labels,
    limit,
    model,
    parser,
    strength,
    task,
    task_list,
    weighted,
)

__all__ = [
    "WEIGHTS",
    "add_dataset_flags",
    "add_flag",
    "add_joint_flags",
    "add_manifold_flags",
    "add_method_flags",
    "add_run_flags",
    "add_task_flags",
    "add_training_flags",
    "boolean",
    "by_dataset",
    "check_datasets",
    "given_tasks",
    "limits",
    "loss_weights",
    "method",
    "method_name",
    "parse",
    "parser",
    "repair",
    "view_strength",
    "wanted_datasets",
]

LEARNING_RATES = {
    "mini_xception": 3e-3,
    "mini_resnet": 2e-3,
    "wide_resnet": 1e-3,
    "vggface": 1e-4,
}
LOSS_LETTERS = {"emotion": "E", "pose": "P", "gender": "G", "age": "A"}
DRAWN = {
    "emotion": "synthetic_emotion",
    "pose": "synthetic_pose",
    "gender": "synthetic_gender_age",
    "age": "synthetic_gender_age",
}
DEVICE_FLAGS = ("distribute", "coordinator", "num_processes", "process_id")
CHANGEABLE_ON_RESUME = ("data_dir", "cache_gb", *DEVICE_FLAGS)


def add_dataset_flags(parser, tasks):
    """Labelled datasets and a loss weight per task, and the tasks' mixing."""
    group = parser.add_argument_group(
        "tasks and their datasets",
        "Names in any case: ferplus or Fer+ ... Several datasets of one task\n"
        "must have the same classes. A task that none is given for is left\n"
        "out in joint training, and learned in alternating training, from the\n"
        "other tasks' datasets that are labelled for it too. Without any\n"
        "dataset: drawn faces.",
    )
    flag = functools.partial(add_flag, group)
    for name in tasks:
        text = f"datasets labelled for {name}"
        flag(f"dataset_{name}", dataset, None, text, many=True)
    text = (
        "labels that count, of datasets that carry more: mtfl:pose leaves "
        "MTFL's gender out and audits pseudo labels with it (default: all)"
    )
    flag("labels", labels, None, text, many=True, metavar="NAME:TASK")
    for name in tasks:
        text = f"weight of the {name} loss"
        flag(f"{LOSS_LETTERS[name]}_loss_weights", Number(float, 0), 1.0, text)
    text = "let the task layers exchange features (cross-stitch units)"
    flag("cross_stitch", boolean, False, text)


def add_task_flags(parser):
    """The one task, and its dataset, of single-task learning."""
    group = parser.add_argument_group("task and its dataset")
    flag = functools.partial(add_flag, group)
    flag("task_type", task, "emotion", f"number or name: {task_list()}")
    text = (
        "dataset labelled for the task, in any case: ferplus or Fer+ ... "
        "(default: drawn faces, synthetic_emotion for emotion and so on)"
    )
    flag("dataset", dataset, None, text)


def add_training_flags(parser):
    """The network and how it is trained."""
    group = parser.add_argument_group("network")
    flag = functools.partial(add_flag, group)
    flag("model", model, "mini_xception", f"{', '.join(MODELS)}, in any case")
    text = (
        "file of trained weights to start from, .keras, .h5 or .hdf5; heads "
        "that do not fit are left out"
    )
    flag("weights", Path, None, text)
    flag("is_dropout", boolean, False, "drop half of what the heads read")
    text = "batch normalisation in vggface; the small networks always have it"
    flag("is_bn", boolean, False, text)
    flag("weights_decay", Number(float, 0), 0.0, "L2 penalty on the kernels")
    text = "arithmetic of the network; auto takes the faster one"
    flag("precision", ("auto", "float32", "bfloat16"), "auto", text)

    group = parser.add_argument_group("training")
    flag = functools.partial(add_flag, group)
    text = "rounds; in alternating training each passes over one dataset"
    flag("epoch", Number(int, 1), 64, text)
    flag("batch_size", Number(int, 1), 32, "images per step")
    text = (
        "step size of Adam at the start; by default 0.003 for mini_xception, "
        "0.002 for mini_resnet, 0.001 for wide_resnet, 0.0001 for vggface"
    )
    flag("learning_rate", Number(float, 0, above=True), None, text)
    text = "learning rate over the rounds"
    flag("schedule", ("cosine", "constant"), "cosine", text)
    text = (
        "momentum per step of a moving average of the weights, which is then "
        "the teacher and the network that is evaluated and kept; 0: none"
    )
    flag("ema_momentum", Number(float, 0, 0.99999), 0.0, text)
    text = (
        "rounds without a better validation score before stopping, of the "
        "second stage where there is one (--no_freezing_epoch); 0: never"
    )
    flag("patience", Number(int, 0), 0, text)
    text = "random flips, shifts and the like; flips swap left and right poses"
    flag("is_augmentation", boolean, False, text)
    text = (
        "scales the random views of --is_augmentation, of every dataset or of "
        "one as in mtfl:2; 2 suits a few thousand images (default: 1)"
    )
    flag("augmentation_strength", strength, None, text, many=True)
    text = "freeze the trunk and train only the task layers and heads"
    flag("is_freezing", boolean, False, text)
    text = (
        "last rounds of --is_freezing that train the whole network, at a "
        "tenth of the learning rate"
    )
    flag("no_freezing_epoch", Number(int, 0), 0, text)
    text = (
        "weigh true labels by the rarity of their class: balanced for all "
        "tasks, or the tasks' names (default: none)"
    )
    flag("class_weights", weighted, None, text, many=True)
    text = (
        "statistics of batch normalisation outside training: estimated on "
        "all datasets mixed, or left as the last round made them"
    )
    flag("bn_statistics", ("mixed", "running"), "mixed", text)


def add_run_flags(parser):
    """What a run reads and where it writes."""
    group = parser.add_argument_group("run")
    flag = functools.partial(add_flag, group)
    flag("data_dir", Path, Path("data"), "folder of the prepared datasets")
    text = (
        "images of every dataset, or of one as in ferplus:1000, that are used "
        "for training, and at most for validation; 0: all (default: 0)"
    )
    flag("limit", limit, None, text, many=True)
    text = "train on the annotators' shares of votes where there are any"
    flag("votes", boolean, True, text)
    text = "disk space for decoded images, in GB; 0: decode every time"
    flag("cache_gb", Number(float, 0), 8.0, text)
    text = "seed of everything random"
    flag("seed", Number(int, 0, 2**32 - 1), 0, text)
    flag("runs", Path, Path("runs"), "folder of all runs")
    text = "folder of this run (default: a new one inside --runs)"
    flag("run_dir", Path, None, text)
    text = (
        "folder of a stopped run to go on with; all arguments come from it, "
        "only --data_dir, --cache_gb and the devices may be given anew"
    )
    flag("resume", Path, None, text)

    group = parser.add_argument_group(
        "devices",
        "One training on several devices: they share every batch, and the\n"
        "result is that of one. On several machines, or in several processes,\n"
        "the same command is given to each with its own --process_id; all see\n"
        "the same --runs.",
    )
    flag = functools.partial(add_flag, group)
    text = "auto: all devices of this machine, and of the other processes'"
    flag("distribute", ("none", "auto"), "none", text)
    text = (
        "where process 0 meets the others (KERAS_BACKEND=jax); no password "
        "guards it, so only within a network of your own"
    )
    flag("coordinator", address, None, text, metavar="HOST:PORT")
    flag("num_processes", Number(int, 1), 1, "processes that train together")
    flag("process_id", Number(int, 0), 0, "number of this process, from 0")


def parse(parser, argv=None, drawn=tuple(DRAWN)):
    """Repair, read and check a command line; print what was repaired.

    Args:
        parser: made by `parser` and any of the `add_..._flags`.
        argv: list of words; None takes those of the script.
        drawn: tasks that get drawn faces where no dataset is given.

    Returns:
        argparse.Namespace with final values: no method, learning rate or
        dataset is left open; paths are Path objects.

    Raises:
        UserError: a flag is unknown, out of range or contradicts another.
    """
    # argparse has no public list of a parser's flags.
    flags = [action.dest for action in parser._actions]
    words, notes = repair(sys.argv[1:] if argv is None else argv, flags)
    for note in notes:
        print(note)
    args, unknown = parser.parse_known_args(words)
    if unknown:
        raise UserError(_unknown(unknown[0], words, parser))
    _check_devices(args)
    if getattr(args, "resume", None):
        return _resumed(parser, args, words)
    _choose_datasets(args, drawn)
    if "learning_rate" in args:
        _check_training(args)
    if "is_pseudo" in args:
        choose(args)
    return args


def given_tasks(args, tasks):
    """Those of the tasks that a dataset is given for, at least two.

    Raises:
        UserError: there are fewer.
    """
    given = [name for name in tasks if getattr(args, f"dataset_{name}")]
    if len(given) < 2:
        others = [f"--dataset_{name}" for name in tasks if name not in given]
        raise UserError(
            f"--dataset_{given[0]} is one task alone; give another with "
            f"{', '.join(others[:-1])} or {others[-1]}"
        )
    return given


def by_dataset(args, flag, wanted):
    """[(dataset, value)] of a flag of words such as mtfl:pose.

    The dataset is "" where a word names none.

    Raises:
        UserError: it names one that is not among `wanted`.
    """
    found = []
    for words in getattr(args, flag, None) or ():
        name, _, value = words.rpartition(":")
        if name and name not in wanted:
            raise UserError(
                f"--{flag}={words} names a dataset that is not trained on; "
                f"these are: {', '.join(wanted)}"
            )
        if name in dict(found):
            what = f"{name} twice" if name else "all datasets twice"
            raise UserError(f"--{flag} names {what}; give one value for each")
        found.append((name, value))
    return found


def wanted_datasets(args, tasks):
    """{dataset: names of the tasks it is given for}, in the order of turns."""
    if hasattr(args, "dataset"):  # single-task learning has one
        return {args.dataset: list(tasks)}
    wanted = {}
    for label in tasks:
        for name in getattr(args, f"dataset_{label}") or ():
            wanted.setdefault(name, []).append(label)
    return wanted


def check_datasets(args, wanted):
    """Refuse values for datasets that these are not.

    Args:
        args: a script's arguments.
        wanted: from `wanted_datasets`.

    Raises:
        UserError: a flag names another dataset, or one twice, or --labels
            leaves out a task that its dataset is given for.
    """
    for flag in ("limit", "augmentation_strength"):
        by_dataset(args, flag, wanted)
    for name, counted in by_dataset(args, "labels", wanted):
        left_out = [t for t in wanted[name] if t not in counted.split(",")]
        if left_out:
            raise UserError(
                f"--labels leaves out {left_out[0]} of {name}, which "
                f"--dataset_{left_out[0]} asks for; take one of the two back"
            )


def limits(args, wanted):
    """{dataset: the most training images to use of it, 0 for all}."""
    return {name: int(_of_dataset(args.limit, name, 0)) for name in wanted}


def view_strength(args, name):
    """How strong a dataset's random views are, 0 for images as they are."""
    if not args.is_augmentation:
        return 0.0
    return float(_of_dataset(args.augmentation_strength, name, 1.0))


def _of_dataset(words, name, default):
    """The value among words such as 2 and mtfl:2 that is for a dataset."""
    values = dict(word.rpartition(":")[::2] for word in words or ())
    return values.get(name, values.get("", default))


def loss_weights(args, tasks):
    """The weight of each task's loss: {task name: float}."""
    return {
        name: getattr(args, f"{LOSS_LETTERS[name]}_loss_weights")
        for name in tasks
    }


def _unknown(word, words, parser):
    flags = {action.dest: action for action in parser._actions}
    name = word.lstrip("-").split("=")[0]
    before, _, value = words[max(words.index(word) - 1, 0)].partition("=")
    action = flags.get(before.lstrip("-"))
    if value and action and action.nargs == "+" and word[0] != "-":
        return (
            f"unexpected word {word!r}; several values are given without =: "
            f"{before} {value} {word}"
        )
    close = difflib.get_close_matches(name, flags, n=1)
    if close:
        return f"unknown flag {word.split('=')[0]}; did you mean --{close[0]}?"
    if word.startswith("-"):
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
    if (args.resume / "result.json").exists():
        raise UserError(
            f"{args.resume} is finished: its result.json is there; start a "
            "new run instead"
        )
    kept = vars(args).keys() - {"resume", *given, *DEVICE_FLAGS}
    missing = sorted(kept - saved.keys())
    if "script" in saved:  # by which `experiment.open_run` knows a run
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
        given = vars(parser.parse_args(words))
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


def _choose_datasets(args, drawn):
    """Without any dataset, take the drawn ones."""
    if "task_type" in args:
        args.dataset = args.dataset or DRAWN[args.task_type]
        return
    tasks = [name for name in DRAWN if f"dataset_{name}" in args]
    if not any(getattr(args, f"dataset_{name}") for name in tasks):
        for name in set(tasks) & set(drawn):
            setattr(args, f"dataset_{name}", [DRAWN[name]])


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
            f"--process_id={args.process_id} counts from 0 and must be below "
            f"--num_processes={args.num_processes}"
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
            f"--weights={args.weights} is no file; give an existing one"
        )

"""The door of every script: flags, their old spellings and their limits.

Each flag is declared once, with its unit, range and default. Keras is not
imported here, so that --help answers at once.
"""

import argparse
import difflib
import functools
import itertools
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from utils.errors import UserError

MODELS = ("mini_xception", "vggface")
LEARNING_RATES = {"mini_xception": 1e-3, "vggface": 1e-4}
TASK_NUMBERS = {"0": "emotion", "1": "age", "2": "gender", "10": "pose"}
LOSS_LETTERS = {"emotion": "E", "pose": "P", "gender": "G", "age": "A"}
WEIGHTS = ("confidence", "density", "distribution")
CHANGEABLE_ON_RESUME = ("data_dir", "cache_gb")


# Values


@dataclass(frozen=True)
class Number:
    """A number within limits; `above` excludes the lower one."""

    kind: type
    low: float
    high: float = math.inf
    above: bool = False

    def __call__(self, text):
        try:
            value = self.kind(text)
        except ValueError:
            value = math.nan
        inside = self.low < value if self.above else self.low <= value
        if not (inside and value <= self.high and math.isfinite(value)):
            raise argparse.ArgumentTypeError(f"{text!r} is not {self}")
        return value

    def __str__(self):
        noun = "a whole number" if self.kind is int else "a number"
        start = f"above {self.low:g}" if self.above else f"from {self.low:g}"
        end = "" if math.isinf(self.high) else f" to {self.high:g}"
        return f"{noun} {start}{end}"


def boolean(text):
    """True, 1 or yes; False, 0 or no; in any case."""
    word = text.lower()
    if word in ("true", "1", "yes"):
        return True
    if word in ("false", "0", "no"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is not True or False")


def dataset(text):
    """A dataset's name in lower case; Fer+ is ferplus."""
    choices = re.findall(r"[\w+]+", text)
    if re.search(r"[][{}<>|,]", text) and choices:
        names = [dataset(choice) for choice in choices]
        raise argparse.ArgumentTypeError(
            f"{text!r} is a placeholder; choose one of {', '.join(names)}"
        )
    name = text.lower().replace("+", "plus")
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise argparse.ArgumentTypeError(f"{text!r} is not a dataset's name")
    return name


def task(text):
    """A task's name, from its name in any case or its number."""
    name = TASK_NUMBERS.get(text, text.lower())
    if name not in LOSS_LETTERS:
        numbers = ", ".join(f"{k} {v}" for k, v in TASK_NUMBERS.items())
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {numbers}")
    return name


# Flags


class Parser(argparse.ArgumentParser):
    """Reports a mistake as a UserError instead of printing its usage."""

    def error(self, message):
        message = message.removeprefix("argument ")
        raise UserError(f"{message} (--help lists all flags)")


def parser(description, epilog):
    """A parser whose help shows `description` and `epilog` as written."""
    return Parser(
        description=description,
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=functools.partial(
            argparse.RawDescriptionHelpFormatter, width=80, max_help_position=26
        ),
    )


def add_flag(group, name, kind, default, text):
    """Declare --name. A boolean flag without a value means True.

    Args:
        group: a parser or one of its groups.
        kind: a function from text to value, or a tuple of choices.
        default: its value when not given; None leaves it to `parse`, and
            then `text` says what happens.
        text: the help, with the unit; range and default are added.
    """
    details = [] if default in (None, "") else [f"default: {default}"]
    options = {"type": kind, "metavar": "VALUE"}
    if kind is boolean:
        options.update(nargs="?", const=True, metavar="BOOL")
    elif isinstance(kind, tuple):
        options = {"type": str.lower, "choices": kind}
    elif isinstance(kind, Number):
        details.insert(0, str(kind))
        options["metavar"] = "N" if kind.kind is int else "X"
    elif kind is dataset:
        options["metavar"] = "NAME"
    elif kind is Path:
        options["metavar"] = "PATH"
    if details:
        text = f"{text} ({'; '.join(details)})"
    group.add_argument(f"--{name}", default=default, help=text, **options)


def add_dataset_flags(parser, tasks):
    """One labelled dataset and one loss weight per task, and their mixing."""
    group = parser.add_argument_group("tasks and their datasets")
    for name in tasks:
        add_flag(
            group,
            f"dataset_{name}",
            dataset,
            f"synthetic_{name}",
            f"dataset labelled for {name}, in any case: ferplus or Fer+ ...",
        )
    for name in tasks:
        add_flag(
            group,
            f"{LOSS_LETTERS[name]}_loss_weights",
            Number(float, 0),
            1.0,
            f"weight of the {name} loss",
        )
    add_flag(
        group,
        "cross_stitch",
        boolean,
        False,
        "let the task layers exchange features through cross-stitch units",
    )


def add_task_flags(parser):
    """The one task, and its dataset, of single-task learning."""
    group = parser.add_argument_group("task and its dataset")
    numbers = ", ".join(f"{k} {v}" for k, v in TASK_NUMBERS.items())
    add_flag(group, "task_type", task, "emotion", f"number or name: {numbers}")
    add_flag(
        group,
        "dataset",
        dataset,
        None,
        "dataset labelled for the task, in any case: ferplus or Fer+ ... "
        "(default: synthetic_emotion for emotion, and so on)",
    )


def add_training_flags(parser):
    """The network and how it is trained."""
    network = parser.add_argument_group("network")
    add_flag(network, "model", _model, "mini_xception", " or ".join(MODELS))
    add_flag(
        network,
        "weights",
        Path,
        None,
        "file of trained weights to start from (.keras, .h5 or .hdf5); "
        "heads of other classes are left out",
    )
    add_flag(network, "is_dropout", boolean, False, "dropout")
    add_flag(network, "is_bn", boolean, False, "batch normalisation")
    add_flag(
        network, "weights_decay", Number(float, 0), 0.0, "L2 weight penalty"
    )
    training = parser.add_argument_group("training")
    add_flag(
        training,
        "epoch",
        Number(int, 1),
        64,
        "rounds; in alternating training each passes over one dataset",
    )
    add_flag(training, "batch_size", Number(int, 1), 32, "images per step")
    add_flag(
        training,
        "learning_rate",
        Number(float, 0, above=True),
        None,
        "step size of Adam at the start, a number above 0 (default: 0.001 "
        "for mini_xception, 0.0001 for vggface)",
    )
    add_flag(
        training,
        "schedule",
        ("cosine", "constant"),
        "cosine",
        "learning rate over the rounds",
    )
    add_flag(
        training,
        "patience",
        Number(int, 0),
        0,
        "rounds without a better validation score before stopping; 0 never "
        "stops",
    )
    add_flag(
        training,
        "is_augmentation",
        boolean,
        False,
        "random flips, shifts and the like; flips swap left and right",
    )
    add_flag(
        training,
        "is_freezing",
        boolean,
        False,
        "train only task layers and heads, the trunk is frozen",
    )
    add_flag(
        training,
        "no_freezing_epoch",
        Number(int, 0),
        0,
        "last rounds of --is_freezing that train everything, at a tenth of "
        "the learning rate",
    )
    add_flag(
        training,
        "class_weights",
        ("none", "balanced"),
        "none",
        "weigh true labels by the rarity of their class",
    )
    add_flag(
        training,
        "bn_statistics",
        ("mixed", "running"),
        "mixed",
        "batch normalisation is evaluated with statistics of all datasets "
        "mixed, or with those left by the last round",
    )
    add_flag(
        training,
        "precision",
        ("auto", "float32", "bfloat16"),
        "auto",
        "arithmetic of the network; auto takes the faster one",
    )


def add_method_flags(parser):
    """How the labels that a dataset lacks are filled in."""
    group = parser.add_argument_group(
        "method",
        "Choose at most one of naive, distilled and pseudo; pseudo is the "
        "default. The old spelling pesudo is read as pseudo.",
    )
    add_flag(group, "is_naive", boolean, None, "leave missing labels out")
    add_flag(
        group, "is_distilled", boolean, None, "keep the teacher's predictions"
    )
    add_flag(
        group,
        "distill_t",
        Number(float, 1),
        2.0,
        "temperature of the teacher's predictions",
    )
    add_flag(
        group,
        "is_pseudo",
        boolean,
        None,
        "pseudo labels of the teacher (default: True unless naive or "
        "distilled is chosen)",
    )
    add_flag(
        group,
        "is_interpolation",
        boolean,
        False,
        "blend each pseudo label with the teacher's prediction by its weight, "
        "instead of choosing between the two",
    )
    add_flag(
        group,
        "interpolation_weights",
        Number(float, 0, 1),
        0.0,
        "constant blend; 0 blends by the weights",
    )
    add_flag(
        group,
        "selection_threshold",
        Number(float, 0, 1),
        0.8,
        "quantile of the weights above which a pseudo label is selected; 0 "
        "selects all",
    )
    for name in WEIGHTS:
        add_flag(
            group,
            f"is_pseudo_{name}",
            boolean,
            None,
            f"weigh pseudo labels by {name} (default: True with pseudo, "
            "unless another weight is chosen)",
        )
    add_flag(
        group,
        "density_t",
        Number(float, 0, 1),
        0.6,
        "quantile of the distances that bounds a neighbourhood",
    )
    add_flag(
        group,
        "cluster_k",
        Number(int, 0),
        3,
        "components of the Gaussian mixtures",
    )
    add_flag(
        group,
        "distribution_metric",
        ("both", "emd", "mmd"),
        "both",
        "distance between the mixtures",
    )
    add_flag(
        group,
        "gamma",
        Number(float, 0, above=True),
        1.0,
        "sharpness of the distribution weight",
    )
    add_flag(
        group,
        "gmm_scope",
        ("class", "all"),
        "class",
        "fit mixtures per class or over all classes",
    )


def add_run_flags(parser):
    """Where a run reads and writes, and what makes it repeatable."""
    group = parser.add_argument_group("run")
    add_flag(
        group, "data_dir", Path, Path("data"), "folder of prepared datasets"
    )
    add_flag(
        group,
        "limit",
        Number(int, 0),
        0,
        "training images used per dataset; 0 uses all",
    )
    add_flag(
        group,
        "votes",
        boolean,
        True,
        "train on the annotators' shares of votes where a dataset has them",
    )
    add_flag(
        group,
        "cache_gb",
        Number(float, 0),
        8.0,
        "disk space for decoded images, in GB; 0 decodes every time",
    )
    add_flag(
        group, "seed", Number(int, 0, 2**32 - 1), 0, "seed of all randomness"
    )
    add_flag(group, "runs", Path, Path("runs"), "folder of all runs")
    add_flag(
        group,
        "run_dir",
        Path,
        None,
        "folder of this run (default: a new one inside --runs)",
    )
    add_flag(
        group,
        "resume",
        Path,
        None,
        "folder of a stopped run to go on with; its arguments are kept, only "
        "--data_dir and --cache_gb may be given beside it",
    )


def _model(text):
    name = text.lower().replace("-", "_")
    if name not in MODELS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not {' or '.join(MODELS)}"
        )
    return name


# Reading


def repair(argv, flags=None):
    """Translate the spellings of published command lines.

    `pesudo` becomes pseudo; `distill_t=2` gets its dashes; flags run together
    are parted; a brace group of script names is dropped.

    Args:
        argv: list of words.
        flags: the flags' names, to tell a flag from a value that looks like
            one; None takes every name for a flag.

    Returns:
        (words, notes): the repaired words, and one line per repair.
    """
    argv, notes = _drop_braces(argv)
    words = []
    for word in argv:
        parts = _part(word.replace("pesudo", "pseudo"), flags)
        if parts != [word.replace("pesudo", "pseudo")]:
            notes.append(f"note: read {word!r} as {' '.join(parts)}")
        words += parts
    return words, notes


def parse(parser, argv=None):
    """Repair, read and check a command line; print what was repaired.

    Returns:
        argparse.Namespace with final values: no method or learning rate is
        left open, paths are Path objects.

    Raises:
        UserError: a flag is unknown, out of range or contradicts another.
    """
    # argparse has no public list of a parser's flags.
    flags = [action.dest for action in parser._actions]
    argv = sys.argv[1:] if argv is None else list(argv)
    words, notes = repair(argv, flags)
    for note in notes:
        print(note)
    args, unknown = parser.parse_known_args(words)
    if unknown:
        raise UserError(_unknown(unknown[0], flags))
    if getattr(args, "resume", None):
        return _resumed(args, words)
    if "learning_rate" in args:
        _check_training(args)
    if "is_pseudo" in args:
        _check_method(args)
    if "task_type" in args and args.dataset is None:
        args.dataset = f"synthetic_{args.task_type}"
    return args


def method(args):
    """The chosen utils.pseudo.Method."""
    # Imported here because utils.pseudo loads Keras, which takes seconds.
    from utils.pseudo import Method

    return Method(
        kind=_kind(args),
        distill_t=args.distill_t,
        selection_threshold=args.selection_threshold,
        interpolation_weights=args.interpolation_weights,
        confidence=args.is_pseudo_confidence,
        density=args.is_pseudo_density,
        density_t=args.density_t,
        distribution=args.is_pseudo_distribution,
        cluster_k=args.cluster_k,
        distribution_metric=args.distribution_metric,
        gamma=args.gamma,
        gmm_scope=args.gmm_scope,
    )


def method_name(args):
    """A short name for folders and tables: sa-mtl-hard, dml-lwf, naive ..."""
    kind = _kind(args)
    if kind == "naive":
        return "naive"
    if kind == "distilled":
        return "dml-lwf" if args.distill_t == 1 else "distilled"
    if args.interpolation_weights > 0:
        return "interpolation-constant"
    chosen = [name for name in WEIGHTS if getattr(args, f"is_pseudo_{name}")]
    if not chosen:
        return "pseudo"
    if len(chosen) == len(WEIGHTS):
        return f"sa-mtl-{kind}"
    return "-".join([kind, *chosen])


def loss_weights(args, tasks):
    """The weight of each task's loss, by task name."""
    return {
        name: getattr(args, f"{LOSS_LETTERS[name]}_loss_weights")
        for name in tasks
    }


def _drop_braces(argv):
    words, dropped = [], []
    inside = False
    for word in argv:
        inside = inside or word.startswith("{")
        (dropped if inside else words).append(word)
        inside = inside and not word.endswith("}")
    if not dropped:
        return words, []
    note = f"note: dropped '{' '.join(dropped)}'"
    if not words:
        note += "; no flags follow, they belong on the same line"
    return words, [note]


def _part(word, flags):
    """`--a=1--b=2` -> [--a=1, --b=2]; `a=1` -> [--a=1]."""

    def known(name):
        return flags is None or name in flags

    bare = re.match(r"([A-Za-z]\w*)=", word)
    if bare and known(bare[1]):
        word = f"--{word}"
    if not word.startswith("--"):
        return [word]
    starts = [
        match.start()
        for match in re.finditer(r"--([A-Za-z]\w*)(?==|--|$)", word)
        if match.start() == 0 or known(match[1])
    ]
    edges = [0, *[start for start in starts if start], len(word)]
    return [word[a:b] for a, b in itertools.pairwise(edges)]


def _unknown(word, flags):
    name = word.lstrip("-\u2013\u2014").split("=")[0]
    close = difflib.get_close_matches(name, flags, n=1)
    hint = f"did you mean --{close[0]}?" if close else "--help lists all flags"
    if word.startswith("--") or close:
        return f"unknown flag {word.split('=')[0]!r}; {hint}"
    return f"unexpected word {word!r}; write flags as --name=value"


def _resumed(args, words):
    """The arguments of the stopped run, with what may change replaced."""
    # Imported here because utils.runs loads plotting libraries.
    from utils import runs

    given = [word[2:].split("=")[0] for word in words if word[:2] == "--"]
    for name in given:
        if name not in ("resume", *CHANGEABLE_ON_RESUME):
            raise UserError(
                f"--{name} cannot be changed by --resume, which takes all "
                "arguments from the run; give only --data_dir or --cache_gb"
            )
    saved = runs.read_args(args.resume)
    if not saved.keys() >= vars(args).keys() - {"resume"}:
        raise UserError(
            f"{args.resume} is a run of another script; resume it with the "
            "script that it names"
        )
    for name in vars(args).keys() - {"resume"}:
        if name not in CHANGEABLE_ON_RESUME or name not in given:
            is_path = isinstance(getattr(args, name), Path) and saved[name]
            value = Path(saved[name]) if is_path else saved[name]
            setattr(args, name, value)
    return args


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
            f"--no_freezing_epoch={args.no_freezing_epoch} exceeds "
            f"--epoch={args.epoch}; give at most as many"
        )
    if args.weights and not args.weights.is_file():
        raise UserError(
            f"--weights={args.weights} is not a file; name one that exists"
        )


def _check_method(args):
    """Fill in the open method flags and refuse contradictions."""
    if args.is_pseudo is None:
        args.is_pseudo = not (args.is_naive or args.is_distilled)
    args.is_naive = bool(args.is_naive)
    args.is_distilled = bool(args.is_distilled)
    flags = [f"is_pseudo_{name}" for name in WEIGHTS]
    some = any(getattr(args, flag) for flag in flags)
    for flag in flags:
        if getattr(args, flag) is None:
            setattr(args, flag, args.is_pseudo and not some)

    chosen = [
        flag
        for flag in ("is_naive", "is_distilled", "is_pseudo")
        if getattr(args, flag)
    ]
    extras = [
        flag for flag in ("is_interpolation", *flags) if getattr(args, flag)
    ]
    if len(chosen) != 1 or (extras and not args.is_pseudo):
        got = " and ".join([*chosen, *extras]) or "none"
        raise UserError(
            f"no such method ({got}); choose --is_naive=True, "
            "--is_distilled=True or --is_pseudo=True, the last with or "
            "without --is_interpolation and --is_pseudo_confidence, _density, "
            "_distribution"
        )
    if args.interpolation_weights and not args.is_interpolation:
        raise UserError(
            f"--interpolation_weights={args.interpolation_weights:g} needs "
            "--is_interpolation=True"
        )
    if args.is_pseudo_density and args.density_t == 0:
        raise UserError("--density_t=0 has no neighbours; give above 0 to 1")
    if args.is_pseudo_distribution and args.cluster_k == 0:
        raise UserError("--cluster_k=0 has no mixture; give at least 1")


def _kind(args):
    if args.is_naive:
        return "naive"
    if args.is_distilled:
        return "distilled"
    return "interpolation" if args.is_interpolation else "hard"

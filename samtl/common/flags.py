"""How a flag is declared, and the values that flags take."""

import argparse
import copy
import functools
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from samtl.common import configuration
from samtl.common.errors import UserError

CONFIG = "--config"
MODELS = ("mini_xception", "mini_resnet", "wide_resnet", "vggface")
TASK_NUMBERS = {"0": "emotion", "1": "age", "2": "gender", "10": "pose"}


@dataclass(frozen=True)
class Number:
    """A finite number within limits; `above` excludes the lower one."""

    kind: type
    low: float
    high: float = math.inf
    above: bool = False

    def __call__(self, text):
        try:
            value = self.kind(text)
            is_finite = math.isfinite(value)
        except (ValueError, OverflowError):  # whole numbers of 309 digits
            value, is_finite = math.nan, False
        inside = self.low < value if self.above else self.low <= value
        if not (inside and value <= self.high and is_finite):
            raise argparse.ArgumentTypeError(f"{text!r} is not {self}")
        return value

    def __str__(self):
        noun = "a whole number" if self.kind is int else "a number"
        if not math.isinf(self.high):
            return f"{noun} from {self.low} to {self.high}"
        limit = "above" if self.above else "of at least"
        return f"{noun} {limit} {self.low}"


def boolean(text: str) -> bool:
    """True, 1 or yes; False, 0 or no; in any case."""
    word = text.lower()
    if word in ("true", "1", "yes"):
        return True
    if word in ("false", "0", "no"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is not True or False")


def address(text: str) -> str:
    """A machine and a port, HOST:PORT."""
    if is_address(text):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")


address.metavar = "HOST:PORT"


def is_address(text: str) -> bool:
    """Whether a text is HOST:PORT, with a port from 1 to 65535."""
    match = re.fullmatch(r"\S+:([0-9]{1,5})", text)
    return bool(match) and 0 < int(match[1]) < 2**16


def dataset(text: str) -> str:
    """A dataset's name in lower case; Fer+ is ferplus."""
    choices = re.findall(r"[\w+]+", text)
    if re.search(r"[][{}<>|,]", text) and choices:
        names = [dataset(choice) for choice in choices]
        raise argparse.ArgumentTypeError(
            f"{text!r} is a placeholder; choose one of {', '.join(names)}"
        )
    name = text.lower().replace("+", "plus")
    # One that starts with a dash would be taken for a flag.
    if not re.fullmatch(r"\w[\w-]*", name):
        raise argparse.ArgumentTypeError(f"{text!r} is not a dataset's name")
    return name


def task(text: str) -> str:
    """A task's name, from its name in any case or its number."""
    name = TASK_NUMBERS.get(text, text.lower())
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the name of a task: {task_list()}, or one of "
            "your own in letters, digits and _"
        )
    return name


def weighted(text: str) -> str:
    """A task whose classes are weighted, or none, or balanced for all."""
    word = text.lower()
    return word if word in ("none", "balanced") else task(text)


def task_list() -> str:
    """The tasks with their numbers, as shown in help and errors."""
    return ", ".join(f"{k} {name}" for k, name in TASK_NUMBERS.items())


def model(text: str) -> str:
    """A network's name in lower case."""
    name = text.lower().replace("-", "_")
    if name not in MODELS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {MODELS}")
    return name


class Parser(argparse.ArgumentParser):
    """Reports a mistake as a UserError instead of printing its usage.

    family: what kind of training the script does, `cli.methods.Family`, where
        it has flags of methods.
    dataset_group: the group of its flags --dataset_<task>, where it has any.
    usual: beginnings of the flags that --help shows, where it leaves the others
        to --help_all; empty where it shows all.
    """

    family = None
    dataset_group = None
    usual = ()

    def parse_known_args(self, args=None, namespace=None):
        args = self.expanded(sys.argv[1:] if args is None else args)
        self._check_values(args)
        return super().parse_known_args(args, namespace)

    def _check_values(self, words):
        """Refuse --FLAG=--, which argparse takes for a flag without a value."""
        for word in words:
            flag, _, value = word.partition("=")
            if flag.startswith("--") and value == "--":
                self.error(f"{flag}: '--' is not a value")

    def expanded(self, words: list[str]) -> list[str]:
        """A command line with the flags of its --config in front.

        Flags that are given themselves replace the file's.

        Raises:
            UserError: the file cannot be read, or does not hold flags.
        """
        self._check_values(words)
        place = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        place.error = self.error
        place.add_argument(CONFIG, type=Path)
        found, others = place.parse_known_args(words)
        if found.config is None:
            return words
        given = {word.lstrip("-").partition("=")[0] for word in others}
        return [
            *self._words(configuration.read(found.config), given),
            *others,
        ]

    def _words(self, values, given):
        """Values of flags as a command line, without those of `given`."""
        for name, value in values.items():
            if name in given or value is None:
                continue
            action = self._option_string_actions.get(f"--{name}")
            if action and action.nargs == 0:
                yield from [f"--{name}"] if value is True else []
            else:
                several = value if isinstance(value, list) else [value]
                yield from (f"--{name}={one}" for one in several)

    def format_help(self):
        shown = copy.copy(self)
        shown.usage = self._short_usage()
        if not self.usual:
            return super(Parser, shown).format_help()
        shown._actions = [a for a in self._actions if self._is_usual(a)]
        shown._action_groups = []
        for group in self._action_groups:
            part = copy.copy(group)
            part._group_actions = [
                a for a in group._group_actions if self._is_usual(a)
            ]
            if part._group_actions:
                shown._action_groups.append(part)
        return super(Parser, shown).format_help()

    def _short_usage(self):
        """What must be given, and that there are flags."""
        words = ["%(prog)s"]
        for action in self._actions:
            if not action.option_strings:
                words.append(_positional(action))
            elif action.required:
                words.append(f"{action.option_strings[0]} {action.metavar}")
        return " ".join([*words, "[--FLAG=VALUE ...]"])

    def _is_usual(self, action):
        return action.dest.startswith((*self.usual, "help", "config"))

    def error(self, message):
        message = message.removeprefix("argument ")
        raise UserError(f"{message} (--help lists all flags)")


def _positional(action):
    name = action.metavar or action.dest.upper()
    return f"[{name} ...]" if action.nargs == "*" else name


def parser(description: str, epilog: str | None) -> Parser:
    """A parser whose help shows `description` and `epilog` as written."""
    made = Parser(
        description=description,
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=functools.partial(
            argparse.RawDescriptionHelpFormatter, width=80, max_help_position=26
        ),
    )
    text = (
        "TOML file of flags, or the args.json of a run; flags that are given "
        "replace its"
    )
    # Never a value: `expanded` puts the file's flags in its place.
    made.add_argument(
        CONFIG, metavar="FILE", default=argparse.SUPPRESS, help=text
    )
    return made


def shorten_help(parser: Parser, usual: tuple[str, ...]) -> None:
    """Let --help show the flags that begin with `usual`, --help_all all."""
    parser.usual = usual
    parser.add_argument(
        "--help_all",
        action=_HelpAll,
        nargs=0,
        default=argparse.SUPPRESS,
        help="show all flags and exit",
    )


class _HelpAll(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        parser.usual = ()
        parser.print_help()
        parser.exit()


def labels(text: str) -> str:
    """Labels that count, as in mtfl:pose or utkface:gender,age."""
    name, colon, names = text.partition(":")
    tasks = [task(part) for part in names.split(",")] if names else []
    if not (colon and tasks):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME:TASK or NAME:TASK,TASK, as in mtfl:pose"
        )
    return f"{dataset(name)}:{','.join(tasks)}"


labels.metavar = "NAME:TASK"


@dataclass(frozen=True)
class ByDataset:
    """A number for every dataset or, as in ferplus:1000, for one; as text."""

    number: Number

    def __call__(self, text):
        name, colon, value = text.rpartition(":")
        value = self.number(value)
        return f"{dataset(name)}:{value}" if colon else str(value)


def loss_weight(text: str) -> str:
    """A task and the weight of its loss, as in smile:0.5."""
    name, colon, value = text.rpartition(":")
    if not colon:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not TASK:WEIGHT, as in smile:0.5"
        )
    return f"{task(name)}:{Number(float, 0)(value)}"


loss_weight.metavar = "TASK:X"


def pseudo_loss_weight(text: str) -> str:
    """A weight for all tasks or, as in emotion:0.1, for one."""
    return loss_weight(text) if ":" in text else str(Number(float, 0)(text))


pseudo_loss_weight.metavar = "X|TASK:X"


batch_size = ByDataset(Number(int, 1))
limit = ByDataset(Number(int, 0))
strength = ByDataset(Number(float, 0, above=True))


def add_flag(
    group,
    name: str,
    kind: Callable | tuple[str, ...],
    default,
    text: str,
    many: bool = False,
) -> None:
    """Declare --name. A boolean flag without a value means True.

    Args:
        group: a parser or one of its groups.
        kind: a function from text to value, or a tuple of choices. The help
            shows the function's attribute `metavar` for a value.
        default: its value when not given; None leaves it open, and then
            `text` says what happens.
        text: the help, with the unit; range and default are added.
        many: takes one value or several, and may be repeated; the value is a
            list.
    """
    options = {"type": kind, "metavar": getattr(kind, "metavar", "NAME")}
    if kind is boolean:
        options.update(nargs="?", const=True, metavar="BOOL")
    elif isinstance(kind, tuple):
        options = {"type": str.lower, "choices": kind}
    elif isinstance(kind, Number):
        options["metavar"] = "N" if kind.kind is int else "X"
    elif isinstance(kind, ByDataset):
        options["metavar"] = "N|NAME:N"
    elif kind in (Path, str):
        options["metavar"] = "PATH"
    if many:
        options.update(nargs="+", action="extend")
    details = [str(kind)] if isinstance(kind, Number) else []
    if default is not None:
        details.append(f"default: {default}")
    if details:
        text = f"{text} ({'; '.join(details)})"
    group.add_argument(f"--{name}", default=default, help=text, **options)

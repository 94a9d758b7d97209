"""From the flags of a plan to the command lines of the scripts."""

import itertools
from typing import NamedTuple

from samtl.cli import command_line
from samtl.common.errors import UserError
from samtl.data.tasks import ordered

SCRIPTS = {
    "single": "STL_general_train",
    "alternating": "ALTERNATIVE_{letters}",
    "joint": "CONFUSION_EP_multitask",
    "manifold": "CONFUSION_EP_multitask_manifold",
}
ALTERNATING = ("EP", "EA", "EGA", "EPGA")  # letters of tasks with a script
OTHERS = "{others}"  # pools: the pair's datasets of other tasks


class Training(NamedTuple):
    """A command line: the script's module, its tasks, and its words."""

    script: str
    tasks: tuple[str, ...]
    words: tuple[str, ...]


def trainings(flags: dict) -> list[Training]:
    """The trainings that flags describe.

    One for each task where the family is single, else one. All go over every
    dataset `passes` times.

    Args:
        flags: of a method on a pair, with family, title and passes.

    Raises:
        UserError: the family does not train such a pair.
    """
    flags = dict(flags)
    passes, family = flags.pop("passes"), flags.pop("family")
    del flags["title"]
    flags.pop("unequal", None)  # a remark, see `protocol`
    pools = listed(flags.get("unlabelled", []))
    prefix = "dataset_"
    given = [f.removeprefix(prefix) for f in flags if f.startswith(prefix)]
    datasets = {
        task: listed(flags.pop(f"{prefix}{task}")) for task in ordered(given)
    }
    if family != "single" and len(datasets) == 1 and not pools:
        raise UserError(
            f"a pair of {', '.join(datasets)} alone is for the family single; "
            "give it a dataset of another task"
        )
    if family != "single":
        if OTHERS in pools:
            raise UserError(
                f"{OTHERS} is for the family single; name the pools"
            )
        names = list(
            dict.fromkeys([*itertools.chain(*datasets.values()), *pools])
        )
        rounds = passes * (len(names) if family == "alternating" else 1)
        first = {f"dataset_{task}": datasets[task] for task in datasets}
        words = _words({**first, "epoch": rounds, **flags}, names)
        return [Training(_script(family, datasets), tuple(datasets), words)]
    flags.pop("labels", None)
    found = []
    for task, names in datasets.items():
        if len(names) > 1:
            raise UserError(
                f"single-task training takes one dataset, and {task} has "
                f"{', '.join(names)}; remove the family single from this plan"
            )
        own = _pools(pools, names, datasets)
        rounds = passes * (1 + len(own))
        first = {"dataset": names, "task_type": task, "epoch": rounds}
        flags["unlabelled"] = own
        words = _words({**first, **flags}, [*names, *own])
        found.append(Training(_script(family, datasets), (task,), words))
    return found


def _pools(pools, names, datasets):
    """Names of the pools, where OTHERS are the datasets but for `names`."""
    others = dict.fromkeys(itertools.chain(*datasets.values()))
    return [
        name
        for pool in pools
        for name in (others if pool == OTHERS else [pool])
        if pool != OTHERS or name not in names
    ]


def _script(family, tasks):
    known = command_line.LOSS_LETTERS
    letters = "".join(known[task] for task in known if task in tasks)
    is_general = letters not in ALTERNATING or not known.keys() >= set(tasks)
    if family == "alternating" and is_general:
        return "ALTERNATIVE_general_train"
    return SCRIPTS[family].format(letters=letters)


def listed(value) -> list:
    """A value, or those of a list, as a list."""
    return list(value) if isinstance(value, list) else [value]


def _words(flags, datasets):
    """A command line: {"a": 1, "b": [2, 3]} is --a=1 --b 2 3.

    A dict has the values for datasets, "" for all of them. Those for datasets
    of other runs are skipped: {"c": {"mtfl": 4}} is --c=mtfl:4.
    """
    words = []
    for flag, value in flags.items():
        if isinstance(value, dict):
            value = [
                f"{name}:{part}" if name else part
                for name, part in value.items()
                if not name or name in datasets
            ]
        values = [str(part) for part in listed(value)]
        if len(values) == 1:
            words.append(f"--{flag}={values[0]}")
        elif values:
            words += [f"--{flag}", *values]
    return tuple(words)

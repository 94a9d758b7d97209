"""The plan of a comparison: a TOML file, and the runs that it stands for.

    seeds = [0, 1, 2]

    [settings]                  # common to all runs
    passes = 16                 # over every dataset, in every run
    limit = { ferplus = 1000 }  # training images, where not all are used
    batch_size = 32             # any other key is a flag of the scripts

    [pairs.emotion-pose]        # the datasets of each task, and --labels
    dataset_emotion = "ferplus"
    dataset_pose = "mtfl"

    [methods.dml-lwf]
    title = "DML-LWF"           # in tables and figures
    family = "alternating"      # or single, joint, manifold
    is_distilled = true         # any other key is a flag of the scripts
    distill_t = 1

A method's flag goes before a pair's, and that before a setting. Keras is not
imported here, so that --dry_run answers at once.
"""

import importlib
import itertools
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

from utils import cli, tables
from utils.errors import UserError

FAMILIES = {
    "single": "STL_general_train",
    "alternating": "ALTERNATIVE_{letters}",
    "joint": "CONFUSION_EP_multitask",
    "manifold": "CONFUSION_EP_multitask_manifold",
}
ALTERNATING = ("EP", "EA", "EGA", "EPGA")  # letters of tasks with a script
PARTS = {"seeds": list, "settings": dict, "pairs": dict, "methods": dict}


@dataclass(frozen=True)
class Run:
    """One training of the comparison.

    Attributes:
        pair, method: names in the plan.
        title: of the method.
        seed: of the run.
        tasks: names of the tasks that it counts for.
        datasets: names of the datasets that it trains on.
        script: module of the script that trains it.
        words: its command line without folders, list of str.
        folder: of the run, relative to the comparison's.
    """

    pair: str
    method: str
    title: str
    seed: int
    tasks: tuple[str, ...]
    datasets: tuple[str, ...]
    script: str
    words: tuple[str, ...]
    folder: Path

    def parse(self, *words):
        """The script's arguments for this run, as `cli.parse` settles them."""
        parser = importlib.import_module(self.script).parser()
        return cli.parse(parser, [*self.words, *words])


def load(path):
    """Read a plan.

    Returns:
        dict: seeds, settings, pairs and methods as in the file.

    Raises:
        UserError: the file cannot be read or is no plan.
    """
    try:
        plan = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot read the plan {path}: {reason}; those of the repository "
            "are in plans/"
        ) from error
    for name, kind in PARTS.items():
        if not isinstance(plan.get(name), kind) or not plan[name]:
            raise UserError(
                f"{path} has no {name}; plans/smallest.toml shows all parts"
            )
    strange = [name for name in plan if name not in PARTS]
    if strange:
        raise UserError(
            f"{path}: {strange[0]} is none of {', '.join(PARTS)}; flags go "
            "under [settings], a pair or a method"
        )
    for name, method in plan["methods"].items():
        if method.get("family") not in FAMILIES or "title" not in method:
            raise UserError(
                f"{path}: method {name} needs a title and a family, one of "
                f"{', '.join(FAMILIES)}"
            )
    if "passes" not in plan["settings"]:
        raise UserError(
            f"{path}: [settings] needs passes, how often every run goes over "
            "each dataset"
        )
    return plan


def runs(plan, seeds=None, limit=None):
    """The runs that a plan stands for, one seed after the other.

    Args:
        plan: as `load` gives it.
        seeds: these instead of the plan's.
        limit: words of --limit instead of the plan's.

    Returns:
        list of Run. Those of a single task that several pairs share have one
        folder, that of the first pair.

    Raises:
        UserError: a pair has no script, or a flag is wrong; it names both.
    """
    found, folders = [], {}
    for seed, (pair, flags), (method, facts) in itertools.product(
        plan["seeds"] if seeds is None else seeds,
        plan["pairs"].items(),
        plan["methods"].items(),
    ):
        settings = dict(plan["settings"])
        if limit is not None:
            settings["limit"] = limit
        try:
            parts = _parts(settings, flags, facts)
            for script, tasks, datasets, chosen in parts:
                words = tuple(_words({**chosen, "seed": seed}))
                folder = Path("runs", pair, method, f"seed{seed}")
                if facts["family"] == "single":
                    folder = folders.setdefault(words, folder / tasks[0])
                run = Run(
                    pair,
                    method,
                    facts["title"],
                    seed,
                    tasks,
                    datasets,
                    script,
                    words,
                    folder,
                )
                run.parse()
                found.append(run)
        except UserError as error:
            raise UserError(f"{method} on {pair}: {error}") from error
    return found


def command(run, *words):
    """The command line of a run, to be pasted into a shell."""
    return shlex.join(["python", f"{run.script}.py", *run.words, *words])


def _parts(settings, pair, method):
    """The trainings of a method on a pair: (script, tasks, datasets, flags)."""
    given = {**settings, **pair, **method}
    limit = given.pop("limit", None)
    passes, family = given.pop("passes"), given.pop("family")
    del given["title"]
    datasets = {
        task: _listed(given.pop(f"dataset_{task}"))
        for task in tables.ORDER
        if f"dataset_{task}" in given
    }
    everything = tuple(dict.fromkeys(itertools.chain(*datasets.values())))
    if family == "single":
        given.pop("labels", None)
        return [
            (
                FAMILIES[family],
                (task,),
                tuple(names),
                {
                    "dataset": _only(names, task),
                    "task_type": task,
                    "epoch": passes,
                    "limit": _limit(limit, names),
                    **given,
                },
            )
            for task, names in datasets.items()
        ]
    turns = len(everything) if family == "alternating" else 1
    flags = {
        **{f"dataset_{task}": names for task, names in datasets.items()},
        "epoch": passes * turns,
        "limit": _limit(limit, everything),
        **given,
    }
    script = _script(family, datasets)
    return [(script, tuple(datasets), everything, flags)]


def _script(family, tasks):
    letters = "".join(
        letter for task, letter in cli.LOSS_LETTERS.items() if task in tasks
    )
    if family == "alternating" and letters not in ALTERNATING:
        raise UserError(
            f"no script alternates between {' and '.join(tasks)}; the scripts "
            f"are ALTERNATIVE_ {', '.join(ALTERNATING)}"
        )
    return FAMILIES[family].format(letters=letters)


def _limit(limit, names):
    """The words of --limit that concern these datasets."""
    if isinstance(limit, dict):
        return [f"{name}:{limit[name]}" for name in names if name in limit]
    return [
        word
        for word in map(str, _listed(limit))
        if ":" not in word or word.partition(":")[0] in names
    ]


def _only(names, task):
    if len(names) > 1:
        raise UserError(
            f"single-task training takes one dataset of {task}, not "
            f"{' and '.join(names)}"
        )
    return names[0]


def _listed(value):
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _words(flags):
    """A command line: {"a": 1, "b": [2, 3]} is --a=1 --b 2 3."""
    for name, value in flags.items():
        if not isinstance(value, list):
            yield f"--{name}={value}"
        elif len(value) == 1:
            yield f"--{name}={value[0]}"
        elif value:
            yield from (f"--{name}", *map(str, value))

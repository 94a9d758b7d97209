"""The plan of a comparison: a TOML file, and the runs that it describes.

    seeds = [0, 1, 2]

    [settings]                  # common to all runs
    passes = 16                 # over every dataset, whatever the method
    batch_size = 32             # any other key is a flag of the scripts
    limit = { ferplus = 1000 }  # with a value for some of the datasets

    [pairs.emotion-pose]        # the datasets of each task, and --labels
    dataset_emotion = "ferplus"
    dataset_pose = "mtfl"

    [methods.dml-lwf]
    title = "DML-LWF"           # in tables and figures
    family = "alternating"      # or single, joint, manifold
    is_distilled = true         # any other key is a flag of the scripts
    distill_t = 1

A flag of a method overrides that of the pair, which overrides that of the
settings. Text may contain the run's {pair} and {seed}:
teacher = "runs/{pair}/seed{seed}/best.onnx".
For a single task, unlabelled = "{others}" are the pair's other datasets.
Keras is not imported here, so that --dry_run answers at once.
"""

import argparse
import importlib
import itertools
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

from samtl.cli import command_line
from samtl.common import files
from samtl.common.errors import UserError, reason
from samtl.common.flags import dataset
from samtl.common.text import printable
from samtl.comparison.trainings import OTHERS, SCRIPTS, listed, trainings

COMPARE_FLAGS = (  # compare.py sets them
    *("epoch", "seed", "data_dir", "runs", "run_dir", "resume"),
    *("dataset", "task_type"),
)
KEYS = {"seeds": list, "settings": dict, "pairs": dict, "methods": dict}
TRIALS = {"trial_seeds": list, "trials": dict}  # see `tuning`


@dataclass(frozen=True)
class Run:
    """One training of the comparison.

    Attributes:
        pair, method: names in the plan.
        title: of the method.
        seed: of the run.
        tasks: names of the tasks that it counts for.
        folder: of the run, relative to the comparison's.
        script: module that trains it.
        words: command line of the script, without folders.
        args: the parsed command line.
    """

    pair: str
    method: str
    title: str
    seed: int
    tasks: tuple[str, ...]
    folder: Path
    script: str
    words: tuple[str, ...]
    args: argparse.Namespace

    @property
    def datasets(self) -> list[str]:
        """Names of the datasets that it trains on, in their order."""
        return list(command_line.wanted_datasets(self.args, self.tasks))

    @property
    def command(self) -> str:
        """The command line that trains it, without folders."""
        script = self.script.rpartition(".")[2]
        return shlex.join(["python", f"{script}.py", *self.words])


def read_plan(path: Path) -> dict:
    """Read a plan.

    Returns:
        dict: seeds, settings, pairs and methods as in the file, datasets by
        their canonical names (Fer+ is ferplus).

    Raises:
        UserError: the file cannot be read or is not a plan.
    """
    try:
        plan = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"cannot read the plan {path}: {reason(error)}; plans/ has some to "
            "start from"
        ) from error
    fault = _fault(plan)
    if fault:
        raise UserError(f"{path}: {fault}; see plans/smallest.toml")
    try:
        for _, group in _groups(plan):
            _name_datasets(group)
    except argparse.ArgumentTypeError as error:
        raise UserError(f"{path}: {error}; see plans/smallest.toml") from error
    return plan


def override(
    plan: dict, seeds: list[int] | None = None, limit: list[str] | None = None
) -> dict:
    """A plan with the seeds and limits of a command line.

    Args:
        plan: from `read_plan`.
        seeds: replace the plan's; None keeps them.
        limit: words of --limit, which replace all limits of the plan; None
            keeps them.

    Raises:
        UserError: the limit is for a dataset of no pair, or for one twice.
    """
    if seeds is not None:
        plan = plan | {"seeds": seeds}
    if limit is None:
        return plan
    words = argparse.Namespace(limit=limit)
    limits = command_line.by_dataset(words, "limit", _used(plan))
    groups = {
        key: {
            name: {flag: group[flag] for flag in group if flag != "limit"}
            for name, group in plan[key].items()
        }
        for key in ("pairs", "methods")
    }
    limits = {name: int(images) for name, images in limits}
    is_common = list(limits) == [""]
    settings = plan["settings"] | {"limit": limits[""] if is_common else limits}
    return plan | groups | {"settings": settings}


def write_plan(plan: dict, source: Path, path: Path) -> None:
    """Write a plan as TOML.

    Args:
        plan: from `override`.
        source: file that the plan was read from; its text is kept apart from
            the values that were overridden.
        path: to write to; may be the same.

    Raises:
        UserError: it cannot be written.
    """
    text = Path(source).read_text(encoding="utf-8")
    own = read_plan(source)
    if own != plan:
        # It takes a while to load; a list of runs should not wait for it.
        import tomlkit

        # The text of a plan of trials is not that of its source.
        if own["methods"].keys() != plan["methods"].keys():
            text = tomlkit.dumps(plan)
        else:
            document = tomlkit.parse(text)
            _override(document, own, plan)
            text = tomlkit.dumps(document)
    with files.write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def runs(plan: dict) -> list[Run]:
    """The runs that a plan describes, all of a seed before the next.

    Args:
        plan: from `read_plan` or `override`.

    Returns:
        the runs, each with a folder of its own.

    Raises:
        UserError: no script trains such a pair, or a flag is wrong.
    """
    _check_names(plan)
    found = []
    for seed, (pair, datasets), (method, facts) in itertools.product(
        dict.fromkeys(plan["seeds"]),
        plan["pairs"].items(),
        plan["methods"].items(),
    ):
        flags = {**plan["settings"], **datasets, **facts, "seed": seed}
        flags = {
            flag: _placed(value, pair, seed) for flag, value in flags.items()
        }
        try:
            for script, tasks, words in trainings(flags):
                folder = Path("runs", pair, method, f"seed{seed}")
                if facts["family"] == "single":
                    folder /= tasks[0]
                parser = importlib.import_module(script).parser()
                args = command_line.parse(parser, list(words))
                command_line.check_datasets(
                    args, command_line.wanted_datasets(args, tasks)
                )
                found.append(
                    Run(
                        pair,
                        method,
                        facts["title"],
                        seed,
                        tasks,
                        folder,
                        script,
                        words,
                        args,
                    )
                )
        except UserError as error:
            raise UserError(f"{method} on {pair}: {error}") from error
    return found


def _override(document, own, plan):
    """Change the seeds and limits of a document of `own` to those of a plan."""
    import tomlkit

    document["seeds"] = plan["seeds"]
    for (_, kept), (_, old), (_, new) in zip(
        *map(_groups, (document, own, plan)), strict=True
    ):
        if old.get("limit") == new.get("limit"):
            continue
        kept.pop("limit", None)
        if isinstance(new.get("limit"), dict):
            kept["limit"] = tomlkit.inline_table()
            kept["limit"].update(new["limit"])
        elif "limit" in new:
            kept["limit"] = new["limit"]


def _fault(plan):
    """What is wrong with a plan, or None."""
    for name, kind in KEYS.items():
        if not isinstance(plan.get(name), kind) or not plan[name]:
            return f"{name} is missing"
    strange = [name for name in plan if name not in KEYS | TRIALS]
    if strange:
        return f"{strange[0]} is not one of {', '.join(KEYS | TRIALS)}"
    for name, kind in TRIALS.items():
        if not isinstance(plan.get(name, kind()), kind):
            return f"{name} is not a {kind.__name__}"
    if not isinstance(plan["settings"].get("passes"), int):
        return "settings has no passes, how often a run goes over each dataset"
    if any(
        type(seed) is not int
        for seed in (*plan["seeds"], *plan.get("trial_seeds", ()))
    ):
        return "seeds are whole numbers"
    for name, group in (*_groups(plan), *plan.get("trials", {}).items()):
        if not isinstance(group, dict):
            return f"{name} is not a table of flags"
        if not re.fullmatch(r"[\w+-]+", name):
            return f"{name!r} cannot be a folder; use letters, digits and -"
        if "passes" in group and group is not plan["settings"]:
            return f"passes is for settings, all methods have the same ({name})"
        own = [flag for flag in COMPARE_FLAGS if flag in group]
        if own:
            return f"{own[0]} is not for a plan, compare.py sets it ({name})"
    for name, trials in plan.get("trials", {}).items():
        if name not in plan["methods"]:
            return f"trials.{name} is not of a method"
        if not all(isinstance(values, list) for values in trials.values()):
            return f"trials.{name} needs a list of values for each flag"
    for name, pair in plan["pairs"].items():
        given = [pair[flag] for flag in pair if flag.startswith("dataset_")]
        if not given or not all(given):
            return f"pair {name} needs a dataset for each of its tasks"
    for name, method in plan["methods"].items():
        is_titled = _is_line(method.get("title"))
        if method.get("family") not in tuple(SCRIPTS) or not is_titled:
            families = ", ".join(SCRIPTS)
            return f"method {name} needs a title and a family: {families}"
        if not _is_line(method.get("unequal", "because")):
            return f"unequal of method {name} is not a text that says why"
    return None


def _is_line(value):
    """Whether a value is a text that can be printed, in one line."""
    return isinstance(value, str) and value == printable(value) != ""


def _groups(plan):
    """All tables of flags of a plan, with their names."""
    first = ("settings", plan["settings"])
    return [first, *plan["pairs"].items(), *plan["methods"].items()]


def _name_datasets(group):
    """Name the datasets of a table of flags as the scripts do, in place."""
    for flag, value in group.items():
        if flag.startswith("dataset_") or flag == "unlabelled":
            group[flag] = [
                name if name == OTHERS else dataset(str(name))
                for name in listed(value)
            ]
        elif isinstance(value, dict):
            group[flag] = {
                name and dataset(name): part for name, part in value.items()
            }


def _used(plan):
    """The names of all datasets of a plan, in their order."""
    return list(
        dict.fromkeys(
            name
            for _, group in _groups(plan)
            for flag, names in group.items()
            if flag.startswith("dataset_") or flag == "unlabelled"
            for name in listed(names)
            if name != OTHERS
        )
    )


def _check_names(plan):
    """Refuse a value for a dataset that no pair has."""
    used = _used(plan)
    for _, group in _groups(plan):
        for flag, value in group.items():
            names = {*value} - {*used, ""} if isinstance(value, dict) else ()
            for name in names:
                raise UserError(
                    f"{flag} names {name}, which is in no pair; the pairs have "
                    f"{', '.join(sorted(used))}"
                )


def _placed(value, pair, seed):
    """A flag's value, or list of values, of one run."""
    if isinstance(value, list):
        return [_placed(part, pair, seed) for part in value]
    if isinstance(value, str):
        return value.replace("{pair}", pair).replace("{seed}", str(seed))
    return value

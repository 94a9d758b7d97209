"""The protocol of a comparison: all rows see the same labels, step by step.

Every method sees the labelled images of a task equally often and in batches
of the same size, hence takes equally many steps on it, at the same learning
rates. Only then do rows differ by method (docs/comparison.md). Computed from a
plan's command lines and the sizes of the training sets; nothing is trained.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from samtl.cli import command_line
from samtl.common.text import counted
from samtl.comparison import states
from samtl.comparison.plan import Run
from samtl.data import tables
from samtl.data.steps import joint_steps, pass_steps

JOINT = ("joint", "manifold")


@dataclass(frozen=True)
class TrainingSet:
    """A dataset's number of training images, and the tasks of its labels."""

    images: int
    tasks: frozenset[str]


class Seen(NamedTuple):
    """What a run sees of a dataset that is labelled for a task.

    images: labelled ones, each counted as often as it is seen.
    per_step: of them in a full batch.
    steps: batches that have any.
    """

    images: int
    per_step: int
    steps: int

    def __str__(self):
        return (
            f"{counted(self.images, 'image')}, {self.per_step:,} a step in "
            f"{counted(self.steps, 'step')}"
        )


def seen(run: Run, sets: dict[str, TrainingSet]) -> dict[str, dict[str, Seen]]:
    """What a run sees in all its rounds.

    Args:
        run: of a plan.
        sets: of its datasets.

    Returns:
        {task: {dataset labelled for it: Seen}}.
    """
    names = run.datasets
    sizes = [sets[name].images for name in names]
    own = command_line.batch_sizes(run.args)
    batches = [own[name] for name in names] if own else run.args.batch_size
    epochs = run.args.epoch
    if run.args.family in JOINT:
        # One batch size for all is at most that of the largest training set.
        found = joint_steps(sizes, batches if own else min(batches, max(sizes)))
        steps = epochs * found.steps
        counts = [steps * share for share in found.shares]
        counts[found.longest] = epochs * sizes[found.longest]
        facts = [
            Seen(count, share, steps)
            for count, share in zip(counts, found.shares, strict=True)
        ]
    else:
        sized = batches if own else [min(batches, max(sizes))] * len(names)
        facts = []
        for turn, (size, batch) in enumerate(zip(sizes, sized, strict=True)):
            passes = -(-(epochs - turn) // len(names))
            steps = passes * pass_steps(size, batch)
            facts.append(Seen(passes * size, batch, steps))
    by_dataset = dict(zip(names, facts, strict=True))
    return {
        task: {
            name: by_dataset[name]
            for name, tasks in _counted(run, sets).items()
            if task in tasks
        }
        for task in run.tasks
    }


def difference(
    runs: list[Run], sets: dict[str, TrainingSet]
) -> tuple[str, str] | None:
    """How a row of a pair differs from the first one.

    Batches and steps must be the same; the images may differ by those that the
    last batch of a pass has less than the others.

    Args:
        runs: of one pair and seed.
        sets: of its datasets.

    Returns:
        (method, one line) of the first row that differs, or None.
    """
    rows, titles = {}, {run.method: run.title for run in runs}
    for run in runs:
        rows.setdefault(run.method, {}).update(seen(run, sets))
    first, *others = rows
    for method in others:
        for task, by_dataset in rows[method].items():
            expected = rows[first].get(task, {})
            if _steps(by_dataset) != _steps(expected):
                return method, (
                    f"{titles[method]} sees {_written(by_dataset)} of {task}, "
                    f"{titles[first]} {_written(expected)}"
                )
    return None


def equal_batches(sizes: dict[str, int], batch_size: int) -> dict[str, int]:
    """Images of each dataset in a step, so that all passes have equal steps.

    Args:
        sizes: {dataset: its images}.
        batch_size: images of all datasets in a step, to come near to.

    Returns:
        {dataset: its images per step}.
    """
    best = {}
    for steps in range(1, min(sizes.values()) + 1):
        found = {n: pass_steps(size, steps) for n, size in sizes.items()}
        if any(pass_steps(sizes[n], found[n]) != steps for n in sizes):
            continue
        off = abs(sum(found.values()) - batch_size)
        if not best or off < abs(sum(best.values()) - batch_size):
            best = found
    return best


def fault(planned: dict, runs: list[Run], data_dir: Path) -> str | None:
    """Whether rows of a plan are unequal and do not say so.

    A method that must differ says why: unequal = "its teacher has seen more".
    Pairs whose datasets are not prepared are left out.

    Args:
        planned: from `plan.read_plan`.
        runs: of the plan.
        data_dir: folder of the prepared datasets.

    Returns:
        one line with the row, both numbers and the cure, or None.
    """
    seed = planned["seeds"][0]
    for pair in planned["pairs"]:
        own = [
            run
            for run in runs
            if (run.pair, run.seed) == (pair, seed)
            and "unequal" not in planned["methods"][run.method]
        ]
        unlike = _stops_early(own, pair) or _rates(own, pair)
        if unlike:
            return unlike
        sets = training_sets(own, data_dir)
        found = difference(own, sets) if sets else None
        if found:
            method, line = found
            return (
                f"unequal rows on {pair}: {line}; {_cure(own, sets)}, or "
                f'unequal = "why" in [methods.{method}] (docs/comparison.md)'
            )
    return None


def _stops_early(runs, pair):
    if any(run.args.patience for run in runs):
        return (
            f"patience lets the rows on {pair} stop after different steps; "
            "remove it from the plan"
        )
    return None


def _rates(runs, pair):
    """How the learning rates of a pair's rows differ, or None."""
    for run in runs:
        rates = [
            (r.args.learning_rate, r.args.schedule) for r in (runs[0], run)
        ]
        if rates[0] != rates[1]:
            first, own = (f"{rate:g} ({kind})" for rate, kind in rates)
            return (
                f"unequal rows on {pair}: {run.title} has the learning rate "
                f"{own}, {runs[0].title} {first}; set it in [settings], or "
                f'unequal = "why" in [methods.{run.method}] '
                "(docs/comparison.md)"
            )
    return None


def training_sets(
    runs: list[Run], data_dir: Path
) -> dict[str, TrainingSet] | None:
    """The training sets of runs; None where one is not prepared."""
    found = {}
    for run in runs:
        sizes = states.training_images(run, data_dir)
        if sizes is None:
            return None
        for name in sizes:
            tasks = frozenset(tables.labelled_tasks(name, data_dir))
            found[name] = TrainingSet(sizes[name], tasks)
    return found


def _counted(run, sets):
    """{dataset: tasks of the run that its labels count for}."""
    wanted = command_line.wanted_datasets(run.args, run.tasks)
    given = dict(command_line.by_dataset(run.args, "labels", wanted))
    return {
        name: given[name].split(",")
        if name in given
        else sets[name].tasks.union(tasks)
        for name, tasks in wanted.items()
        if tasks  # those of a pool do not count
    }


def _steps(by_dataset):
    return {name: (s.per_step, s.steps) for name, s in by_dataset.items()}


def _written(by_dataset):
    return " and ".join(f"{name}: {s}" for name, s in by_dataset.items())


def _cure(runs, sets):
    """What makes the rows of a pair equal."""
    counted = [_counted(run, sets) for run in runs]
    used = {
        task: [
            {name for name, tasks in found.items() if task in tasks}
            for run, found in zip(runs, counted, strict=True)
            if task in run.tasks
        ]
        for task in {task for run in runs for task in run.tasks}
    }
    for task, groups in used.items():
        more = set.union(*groups) - set.intersection(*groups)
        for name in more:
            return (
                f"hide the labels of {task} that not all rows have, of {name}, "
                "with labels in the pair"
            )
    sizes = {name: known.images for name, known in sets.items()}
    args = runs[0].args
    asked = sum(command_line.batch_sizes(args).values()) or args.batch_size
    sizes = ", ".join(
        f"{name} = {size}" for name, size in equal_batches(sizes, asked).items()
    )
    return f"batch_size = {{ {sizes} }} in [settings]"

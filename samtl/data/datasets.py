"""The datasets of an experiment: their tables, labels and pixels."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from samtl.common.errors import UserError
from samtl.data import images, tables
from samtl.data.images import Split
from samtl.data.tasks import Task, mirrored, ordered
from samtl.distributed import devices


@dataclass(frozen=True)
class DataConfig:
    """Which datasets an experiment has, and which of their labels.

    names: {dataset: names of the tasks that it is given for}, in the order of
        their turns; an unlabelled pool is given for none.
    tasks: names of the experiment's tasks.
    data_dir: folder of the prepared datasets.
    labels: {dataset: names of the tasks whose labels count}; of a dataset
        that is not named all labels count, and none of an unlabelled pool.
    limits: {dataset: most images to train on}; 0 or absent: all.
    votes: train on the shares of votes where there are any.
    class_weights: tasks whose classes are weighted, or "balanced" for all.
    augmentation: {dataset: strength > 0}; absent: none.
    cache_gb: disk space for decoded images of a dataset, GB.
    seed: draws the images that a limit keeps.
    """

    names: dict[str, list[str]]
    tasks: tuple[str, ...]
    data_dir: Path = Path("data")
    labels: dict[str, list[str]] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    votes: bool = True
    class_weights: tuple[str, ...] = ()
    augmentation: dict[str, float] = field(default_factory=dict)
    cache_gb: float = 8.0
    seed: int = 0


@dataclass(frozen=True)
class Datasets:
    """The opened datasets of an experiment.

    splits: {"train", "validation", "test"} Splits of each dataset, in the
        order of their turns.
    tasks: the experiment's tasks, in canonical order.
    """

    splits: list[dict[str, Split]]
    tasks: list[Task]

    @property
    def train(self) -> list[Split]:
        """The training Splits."""
        return [splits["train"] for splits in self.splits]

    def fingerprints(self) -> dict[str, list[str]]:
        """{dataset: `images.fingerprint` of each split}."""
        return {
            splits["train"].table.name: [
                images.fingerprint(split.table.paths)
                for split in splits.values()
            ]
            for splits in self.splits
        }


def open_datasets(config: DataConfig, shape: tuple[int, int, int]) -> Datasets:
    """Read the tables of the datasets and open their pixels.

    A dataset's labels count for every task of the experiment, not only for
    those it is given for, unless `config.labels` says otherwise.

    Args:
        config: which datasets, and which of their labels.
        shape: (height, width, channels) of the network's input.

    Raises:
        UserError: a dataset is missing or its files are bad, a task has no
            dataset, the datasets of a task disagree on its classes, or these
            cannot be flipped.
    """
    read = [
        tables.read(name, config.data_dir, counting, config.votes)
        for name, counting in _counting(config).items()
    ]
    found = _agreed(read)
    for name in config.class_weights:
        if name not in ("none", "balanced", *found):
            print(
                f"warning: --class_weights={name} changes nothing, as that "
                f"task is not trained; these are: {', '.join(found)}",
                file=sys.stderr,
            )
    if config.augmentation:
        _require_mirror_images(found.values())
    with devices.main_process_first():
        splits = [
            images.open_splits(
                table,
                shape,
                config.cache_gb,
                config.limits.get(table.name, 0),
                config.seed,
            )
            for table in read
        ]
    for name in config.tasks:
        if name not in found:
            raise UserError(
                f"{' and '.join(config.names)} have votes for {name} only, no "
                "labels; train with --votes=True"
            )
    tasks = [found[name] for name in ordered(found)]
    for task in tasks:
        _require_scored(task, splits)
        _warn_of_classes(task, splits)
    return Datasets(splits, tasks)


def _counting(config):
    """{dataset name: names of the tasks whose labels count}."""
    counting = {}
    for name, given in config.names.items():
        if not given:
            counting[name] = []
            continue
        carried = tables.labelled_tasks(name, config.data_dir)
        counted = config.labels.get(name, {*carried, *given})
        counting[name] = [task for task in config.tasks if task in counted]
        if not counting[name]:
            raise UserError(
                f"the labels of {name} that count "
                f"({', '.join(config.labels[name])}) are of none of "
                f"{', '.join(config.tasks)}; change --labels"
            )
    for task in config.tasks:
        if not any(task in counted for counted in counting.values()):
            raise UserError(
                f"no labels of {task} in {' and '.join(config.names)}; give a "
                f"dataset that has them with --dataset_{task}"
            )
    return counting


def _require_scored(task, splits):
    """Refuse a task that no labelled image is left to score."""
    for name in ("validation", "test"):
        if not any(
            parts[name].table.is_labelled(task.name).any() for parts in splits
        ):
            raise UserError(
                f"no {name} image has a label of {task.name}; label some, or "
                "give a dataset that has them"
            )


def _warn_of_classes(task, splits):
    """Tell of a single class in a split, and of classes without training."""
    for name in tables.SPLITS:
        labels = set()
        for table in (parts[name].table for parts in splits):
            rows = table.is_labelled(task.name)
            if rows.any():
                labels |= set(table.labels(task.name)[rows])
        if len(labels) == 1:
            print(
                f"warning: all {name} labels of {task.name} are "
                f"{task.classes[labels.pop()]}; scores mean little until there "
                "are images of other classes",
                file=sys.stderr,
            )
    shares = np.zeros(len(task))
    for table in (parts["train"].table for parts in splits):
        rows = table.has_target(task.name)
        if rows.any():
            shares += table.targets(task.name)[rows].sum(axis=0)
    if 1 < (shares > 0).sum() < len(task):
        absent = np.array(task.classes)[shares == 0]
        print(
            f"warning: no training image of {task.name} is "
            f"{' or '.join(absent)}; the network will not predict it",
            file=sys.stderr,
        )


def _agreed(read):
    """{name: Task} of all tables, which must agree on the classes."""
    first = {}
    for table in read:
        for name, task in table.tasks.items():
            other = first.setdefault(name, table)
            if task != other.tasks[name]:
                raise UserError(
                    f"{name} has {len(other.tasks[name])} classes in "
                    f"{other.name} ({', '.join(other.tasks[name].classes)}) "
                    f"but {len(task)} in {table.name} "
                    f"({', '.join(task.classes)}); train on datasets whose "
                    "classes agree"
                )
    return {name: table.tasks[name] for name, table in first.items()}


def _require_mirror_images(tasks):
    for task in tasks:
        if not task.can_flip:
            continue
        try:
            mirrored(task.classes)
        except ValueError as error:
            raise UserError(
                f"--is_augmentation flips images, and {task.name} has {error}; "
                "name both sides alike in the datasets' JSON files, or train "
                "without --is_augmentation"
            ) from error

"""How good a network is, task by task: figures.md of released weights."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from samtl.common.text import counted
from samtl.data.tables import Table
from samtl.evaluation import calibration, scoring

GROUPS = ("gender", "age", "ethnicity")  # of people
CONFIDENCES = (0, 0.5, 0.6, 0.7, 0.8, 0.9, 1)


class Group(NamedTuple):
    """What is known of the people in the images, by gender, age and so on.

    Attributes:
        classes: names.
        labels: int [N] class indices, -1 where unknown.
    """

    classes: tuple[str, ...]
    labels: np.ndarray


@dataclass(frozen=True)
class Outputs:
    """Predictions for the images of a split that have the label.

    Attributes:
        logits: float [N, C].
        labels: int [N].
        groups: {"gender", "age", "ethnicity": Group}, without those that no
            dataset is labelled for.
    """

    logits: np.ndarray
    labels: np.ndarray
    groups: dict[str, Group]

    @property
    def is_right(self) -> np.ndarray:
        """bool [N]."""
        return self.logits.argmax(axis=1) == self.labels

    def surplus(
        self, temperature: float, weights: np.ndarray | None = None
    ) -> float:
        """Mean confidence minus accuracy, -1 to 1: above 0 is overconfident."""
        confidence = softmax(self.logits / temperature, 1).max(axis=1)
        return np.average(confidence - self.is_right, weights=weights)

    def error(self, temperature: float) -> float:
        """Expected calibration error, 0 to 1."""
        probabilities = softmax(self.logits / temperature, 1)
        return calibration.expected_calibration_error(
            probabilities, self.labels
        )


def outputs(
    split: list[tuple[Table, dict[str, np.ndarray]]], task: str
) -> Outputs:
    """Outputs of all images of a split that have the task's label.

    Args:
        split: one Table and {task: logits [N, C]} a dataset.
    """
    split = [
        (table.take(rows), {name: f[rows] for name, f in found.items()})
        for table, found in split
        for rows in [np.flatnonzero(table.is_labelled(task))]
        if len(rows)
    ]
    tables = [table for table, _ in split]
    kinds = {}
    for table in tables:
        kinds = table.hidden | table.tasks | kinds
    groups = {
        name: Group(
            kinds[name].classes,
            np.concatenate([_known(table, kinds[name]) for table in tables]),
        )
        for name in GROUPS
        if name in kinds
    }
    return Outputs(
        np.concatenate([found[task] for _, found in split]),
        np.concatenate([table.labels(task) for table in tables]),
        {kind: g for kind, g in groups.items() if (g.labels >= 0).any()},
    )


def _known(table, kind):
    """Labels of a Task, hidden ones too, int [N]; -1 where unknown."""
    if kind.name in table.tasks:
        return table.labels(kind.name)
    hidden = table.truth(kind)
    return np.full(len(table), -1) if hidden is None else hidden


@dataclass(frozen=True)
class Task:
    """A task's classes, and the predictions for two splits.

    Attributes:
        classes: names.
        validation, test: Outputs.
    """

    name: str
    classes: tuple[str, ...]
    validation: Outputs
    test: Outputs

    @functools.cached_property
    def fitted(self) -> float:
        """Temperature of the least loss on the validation images."""
        return calibration.temperature(
            self.validation.logits, self.validation.labels
        )

    @functools.cached_property
    def p_value(self) -> float:
        """Of the test of T = 1 against the fitted temperature, 0 to 1."""
        return calibration.refutation(
            self.validation.logits, self.validation.labels, self.fitted
        )

    @property
    def temperature(self) -> float:
        """The fitted one where the test rejects 1, else 1."""
        return self.fitted if self.p_value < calibration.CHANCE else 1.0

    @functools.cached_property
    def scores(self) -> dict:
        """`scoring.scores` on test."""
        return scoring.scores(
            self.test.labels, self.test.logits, ordered=self.name == "age"
        )

    def as_on_validation(self) -> np.ndarray:
        """Weights [N] that give test images the validation's class shares."""
        validation, test = (
            np.bincount(split.labels, minlength=len(self.classes))
            for split in (self.validation, self.test)
        )
        return (validation / np.maximum(test, 1))[self.test.labels]


def write_up(tasks: list[Task]) -> str:
    """figures.md: confusion, groups and reliability of every task."""
    parts = ["# Test figures\n\nWritten by `python -m samtl.release`.\n"]
    for task in tasks:
        parts += [
            f"## {task.name}\n\n{_headline(task)}\n",
            "Rows are true classes, columns are predictions.\n",
            _confusion(task),
        ]
        rows = [
            (f"{kind}: {name}", f"{count:,}", percent(share))
            for kind, name, count, share in groups(task)
            if kind != task.name
        ]
        if rows:
            parts.append(table(("group", "images", "accuracy"), rows))
        if {"gender", "age"} <= task.test.groups.keys():
            parts += [
                "Accuracy by gender and age, and the number of images:\n",
                _crossed(task),
            ]
        parts += [
            "How often the label is right, by the probability shown with it:\n",
            _reliability(task),
        ]
    return "\n".join(parts)


def _headline(task):
    scores = task.scores
    text = (
        f"{counted(scores['count'], 'test image')}: accuracy "
        f"{percent(scores['accuracy'])}, balanced "
        f"{percent(scores['balanced_accuracy'])}"
    )
    if "one_off_accuracy" in scores:
        text += f", within one class {percent(scores['one_off_accuracy'])}"
    return f"{text}."


def _confusion(task):
    matrix = task.scores["confusion"]
    rows = []
    for index, (name, counts) in enumerate(
        zip(task.classes, matrix, strict=True)
    ):
        count, recall = _share(task.test.is_right, task.test.labels == index)
        cells = [f"{cell:,}" for cell in (*counts, count)]
        rows.append((f"**{name}**", *cells, percent(recall)))
    return table(("", *task.classes, "images", "recall"), rows)


def groups(task: Task) -> Iterator[tuple[str, str, int, float | None]]:
    """(kind, name, images, share right or None) of classes and groups."""
    own = {task.name: Group(task.classes, task.test.labels)}
    is_right = task.test.is_right
    for kind, group in (own | task.test.groups | own).items():
        for index, name in enumerate(group.classes):
            yield kind, name, *_share(is_right, group.labels == index)


def _crossed(task):
    is_right = task.test.is_right
    genders, ages = task.test.groups["gender"], task.test.groups["age"]
    rows = []
    for g, gender in enumerate(genders.classes):
        cells = [
            _share(is_right, (genders.labels == g) & (ages.labels == a))
            for a in range(len(ages.classes))
        ]
        shown = (
            f"{percent(share)} of {n:,}" if n else "" for n, share in cells
        )
        rows.append((gender, *shown))
    return table(("", *ages.classes), rows)


def _reliability(task):
    confidence = softmax(task.test.logits / task.temperature, 1).max(axis=1)
    # The last bin includes its end.
    places = np.searchsorted(CONFIDENCES[1:-1], confidence, side="right")
    rows = []
    for index, (low, high) in enumerate(itertools.pairwise(CONFIDENCES)):
        count, share = _share(task.test.is_right, places == index)
        rows.append((f"{low:.0%} to {high:.0%}", f"{count:,}", percent(share)))
    return table(("shown", "images", "right"), rows)


def _share(is_right, members):
    """(number of members, share of them that is right or None)."""
    count = int(members.sum())
    return count, float(is_right[members].mean()) if count else None


def table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 1
) -> str:
    """Markdown; from column `numbers` on to the right, 0: all to the left."""
    right = len(headings) - numbers if numbers else 0
    rule = "---|" * (len(headings) - right) + "---:|" * right
    lines = [f"| {' | '.join(row)} |" for row in (headings, *rows)]
    return "\n".join([lines[0], f"|{rule}", *lines[1:], ""])


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"

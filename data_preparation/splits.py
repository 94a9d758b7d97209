"""Random splits, where a dataset has no official ones."""

import warnings
from collections import Counter

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from samtl.common.errors import UserError
from samtl.common.text import counted

# The held-out part is 1 / TEST or 1 / VALIDATION of the rows.
TEST, VALIDATION = 5, 10


def draw_missing(splits, official, labels, groups, seed):
    """Draw the splits that are not official, stratified and grouped.

    Without a test split, a fifth of the rows that have no split become one;
    the others train. Without a validation split, a tenth of the training rows
    become one. Both are stratified by label and keep groups whole.

    Args:
        splits: str [N], "" where a row has no official split.
        official: set of the official splits; a split may have lost all its
            rows.
        labels: int [N].
        groups: [N]; rows with the same value stay together.
        seed: random seed of the shuffles.

    Returns:
        str [N] without "".

    Raises:
        UserError: there are too few rows.
    """
    splits = np.array(splits, dtype=object)
    labels, groups = np.asarray(labels), np.asarray(groups)

    def draw(split, source, parts):
        rows = np.flatnonzero(splits == source)
        if len(rows) and split not in official:
            chosen = one_part(labels[rows], groups[rows], parts, seed)
            splits[rows[chosen]] = split

    draw("test", "", TEST)
    splits[splits == ""] = "train"
    draw("validation", "train", VALIDATION)
    return splits


def one_part(labels, groups, parts, seed):
    """Choose one of `parts` parts, stratified by label, groups kept whole.

    Args:
        labels: int [N].
        groups: [N]; rows with the same value stay together.
        parts: the chosen part is about 1 / parts of the rows, or one group
            where there are fewer.
        seed: random seed of the shuffle.

    Returns:
        int [M], positions of the chosen rows, ascending.

    Raises:
        UserError: there are too few rows for that many parts.
    """
    largest = max(Counter(labels.tolist()).values(), default=0)
    count = len(set(groups.tolist()))
    if 1 < count < len(groups):
        parts = min(parts, count)
    if largest < parts or count < parts:
        raise UserError(
            f"{len(labels)} usable rows are too few to set 1 in {parts} "
            "aside; is --source complete?"
        )
    if count == len(groups):
        # For groups of one row, both splitters give the same result; this one
        # is a hundred times faster.
        kind, groups = StratifiedKFold, None
    else:
        kind = StratifiedGroupKFold
    splitter = kind(parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer rows than parts is missing in some parts.
        warnings.filterwarnings("ignore", "The least populated class")
        return next(splitter.split(labels, labels, groups))[1]


def draw_balanced(splits, official, labels, groups, seed):
    """Draw the splits that are not official, of labels of any kind.

    As `draw_missing`, for sets that may be small, with several tasks and
    missing labels: every class of at least three rows is in every split where
    the groups allow it, and the last rows of a class train. Groups without a
    label train. Source of the greedy choice, the rarest labels first:
    Sechidis, Tsoumakas, Vlahavas, "On the Stratification of Multi-Label Data",
    ECML PKDD 2011.

    Args:
        splits: str [N], "" where a row has no official split.
        official: set of the official splits.
        labels: int [N, T], class indices of T tasks, -1 where unknown.
        groups: [N]; rows with the same value stay together.
        seed: random seed.

    Returns:
        str [N] without "".

    Raises:
        UserError: no labelled row can be set aside for a split.
    """
    splits = np.array(splits, dtype=object)
    groups = pd.factorize(np.asarray(groups, dtype=object))[0]
    cells = _numbered(np.asarray(labels))
    known = np.bincount(cells[cells >= 0])
    missing = [name for name in ("test", "validation") if name not in official]
    for place, name in enumerate(missing):
        source = ""
        if name == "validation":
            source = "train"
            splits[splits == ""] = source
        rows = np.flatnonzero(splits == source)
        parts = TEST if name == "test" else VALIDATION
        # Test leaves one row of each class for validation.
        spared = len(missing) - place
        chosen = _balanced_part(
            cells[rows], groups[rows], (parts, spared), known, [seed, place]
        )
        if not len(chosen) and len(rows):
            count = len(set(groups[rows]))
            raise UserError(
                f"{counted(len(rows), 'usable image')}, in "
                f"{counted(count, 'group')} of the same subject or picture: "
                "too few to set labelled ones aside "
                f"for {name}; add some, or write the splits into a column split"
            )
        splits[rows[chosen]] = name
    splits[splits == ""] = "train"
    return splits


def _numbered(labels):
    """Class indices of all tasks as one numbering, int [N, T]; -1 stays."""
    sizes = labels.max(axis=0, initial=-1) + 1
    starts = np.cumsum(sizes) - sizes
    return np.where(labels >= 0, labels + starts, -1)


def _balanced_part(cells, groups, shares, known, seed):
    """Choose rows of all labels, groups kept whole.

    Args:
        cells: int [N, T] of `_numbered`.
        groups: int [N].
        shares: (parts, spared): about 1 / parts of the rows of a label are
            chosen; where possible, `spared` rows of it or more are not.
        known: int [L], number of rows of each label in all splits.
        seed: of numpy's generator.

    Returns:
        int [M], positions of the chosen rows, ascending.
    """
    parts, spared = shares
    held = _held_labels(cells, groups)
    left = np.bincount(cells[cells >= 0], minlength=len(known))
    wanted = np.maximum(np.round(left / parts), 1)
    wanted[(known < 3) | (left < 2)] = 0
    left, wanted = left.tolist(), wanted.tolist()
    order = np.random.default_rng(seed).permutation(list(held)).tolist()
    order.sort(key=lambda group: min(left[label] for label in held[group]))
    choice = _Choice(held, left, wanted)
    for spare in range(spared, 0, -1):
        for group in order:
            if choice.is_full():
                break
            if choice.gain(group) > 0 and choice.spares(group, spare):
                choice.add(group)
        for label, number in enumerate(wanted):
            if number and not choice.count[label]:
                choice.add_best([g for g in order if label in held[g]], spare)
    if not choice.groups:
        choice.add_best(order, 1)
    return np.flatnonzero(np.isin(groups, list(choice.groups)))


def _held_labels(cells, groups):
    """{group: {label: rows}} of the groups with a label."""
    held = {}
    for group, row in zip(groups.tolist(), cells.tolist(), strict=True):
        for label in row:
            if label >= 0:
                counts = held.setdefault(group, {})
                counts[label] = counts.get(label, 0) + 1
    return held


class _Choice:
    """The groups that are chosen for a split.

    Attributes:
        groups: set of the chosen ones.
        count: list of int [L], their rows of each label.
    """

    def __init__(self, held, left, wanted):
        self.groups = set()
        self.count = [0] * len(left)
        self._held, self._left, self._wanted = held, left, wanted
        self._lack = sum(wanted)

    def is_full(self):
        """Whether no label is wanted any more, so that no group has a gain."""
        return self._lack <= 0

    def gain(self, group):
        """How much closer a group brings the counts to the wanted ones.

        Each label counts by the inverse of its number of rows.
        """
        total = 0
        for label, rows in self._held[group].items():
            lack = self._wanted[label] - self.count[label]
            total += (abs(lack) - abs(lack - rows)) / self._left[label]
        return total

    def spares(self, group, spare):
        """Whether `spare` rows or more of each label of a group are left."""
        return group not in self.groups and all(
            self._left[label] - self.count[label] - rows >= spare
            for label, rows in self._held[group].items()
        )

    def add(self, group):
        """Choose a group."""
        self.groups.add(group)
        for label, rows in self._held[group].items():
            lack = max(0, self._wanted[label] - self.count[label])
            self._lack -= min(rows, lack)
            self.count[label] += rows

    def add_best(self, groups, spare):
        """Choose the group with the largest gain that spares, if any."""
        able = [group for group in groups if self.spares(group, spare)]
        if able:
            self.add(max(able, key=self.gain))

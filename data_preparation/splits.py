"""Random splits, where a dataset has no official ones."""

import warnings
from collections import Counter

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from samtl.common.errors import UserError

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

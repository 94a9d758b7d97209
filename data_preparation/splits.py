"""Which faces train, validate and test, where the owners do not say."""

import warnings
from collections import Counter

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from samtl.common.errors import UserError

# One part in so many.
TEST, VALIDATION = 5, 10


def fill(splits, official, labels, groups, seed):
    """Draw the splits that the owners do not give.

    Without a test split, a fifth of the rows that have no split become one;
    the others train. Without a validation split, a tenth of the training rows
    become one. Both are stratified by label and keep groups whole.

    Args:
        splits: str [N], "" where the owners give no split.
        official: the owners' splits, also those of which no row is left.
        labels: int [N].
        groups: [N]; rows with the same value stay together.
        seed: of the shuffles.

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
        seed: of the shuffle.

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
        # On groups of one both do the same, this one a hundred times faster.
        kind, groups = StratifiedKFold, None
    else:
        kind = StratifiedGroupKFold
    splitter = kind(parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer rows than parts is in some parts only.
        warnings.filterwarnings("ignore", "The least populated class")
        return next(splitter.split(labels, labels, groups))[1]

"""Statistics on possible errors of a prepared set."""

import numpy as np
import pandas as pd

from data_preparation import duplicates
from samtl.data import tables
from samtl.data.tables import UNKNOWN


def imbalance(table):
    """Size of the largest class over that of the smallest.

    Args:
        table: `tables.Table`.

    Returns:
        {task: {split: float, None where a class is empty}}.
    """
    counts = tables.counts(table.rows, table.tasks.values())
    result = {}
    for task in table.tasks:
        numbers = {s: counts[s][task].values() for s in tables.SPLITS}
        result[task] = {
            split: max(sizes) / min(sizes) if min(sizes) else None
            for split, sizes in numbers.items()
        }
    return result


def count_labels(table):
    """Rows with a label, with votes alone, and with neither.

    Args:
        table: `tables.Table`.

    Returns:
        {task: {"labelled", "voted" and "unlabelled": int}}.
    """
    result = {}
    for task in table.tasks:
        labelled = int(table.is_labelled(task).sum())
        known = int(table.has_target(task).sum())
        result[task] = {
            "labelled": labelled,
            "voted": known - labelled,
            "unlabelled": len(table) - known,
        }
    return result


def find_copies(rows, tasks):
    """Pairs of exact and near-duplicates.

    Of an image with n copies, n - 1 exact pairs are listed, each copy with the
    one before it. Near-duplicates are those of `duplicates.near_pairs`.

    Args:
        rows: DataFrame with `path`, `split`, `digest`, `hash` and the tasks.
        tasks: names of label columns.

    Returns:
        DataFrame: kind ("exact" or "near"), path and split of both, is_across
        (splits differ), is_labelled_alike (all tasks agree that both have a
        label of).
    """
    rank = rows["split"].map(tables.SPLITS.index)
    rows = rows.assign(rank=rank).sort_values(
        ["digest", "rank"], kind="stable", ignore_index=True
    )
    repeated = np.flatnonzero(rows["digest"].duplicated())
    exact = np.stack([repeated - 1, repeated], axis=1)
    single = np.flatnonzero(~rows.duplicated(["digest", "split"]))
    near = single[duplicates.near_pairs(rows["hash"].iloc[single])]
    digests = rows["digest"].to_numpy()
    near = near[digests[near[:, 0]] != digests[near[:, 1]]]
    pairs = np.concatenate([exact, near])
    one, other = (rows.iloc[pairs[:, side]] for side in (0, 1))
    labels = [part[tasks].to_numpy() for part in (one, other)]
    is_alike = labels[0] == labels[1]
    is_open = (labels[0] == UNKNOWN) | (labels[1] == UNKNOWN)
    return pd.DataFrame(
        {
            "kind": ["exact"] * len(exact) + ["near"] * len(near),
            "path": one["path"].to_numpy(),
            "split": one["split"].to_numpy(),
            "other_path": other["path"].to_numpy(),
            "other_split": other["split"].to_numpy(),
            "is_across": one["split"].to_numpy() != other["split"].to_numpy(),
            "is_labelled_alike": (is_alike | is_open).all(axis=1),
        }
    ).sort_values(["kind", "is_across"], ascending=[True, False], kind="stable")


def summarise_copies(pairs):
    """Count the pairs of `find_copies`.

    Returns:
        {"exact" and "near": {"within_splits", "across_splits",
        "labelled_differently"}} and "distance", the bits that hashes of near
        copies may differ in.
    """
    result = {"distance": duplicates.DISTANCE}
    for kind in ("exact", "near"):
        of_kind = pairs[pairs["kind"] == kind]
        result[kind] = {
            "within_splits": int((~of_kind["is_across"]).sum()),
            "across_splits": int(of_kind["is_across"].sum()),
            "labelled_differently": int((~of_kind["is_labelled_alike"]).sum()),
        }
    return result


def straddling_subjects(rows):
    """People who appear in more than one split.

    Args:
        rows: DataFrame with `split` and perhaps `subject`, NaN where unknown.

    Returns:
        DataFrame: subject, and the number of rows in each split.
    """
    columns = ["subject", *tables.SPLITS]
    if "subject" not in rows:
        return pd.DataFrame(columns=columns)
    counts = pd.crosstab(rows["subject"], rows["split"])
    counts = counts.reindex(columns=tables.SPLITS, fill_value=0)
    counts = counts[(counts > 0).sum(axis=1) > 1]
    return counts.rename_axis("subject").reset_index()[columns]


def find_suspects(table, task, probabilities, classes, confidence):
    """Rows where a confident prediction differs from the label, sorted.

    The most confident predictions come first. Classes are matched by name; rows
    without a label, or with a class that either the network or the set lacks,
    are not compared.

    Args:
        table: `tables.Table` of N rows.
        task: name.
        probabilities: [N, C] of the network.
        classes: its C class names.
        confidence: the prediction must be more probable than this.

    Returns:
        (DataFrame of path, split, task, label, prediction and confidence;
        number of rows compared; share of them where label and prediction
        agree, None where there are none).
    """
    own = table.tasks[task].classes
    # The last name is that of UNKNOWN.
    labels = np.array([*own, ""], dtype=object)[table.labels(task)]
    predictions = np.array(classes, dtype=object)[probabilities.argmax(axis=1)]
    is_known = np.isin(labels, classes) & np.isin(predictions, own)
    is_known &= table.is_labelled(task)
    agrees = labels == predictions
    sure = probabilities.max(axis=1)
    found = np.flatnonzero(is_known & ~agrees & (sure > confidence))
    found = found[np.argsort(-sure[found], kind="stable")]
    suspects = pd.DataFrame(
        {
            "path": table.rows["path"].to_numpy()[found],
            "split": table.rows["split"].to_numpy()[found],
            "task": task,
            "label": labels[found],
            "prediction": predictions[found],
            "confidence": sure[found],
        }
    )
    share = float(agrees[is_known].mean()) if is_known.any() else None
    return suspects, int(is_known.sum()), share


def spread(sizes):
    """Smallest, median and largest of a Series; None where it is empty."""
    if sizes.empty:
        return None
    return {
        "min": int(sizes.min()),
        "median": float(sizes.median()),
        "max": int(sizes.max()),
    }


def summarise_subjects(rows, people):
    """Count the people of a set and those of `straddling_subjects`."""
    known = rows["subject"].dropna() if "subject" in rows else []
    return {
        "rows_with_subject": len(known),
        "subjects": len(set(known)),
        "in_several_splits": len(people),
    }

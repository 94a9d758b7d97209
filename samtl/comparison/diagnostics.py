"""Pseudo-label diagnostics of a comparison's runs."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from samtl.common.errors import UserError, reason
from samtl.comparison.loading import Comparison

KINDS = ("all", "selected", "rejected")


def accuracies(comparison: Comparison, out: Path) -> pd.DataFrame:
    """Accuracy of the pseudo labels, where the hidden truth is known.

    That of all and of the selected labels is in rounds.csv. That of the
    rejected ones is computed from the runs' weights_round<k>.csv, if they are
    still there.

    Returns:
        DataFrame: pair, task, method, seed, share (of training, in %),
        all, selected, rejected (0..1, NaN where unknown).
    """
    found = []
    folders = _folders(comparison)
    keys = ["pair", "method", "seed"]
    for key, rows in comparison.rounds.groupby(keys, sort=False):
        for column in rows:
            match = re.fullmatch(r"pseudo_([a-z]+)_accuracy", column)
            if not match:
                continue
            for row in rows.dropna(subset=[column]).to_dict("records"):
                number, last = row["round"], rows["round"].max()
                path = out / folders.get(key, "") / _file_name(number)
                found.append(
                    {
                        **dict(zip(keys, key, strict=True)),
                        "task": match[1],
                        "share": 100 * number / last,
                        "all": row[column],
                        "selected": row.get(f"{column}_selected", np.nan),
                        "rejected": _rejected(path, match[1]),
                    }
                )
    return pd.DataFrame(found, columns=[*keys, "task", "share", *KINDS])


def last_weights(comparison: Comparison, out: Path, pair: str) -> pd.DataFrame:
    """The weights of each task's last pseudo labels, of one seed's runs.

    Returns:
        DataFrame: method, task, weight (0..1) and selected (0 or 1), a row an
        image; empty where the run folders are gone.
    """
    parts = [pd.DataFrame(columns=["method", "task", "weight", "selected"])]
    first = {}
    for (of, method, _), folder in _folders(comparison).items():
        if of == pair:
            first.setdefault(method, folder)
    for method, folder in first.items():
        seen = set()
        for path in sorted(
            (out / folder).glob("weights_round*.csv"), key=_round, reverse=True
        ):
            table = _read_weights(path, ["task", "weight", "selected"])
            table = table[~table["task"].isin(seen)]
            if table.empty:
                break
            seen |= set(table["task"])
            parts.append(table.assign(method=method))
    return pd.concat(parts[1:] or parts)


def _folders(comparison):
    """{(pair, method, seed): the run's folder}."""
    rows = comparison.results
    return dict(
        zip(
            zip(rows["pair"], rows["method"], rows["seed"], strict=True),
            rows["run"],
            strict=True,
        )
    )


def _rejected(path, task):
    if not path.exists():
        return np.nan
    table = _read_weights(path, ["pseudo_label", "selected", "truth", "task"])
    rejected = (table["task"] == task) & (table["selected"] == 0)
    rows = table[rejected & (table["truth"] != "")]
    return (rows["pseudo_label"] == rows["truth"]).mean()


def _read_weights(path, columns):
    text = dict.fromkeys(("pseudo_label", "truth", "task"), str)
    numbers = dict.fromkeys(("weight", "selected"), float)
    try:
        return pd.read_csv(
            path, usecols=columns, dtype=text | numbers, keep_default_na=False
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {path}: {reason(error)}; delete it, and the report "
            "leaves it out"
        ) from error


def _file_name(number):
    return f"weights_round{int(number)}.csv"


def _round(path):
    return int(re.search(r"\d+", path.stem)[0])

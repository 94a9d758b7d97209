"""Reads the folder of a comparison: its tables and its plan."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from samtl.common.errors import UserError
from samtl.comparison import checks, plan
from samtl.comparison.checks import TEXT_COLUMNS
from samtl.comparison.results import FAILED, NEWER, RESULTS, ROUNDS
from samtl.comparison.text import shortened

# Where no plan tells which methods these are.
BASELINE, REFERENCE = "single-task", "all-in-one"


@dataclass(frozen=True)
class Comparison:
    """The content of a comparison's folder.

    Attributes:
        results, rounds, failed: DataFrames of the CSV files.
        plan: as `plan.read_plan` returns it, or None.
        pairs, methods: names, in the order of the plan.
        titles: {method: name for the reader}.
    """

    results: pd.DataFrame
    rounds: pd.DataFrame
    failed: pd.DataFrame
    plan: dict | None
    pairs: list[str]
    methods: list[str]
    titles: dict[str, str]

    @property
    def labels(self) -> dict[str, str]:
        """The titles, shortened where figures have no room."""
        short = shortened(self.titles.values())
        return {name: short[title] for name, title in self.titles.items()}

    @property
    def baseline(self) -> str:
        """The reference method: single tasks, or else the first method."""
        methods = self.plan["methods"] if self.plan else {}
        for name in self.methods:
            if methods.get(name, {}).get("family") == "single":
                return name
        if BASELINE in self.titles:
            return BASELINE
        return self.methods[0] if self.methods else BASELINE

    @property
    def reference(self) -> str | None:
        """The method whose cost is 1: All-in-one, else a joint one, or None."""
        methods = self.plan["methods"] if self.plan else {}
        joint = [
            name
            for name in self.methods
            if methods.get(name, {}).get("family") == "joint"
        ]
        joint.sort(key=lambda name: not methods[name].get("is_naive"))
        joint += [name for name in self.methods if name == REFERENCE]
        return joint[0] if joint else None

    @property
    def unequal(self) -> dict[str, str]:
        """{method: why its steps differ from the others'}, by the plan."""
        methods = self.plan["methods"] if self.plan else {}
        return {
            name: methods[name]["unequal"]
            for name in self.methods
            if "unequal" in methods.get(name, {})
        }

    @property
    def baseline_title(self) -> str:
        """Name of the baseline within a sentence."""
        title = self.title(self.baseline)
        is_word = title[1:2].islower() or title[1:2] == "-"
        return title[:1].lower() + title[1:] if is_word else title

    def title(self, method: str) -> str:
        """Name of a method for the reader."""
        return self.titles.get(method, method)

    def tasks(self, pair: str) -> list[str]:
        """Names of a pair's tasks, in their order in results.csv."""
        rows = self.results[self.results["pair"] == pair]
        return list(dict.fromkeys(rows["task"]))


def read_comparison(out: Path) -> Comparison:
    """Read the folder of a comparison.

    Raises:
        UserError: it has no results.csv, or a file is damaged.
    """
    if not (out / "results.csv").exists():
        raise UserError(
            f"{out} has no results.csv; give the folder that compare.py "
            "writes to (--out)"
        )
    columns = [name for name in RESULTS if name not in NEWER]
    path = out / "results.csv"
    results = _read_csv(path, columns, checks.check_results)
    for name in NEWER:
        results[name] = results.get(name, np.nan)
    toml = out / "plan.toml"
    planned = plan.read_plan(toml) if toml.exists() else None
    order = planned or {"pairs": {}, "methods": {}}
    methods = _ordered(order["methods"], results["method"])
    titles = {
        name: order["methods"].get(name, {}).get("title", name)
        for name in [*order["methods"], *methods]
    }
    return Comparison(
        results,
        _read_csv(out / "rounds.csv", ROUNDS, checks.check_rounds),
        _read_csv(out / "failed.csv", FAILED, checks.check_failed),
        planned,
        _ordered(order["pairs"], results["pair"]),
        methods,
        titles,
    )


def _read_csv(path, columns, check):
    """A CSV file of the comparison; without rows where it does not exist.

    Raises:
        UserError: it cannot be read, lacks one of the columns, or has a row
            that `check` refuses.
    """
    if not path.exists():
        return pd.DataFrame(columns=columns)
    # Names such as "none" or "1e5" are text.
    text = dict.fromkeys(TEXT_COLUMNS, str)
    try:
        names = pd.read_csv(path, nrows=0).columns
        numbers = [name for name in names if name not in TEXT_COLUMNS]
        table = pd.read_csv(
            path,
            dtype=text,
            keep_default_na=False,
            na_values={name: ["", "nan"] for name in numbers},
        )
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not table.index.equals(pd.RangeIndex(len(table))):
        raise _unreadable(path, "it has rows with more cells than its header")
    missing = [name for name in columns if name not in names]
    if missing:
        raise _unreadable(path, f"it has no column {missing[0]}")
    try:
        check(table)
    except ValueError as error:
        raise _unreadable(path, error) from error
    return table


def _unreadable(path, reason):
    return UserError(
        f"cannot read {path}: {reason}; where the runs' folders are still "
        "there, compare.py --report_only=True writes it anew "
        f"(--plan={path.parent / 'plan.toml'} --out={path.parent})"
    )


def _ordered(planned: Iterable[str], found: Iterable[str]) -> list[str]:
    """The names that were found, those of the plan first."""
    found = dict.fromkeys(found)
    return [name for name in dict.fromkeys([*planned, *found]) if name in found]

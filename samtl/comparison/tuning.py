"""The settings of each method, chosen on validation with equally many trials.

A plan lists them beside its methods:

    trial_seeds = [100, 101]    # none of `seeds`

    [trials.fixmatch]           # one trial for each value
    consistency_threshold = [0.8, 0.9, 0.95]

Several flags of a method change together: their lists are equally long.
"""

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from samtl.common.errors import UserError
from samtl.comparison.text import percent

MOST_FLAGS = 3  # that a method may tune


def trial_plan(plan: dict) -> dict:
    """The plan of all trials: each is a method of its own.

    Args:
        plan: from `plan.read_plan` or `plan.override`.

    Returns:
        plan whose methods are `<method>-<number of the trial, from 1>`, with
        the seeds of the trials.

    Raises:
        UserError: the plan has no trials, or some methods have more of them.
    """
    trials = plan.get("trials")
    if not trials or not plan.get("trial_seeds"):
        raise UserError(
            "the plan has no [trials] and trial_seeds; plans/small.toml has"
        )
    fault = _fault(plan)
    if fault:
        raise UserError(fault)
    methods = {}
    for name, facts in plan["methods"].items():
        for number, flags in enumerate(_flags(trials[name]), 1):
            text = ", ".join(f"{k} = {v}" for k, v in flags.items())
            title = f"{facts['title']}: {text}"
            methods[f"{name}-{number}"] = {**facts, **flags, "title": title}
    kept = {key: plan[key] for key in ("settings", "pairs")}
    return {"seeds": plan["trial_seeds"], **kept, "methods": methods}


def validation(results: pd.DataFrame, plan: dict) -> pd.DataFrame:
    """Validation accuracy of every trial, and which is each method's best.

    Args:
        results: of the trials, as in results.csv.
        plan: from `trial_plan`.

    Returns:
        one row a finished trial, in the order of the plan: a column a task,
        the means over pairs and seeds in 0..1; `mean` of the tasks; `is_best`,
        the highest mean of the method's trials.
    """
    found = results.pivot_table("validation_accuracy", "method", "task")
    found = found.reindex(plan["methods"]).dropna(how="all")
    found["mean"] = found.mean(axis=1)
    method = found.index.str.rsplit("-", n=1).str[0]
    found["is_best"] = found.index.isin(found["mean"].groupby(method).idxmax())
    return found


def print_choice(out: Path, plan: dict) -> None:
    """Print the `validation` of the trials in the folder of a comparison."""
    found = validation(pd.read_csv(out / "results.csv"), plan)
    tasks = [name for name in found if name not in ("mean", "is_best")]
    table = Table("validation, in %", *tasks, "mean", "")
    for name, row in found.iterrows():
        cells = [
            "" if pd.isna(row[task]) else percent(row[task])
            for task in (*tasks, "mean")
        ]
        mark = "best" if row["is_best"] else ""
        table.add_row(plan["methods"][name]["title"], *cells, mark)
    # Titles may contain markup.
    Console(markup=False, emoji=False).print(table)


def _fault(plan):
    """Why the trials of a plan are not fair, or None."""
    trials, counts = plan["trials"], {}
    both = set(plan["trial_seeds"]) & set(plan["seeds"])
    if both:
        return f"seed {min(both)} is of the trials and of the table"
    for name in plan["methods"]:
        if name not in trials:
            return f"{name} has no trials, other methods have"
        lengths = {len(values) for values in trials[name].values()}
        if len(lengths) != 1 or len(trials[name]) > MOST_FLAGS:
            return (
                f"the trials of {name} are not one to {MOST_FLAGS} flags with "
                "equally many values"
            )
        counts.setdefault(lengths.pop(), name)
    if len(counts) > 1:
        (most, one), (least, other) = max(counts.items()), min(counts.items())
        return (
            f"{one} has {most} trials, {other} {least}; all need equally many"
        )
    return None


def _flags(trials):
    """{flag: value} of each trial of a method."""
    return [
        dict(zip(trials, values, strict=True))
        for values in zip(*trials.values(), strict=True)
    ]

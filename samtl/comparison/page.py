"""The report of a comparison as one HTML file.

Every number is in an element with `data-metric`, inside elements that name its
pair, method and task, so that it can be found and checked. The layout is in the
Jinja templates beside this module, which escape all text but the figures.
"""

import functools
import json
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup

from samtl.comparison import figures, text
from samtl.comparison.convergence import ENOUGH
from samtl.comparison.loading import Comparison
from samtl.comparison.main_table import (
    cost_cells,
    delta_cells,
    fewer_seeds,
    main_table,
    most_seeds,
    tested_over,
)
from samtl.comparison.summary import Numbers

FOLDER = Path(__file__).parent
FILTERS = (
    *(text.percent, text.points, text.probability),
    *(text.interval, text.number, text.seconds, text.times),
)
FIGURES = ("forest", "wins", "curves", "pseudo", "weights")


def html(
    name: str, comparison: Comparison, numbers: Numbers, drawn: dict[str, str]
) -> str:
    """The page.

    Args:
        name: of the comparison.
        comparison: from `loading.read_comparison`.
        numbers: from `summary.numbers`.
        drawn: {name: SVG} of the figures.
    """
    style = (FOLDER / "page.css").read_text(encoding="utf-8")
    failed = comparison.failed.drop_duplicates("run")  # pairs may share one
    return (
        _templates()
        .get_template("page.html.j2")
        .render(
            name=name,
            style=Markup(style),
            title=comparison.title,
            baseline=comparison.baseline_title,
            reference=comparison.reference
            and comparison.title(comparison.reference),
            facts=_facts(comparison),
            settings=_settings(comparison),
            unequal=comparison.unequal,
            enough=ENOUGH,
            commits=sorted(set(map(_short, comparison.results["commit"]))),
            pairs=[
                _pair(pair, comparison, numbers, drawn)
                for pair in comparison.pairs
            ],
            tested_on=numbers.tested_on,
            ranks=numbers.ranks,
            ranks_svg=_inline(drawn["ranks"]) if numbers.ranks else None,
            failed=failed.to_dict("records"),
        )
    )


@functools.cache
def _templates():
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {filter.__name__: filter for filter in FILTERS}
    return environment


def _facts(comparison):
    """{noun: its number} for the head of the page."""
    results = comparison.results
    return {
        "methods": len(comparison.methods),
        "pairs": len(comparison.pairs),
        "seeds": results["seed"].nunique(),
        "runs": results["run"].nunique(),
        "failed": comparison.failed["run"].nunique(),
    }


def _settings(comparison):
    """(flag, value, exceptions) of the plan's settings.

    The exceptions are pairs and methods with a value of their own.
    """
    plan = comparison.plan
    if not plan:
        return []
    return [
        (
            flag,
            _setting(value),
            [
                *(
                    name
                    for name in plan["pairs"]
                    if flag in plan["pairs"][name]
                ),
                *(
                    comparison.title(name)
                    for name in plan["methods"]
                    if flag in plan["methods"][name]
                ),
            ],
        )
        for flag, value in plan["settings"].items()
    ]


def _pair(pair, comparison, numbers, drawn):
    """The values of a pair's section."""
    table = main_table(comparison, numbers, pair)
    changes = delta_cells(comparison, numbers, pair)
    tasks = comparison.tasks(pair)
    most = most_seeds(table)
    flags = None
    if comparison.plan:
        flags = {
            key.removeprefix("dataset_"): _setting(value)
            for key, value in comparison.plan["pairs"].get(pair, {}).items()
        }
    return {
        "name": pair,
        "anchor": f"pair-{pair}",
        "tasks": tasks,
        "flags": flags,
        "table": {
            method: {task: cells.get(task) for task in tasks}
            for method, cells in table.items()
        },
        "changes": changes,
        "most_seeds": most,
        "fewer_seeds": {
            method: fewer_seeds(cells, most) for method, cells in table.items()
        },
        "tested_over": tested_over(numbers, pair),
        "change_verdict": _verdict(changes, "difference") if changes else None,
        "verdicts": {
            task: _verdict(_column(table, task), "accuracy") for task in tasks
        },
        "figures": {
            kind: {
                task: _inline(drawn[f"{kind}_{pair}_{task}"])
                for task in tasks
                if f"{kind}_{pair}_{task}" in drawn
            }
            for kind in FIGURES
        },
        "changes_svg": _inline(drawn[f"delta_m_{pair}"])
        if f"delta_m_{pair}" in drawn
        else None,
        "gains": _gains(comparison, numbers, pair),
        "transfer": _transfer(table, tasks),
        "confusions": {
            task: _confusions(comparison, pair, task) for task in tasks
        },
        "costs": cost_cells(comparison, numbers, pair),
    }


def _column(table, task):
    """{method: cell} of a task."""
    return {name: row[task] for name, row in table.items() if task in row}


def _verdict(cells, score):
    """The best method by a score, and how many differ from the baseline."""
    best = max(cells, key=lambda name: cells[name][score])
    tested = [c for c in cells.values() if c["corrected_p"] is not None]
    different = [c["difference"] for c in tested if c["is_significant"]]
    return {
        "best": best,
        "cell": cells[best],
        "tested": len(tested),
        "better": sum(difference > 0 for difference in different),
        "worse": sum(difference < 0 for difference in different),
    }


def _gains(comparison, numbers, pair):
    """{task: {method: gain of the last quarter}}, the largest first."""
    rows = numbers.gains[numbers.gains["pair"] == pair]
    rows = rows.sort_values("gain", ascending=False, kind="stable")
    return {
        task: dict(zip(own["method"], own["gain"], strict=True))
        for task in comparison.tasks(pair)
        if len(own := rows[rows["task"] == task])
    }


def _transfer(table, tasks):
    """Worst difference and forgetting of the methods that have either."""
    rows = []
    for method, cells in table.items():
        differences = {
            task: cell["difference"]
            for task, cell in cells.items()
            if cell["difference"] is not None
        }
        forgetting = {
            task: cells[task]["forgetting"] if task in cells else None
            for task in tasks
        }
        worst = min(differences, key=differences.get, default=None)
        if worst or any(value is not None for value in forgetting.values()):
            rows.append(
                {
                    "method": method,
                    "worst": worst,
                    "difference": differences.get(worst),
                    "forgetting": forgetting,
                }
            )
    return rows


def _confusions(comparison, pair, task):
    """{method: {class: [(share of the row, mean count) of each class]}}."""
    results = comparison.results
    rows = results[(results["pair"] == pair) & (results["task"] == task)]
    return {
        method: _confusion(rows[rows["method"] == method])
        for method in comparison.methods
        if method in set(rows["method"])
    }


def _confusion(rows):
    matrices = [json.loads(matrix) for matrix in rows["confusion"]]
    classes = json.loads(rows["classes"].iloc[0])
    mean = np.mean(matrices, axis=0)
    return {
        name: list(zip(row / max(row.sum(), 1), row, strict=True))
        for name, row in zip(classes, mean, strict=True)
    }


def _inline(svg):
    """A figure for the page; Matplotlib has escaped its text."""
    return Markup(figures.inline(svg))


def _short(commit):
    """The first ten letters of each commit's id, and its -dirty mark."""
    found = []
    for part in commit.split("+"):
        name, dash, rest = part.partition("-")
        found.append(f"{name[:10]}{dash}{rest}" or "unknown")
    return "+".join(found)


def _setting(value):
    """A value of the plan, as it is written there but for the quotes."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_setting(v)}" for key, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)

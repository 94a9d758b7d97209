"""The main table of a pair: scores, and tests against the baseline."""

from samtl.comparison import statistics
from samtl.comparison.loading import Comparison
from samtl.comparison.summary import Numbers
from samtl.comparison.text import known, percent, points


def main_table(
    comparison: Comparison, numbers: Numbers, pair: str
) -> dict[str, dict[str, dict]]:
    """The cells of the main table, for every method and task of a pair.

    Returns:
        {method: {task: cell}}. A cell has the columns of `summary.scores` and
        of `differences` to the baseline, None where unknown; is_best and
        is_best_balanced, when no method is better in the digits that are
        shown; and is_significant.
    """
    found, best = {}, {}
    tests = numbers.differences
    tests = tests[tests["pair"] == pair]
    tests = tests[tests["baseline"] == comparison.baseline]
    tests = tests.set_index(["task", "method"])
    untested = dict.fromkeys(tests.columns)
    for task in comparison.tasks(pair):
        rows = numbers.scores.loc[pair, task]
        for kind in ("accuracy", "balanced_accuracy"):
            best[task, kind] = percent(rows[kind].max())
        for method in comparison.methods:
            if method not in rows.index:
                continue
            key = (task, method)
            test = tests.loc[key].to_dict() if key in tests.index else untested
            cell = {**test, **rows.loc[method].to_dict()}
            cell = {name: known(value) for name, value in cell.items()}
            p = cell["corrected_p"]
            found.setdefault(method, {})[task] = {
                **cell,
                "seeds": int(cell["seeds"]),
                "is_best": percent(cell["accuracy"]) == best[task, "accuracy"],
                "is_best_balanced": percent(cell["balanced_accuracy"])
                == best[task, "balanced_accuracy"],
                "is_significant": p is not None and p < statistics.ALPHA,
            }
    return {name: found[name] for name in comparison.methods if name in found}


def delta_cells(
    comparison: Comparison, numbers: Numbers, pair: str
) -> dict[str, dict]:
    """The Delta_m of the methods of a pair that have one.

    Returns:
        {method: cell}. A cell has the columns of `delta_m`, None where unknown,
        as for the baseline itself, whose difference is 0; is_best and
        is_significant as in `main_table`. Empty where nothing is compared.
    """
    tests = numbers.delta_m
    tests = tests[tests["pair"] == pair]
    tests = tests[tests["baseline"] == comparison.baseline]
    if tests.empty:
        return {}
    untested = dict.fromkeys(tests.columns) | {"difference": 0.0}
    found = tests.set_index("method").to_dict("index")
    found[comparison.baseline] = untested
    best = points(max(cell["difference"] for cell in found.values()))
    return {
        method: {
            **found[method],
            "is_best": points(found[method]["difference"]) == best,
            "is_significant": method != comparison.baseline
            and found[method]["corrected_p"] < statistics.ALPHA,
        }
        for method in comparison.methods
        if method in found
    }


def cost_cells(
    comparison: Comparison, numbers: Numbers, pair: str
) -> dict[str, dict[str, float | None]]:
    """The cost of the methods of a pair: {method: columns of `costs`}.

    None where unknown.
    """
    costs = numbers.costs
    found = costs[costs.index.get_level_values("pair") == pair].droplevel(
        "pair"
    )
    return {
        method: {name: known(v) for name, v in found.loc[method].items()}
        for method in comparison.methods
        if method in found.index
    }


def most_seeds(table: dict) -> int:
    """The largest number of seeds of any method of a `main_table`."""
    return max(cell["seeds"] for row in table.values() for cell in row.values())


def fewer_seeds(cells: dict, most: int) -> int | None:
    """The smallest number of seeds of a method's tasks; None if it is `most`.

    Args:
        cells: {task: cell}, a row of a `main_table`.
        most: from `most_seeds`.
    """
    fewest = min(cell["seeds"] for cell in cells.values())
    return fewest if fewest < most else None


def tested_over(numbers: Numbers, pair: str) -> str:
    """What varies in the tests of a pair, within a sentence; "" without any."""
    tests = numbers.differences
    common = tests[tests["pair"] == pair].groupby("task")["seeds"].max()
    if common.empty:
        return ""
    if (common > 1).all():
        return "over test images and seeds"
    return "over test images alone (what another seed changes, one cannot tell)"

"""Tables, figures and the HTML report of a comparison.

They are computed from results.csv, rounds.csv, failed.csv and plan.toml of
a folder that compare.py has written.
"""

import argparse
from pathlib import Path

from samtl.common import files, flags
from samtl.common.errors import UserError, run_script
from samtl.common.text import counted
from samtl.comparison import (
    convergence,
    diagnostics,
    figures,
    page,
    summary,
)
from samtl.comparison.loading import Comparison, read_comparison
from samtl.comparison.main_table import (
    cost_cells,
    delta_cells,
    fewer_seeds,
    main_table,
    most_seeds,
    tested_over,
)
from samtl.comparison.text import (
    interval,
    percent,
    points,
    probability,
    times,
)

LEGEND = """\
Test accuracy in %, mean ± standard deviation over the seeds; balanced accuracy
in %; difference to {baseline} in points with p of a paired test,
Holm-corrected over the methods and tasks of the pair. Δm: mean over the tasks
of the relative change against {baseline} in %, its 95 % interval, and p,
corrected over the methods of the pair. Bold: best of the column, and p < 0.05.
"""
COSTS = {
    "relative_seconds": "time",
    "forward": "forward",
    "backward": "backward",
}
COST_LEGEND = """\
Time of training relative to {reference}; forward and backward passes of images
for each image that {reference} trains on, where they were counted.
"""


def write_report(out: Path) -> list[str]:
    """Write comparisons.csv, delta_m.csv, table.md, figures and report.html.

    Args:
        out: folder of the comparison. One seed or one method make a shorter
            report.

    Returns:
        what the runs are too short to show, see `convergence.caveats`.

    Raises:
        UserError: there is no results.csv, or a file cannot be written.
    """
    out = Path(out)
    comparison = read_comparison(out)
    if (out / "figures").is_symlink():
        raise UserError(
            f"{out / 'figures'} is a link, and would take the figures to "
            "another folder; remove it"
        )
    numbers = summary.numbers(comparison)
    for name, table in (
        ("comparisons.csv", numbers.differences),
        ("delta_m.csv", numbers.delta_m),
    ):
        with files.write(out / name) as path:
            table.to_csv(path, index=False, float_format="%.6g")
    _write_text(out / "table.md", markdown(comparison, numbers))
    drawn = _draw(comparison, numbers, out)
    for name, svg in drawn.items():
        _write_text(out / "figures" / f"{name}.svg", svg)
    _write_text(
        out / "report.html",
        page.html(out.resolve().name, comparison, numbers, drawn),
    )
    return convergence.caveats(comparison, numbers.gains)


def markdown(comparison: Comparison, numbers: summary.Numbers) -> str:
    """The main table of every pair, as Markdown."""
    parts = []
    for pair in comparison.pairs:
        tasks = comparison.tasks(pair)
        columns = ["accuracy", "balanced", "difference", "p"]
        heads = [
            f"{task} {column}" if place == 0 else column
            for task in tasks
            for place, column in enumerate(columns)
        ]
        table = main_table(comparison, numbers, pair)
        changes = delta_cells(comparison, numbers, pair)
        heads += ["Δm", "p"] if changes else []
        costs = cost_cells(comparison, numbers, pair)
        known = [
            name
            for name in COSTS
            if any(cell[name] is not None for cell in costs.values())
        ]
        heads += [COSTS[name] for name in known]
        lines = [["method", *heads], ["---", *["---:"] * len(heads)]]
        most = most_seeds(table)
        for method, cells in table.items():
            title = comparison.titles[method]
            title += " (unequal)" if method in comparison.unequal else ""
            line = [_name(title, cells, most)]
            for task in tasks:
                line += _cells(cells.get(task))
            if changes:
                line += _delta_cells(changes.get(method))
            values = [costs[method][name] for name in known]
            line += ["" if value is None else times(value) for value in values]
            lines.append(line)
        rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        note = counted(most, "seed")
        varied = tested_over(numbers, pair)
        if varied:
            note += f", tested {varied}"
        parts.append(f"## {pair}\n\n{rows}\n\n{note}.\n")
    legend = LEGEND.format(baseline=comparison.baseline_title)
    if comparison.reference:
        title = comparison.title(comparison.reference)
        legend += COST_LEGEND.format(reference=title)
    for method, reason in comparison.unequal.items():
        legend += f"Unequal: {comparison.title(method)}, {reason}.\n"
    parts.append(legend)
    return "\n".join(parts)


def _name(title, cells, most):
    fewer = fewer_seeds(cells, most)
    note = "" if fewer is None else f" ({fewer} of {most} seeds)"
    return title.replace("|", r"\|") + note


def _cells(cell):
    """The four Markdown cells of a method and a task."""
    if cell is None:
        return [""] * 4
    accuracy = percent(cell["accuracy"])
    if cell["is_best"]:
        accuracy = f"**{accuracy}**"
    if cell["accuracy_deviation"] is not None:
        accuracy += f" ± {percent(cell['accuracy_deviation'])}"
    balanced = percent(cell["balanced_accuracy"])
    if cell["is_best_balanced"]:
        balanced = f"**{balanced}**"
    if cell["difference"] is None:
        return [accuracy, balanced, "", ""]
    return [accuracy, balanced, points(cell["difference"]), _p(cell)]


def _delta_cells(cell):
    """The two Markdown cells of a method's Delta_m."""
    if cell is None:
        return ["", ""]
    change = points(cell["difference"])
    if cell["is_best"]:
        change = f"**{change}**"
    if cell["corrected_p"] is None:
        return [change, ""]
    return [f"{change} ({interval(cell['low'], cell['high'])})", _p(cell)]


def _p(cell):
    p = probability(cell["corrected_p"])
    return f"**{p}**" if cell["is_significant"] else p


def _draw(comparison, numbers, out):
    """{file name without suffix: SVG} of every figure that has data."""
    drawn = {}
    known = diagnostics.accuracies(comparison, out)
    for pair in comparison.pairs:
        weights = diagnostics.last_weights(comparison, out, pair)
        for task in comparison.tasks(pair):
            found = _task_figures(
                comparison,
                task,
                _rows(numbers.differences, pair=pair, task=task),
                _rows(comparison.rounds, pair=pair),
                _rows(known, pair=pair, task=task),
                _rows(weights, task=task),
            )
            for name, figure in found:
                drawn[f"{name}_{pair}_{task}"] = figures.svg(figure)
        changes = _rows(
            numbers.delta_m, pair=pair, baseline=comparison.baseline
        )
        if len(changes):
            figure = figures.forest(changes, comparison.labels, "Δm (%)")
            drawn[f"delta_m_{pair}"] = figures.svg(figure)
    if numbers.ranks:
        figure = figures.ranks(numbers.ranks, comparison.labels)
        drawn["ranks"] = figures.svg(figure)
    return drawn


def _task_figures(comparison, task, tests, rounds, known, weights):
    """(name, Figure) of a pair's task; those that the tables have data for."""
    titles, baseline = comparison.labels, comparison.baseline
    column = f"validation_{task}_accuracy"
    to_baseline = _rows(tests, baseline=baseline)
    if len(to_baseline):
        unit = "points of accuracy"
        yield "forest", figures.forest(to_baseline, titles, unit)
    if len(tests):
        yield "wins", figures.wins(tests, titles)
    if column in rounds and rounds[column].notna().any():
        yield "curves", figures.curves(rounds, task, titles, baseline)
    if len(known):
        yield "pseudo", figures.pseudo_accuracy(known, titles)
    if len(weights):
        yield "weights", figures.weights(weights, titles)


def _rows(table, **values):
    """The rows that have these values."""
    for name, value in values.items():
        table = table[table[name] == value]
    return table


def _write_text(path, text):
    with files.write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def parser() -> argparse.ArgumentParser:
    parser = flags.parser(__doc__, None)
    parser.prog = "python -m samtl.comparison.report"
    text = "folder of a comparison, for example comparison/small"
    parser.add_argument("out", type=Path, metavar="FOLDER", help=text)
    return parser


def main() -> None:
    out = parser().parse_args().out
    write_report(out)
    print(out / "report.html")


if __name__ == "__main__":
    run_script(main)

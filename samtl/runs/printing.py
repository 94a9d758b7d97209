"""Tables of a run's scores for the terminal."""

from rich.console import Console
from rich.table import Table

from samtl.runs.results import SPLITS


def print_results(result: dict) -> None:
    """Print the scores, in percent, as tables.

    Args:
        result: as in `results.write_result`; its "forgetting", if any, is that
            of `scoring.forgetting`.
    """
    tasks = result["tasks"]
    headings = {
        "accuracy": "accuracy",
        "macro_f1": "macro F1",
        "balanced_accuracy": "balanced",
        "one_off_accuracy": "1-off",
    }
    headings = {
        score: heading
        for score, heading in headings.items()
        if any(score in entry["test"] for entry in tasks.values())
    }
    table = _table("results (%)", ("task", "split"), (*headings.values(), "n"))
    for task, entry in tasks.items():
        for split in SPLITS:
            scores = entry[split]
            table.add_row(
                task if split == SPLITS[0] else "",
                split,
                *(_percent(scores.get(score)) for score in headings),
                f"{scores['count']:,}",
                end_section=split == SPLITS[-1],
            )
    console = Console()
    console.print(table)
    forgetting = {
        task: entry
        for task, entry in result.get("forgetting", {}).items()
        if entry["own"] and entry["others"]
    }
    if not forgetting:
        return
    table = _table(
        "validation accuracy (%) after rounds on own and other datasets",
        ("task",),
        ("own mean", "own best", "other mean", "other best", "forgotten"),
    )
    for task, entry in forgetting.items():
        values = [
            entry[who][what]
            for who in ("own", "others")
            for what in ("mean", "best")
        ]
        table.add_row(task, *map(_percent, (*values, entry["drop"])))
    console.print(table)


def _table(title, texts, numbers):
    table = Table(title=title, title_justify="left")
    for heading in texts:
        table.add_column(heading)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def _percent(value):
    return "" if value is None else f"{100 * value:.1f}"

"""The tables of a comparison's page."""

from html import escape

from samtl.comparison import summary
from samtl.comparison.text import (
    data,
    number,
    percent,
    points,
    probability,
    seconds,
    where,
)


def title(comparison, method):
    """Name of a method for the reader, as HTML."""
    return escape(comparison.titles.get(method, method))


def baseline(comparison):
    """Name of the baseline within a sentence, as HTML."""
    return escape(comparison.baseline_title)


def scores(table, tasks, comparison, tested):
    """The main table; on a narrow page a task has a line of its own.

    tested: from `summary.tested_over`.
    """
    groups = "".join(
        f'<th class="group" colspan="5" scope="colgroup">{escape(task)}</th>'
        for task in tasks
    )
    # The narrow page keeps the first task's headings, for all tasks.
    heads = "".join(
        _heads("" if place == 0 else " repeat") for place in range(len(tasks))
    )
    most = summary.most_seeds(table)
    rows = "\n".join(
        f"<tr{where(method=method)}><th scope=row>"
        f"{title(comparison, method)}{_fewer_seeds(cells, most)}</th>"
        + "".join(_score_cells(task, cells.get(task)) for task in tasks)
        + "</tr>"
        for method, cells in table.items()
    )
    return (
        '<div class="scroll"><table class="stacked"><thead>'
        f'<tr class="groups"><th></th>{groups}</tr>'
        f'<tr><th class="repeat">method</th>{heads}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>\n"
        '<p class="facts">Test accuracy, mean ± standard deviation over '
        f"{data('seeds', most)} {'seed' if most == 1 else 'seeds'}, and "
        f"balanced accuracy in %. {_tests(comparison, tested)}Bold: best of "
        "the column.</p>"
    )


def _tests(comparison, tested):
    if not tested:
        return ""
    return (
        f"Difference to {baseline(comparison)} in points; p of a paired test "
        f"{tested}, Holm-corrected over the methods and tasks of this pair; "
        "coloured: p < 0.05. "
    )


def _heads(kind):
    names = ("balanced", "difference", "p")
    return f'<th class="label{kind}"></th><th class="of first{kind}">' + (
        "accuracy</th>"
        + "".join(f'<th class="of{kind}">{name}</th>' for name in names)
    )


def _fewer_seeds(cells, most):
    fewer = summary.fewer_seeds(cells, most)
    if fewer is None:
        return ""
    return f" <small>{data('seeds', fewer)} of {most} seeds</small>"


def _score_cells(task, cell):
    """The label and the four cells of a method and a task."""
    place = where(task=task)
    if cell is None:
        return f'<td class="label"></td>{"<td></td>" * 4}'
    accuracy = data("accuracy", percent(cell["accuracy"]))
    if cell["is_best"]:
        accuracy = f"<b>{accuracy}</b>"
    if cell["accuracy_deviation"] is not None:
        spread = percent(cell["accuracy_deviation"])
        accuracy += f" <small>± {data('accuracy_deviation', spread)}</small>"
    balanced = data("balanced_accuracy", percent(cell["balanced_accuracy"]))
    if cell["is_best_balanced"]:
        balanced = f"<b>{balanced}</b>"
    difference = p = ""
    if cell["difference"] is not None:
        kind = ""
        if cell["is_significant"]:
            kind = "better" if cell["difference"] > 0 else "worse"
        shown = data("difference", points(cell["difference"]))
        difference = f'<span class="{kind}">{shown}</span>'
        p = data("corrected_p", probability(cell["corrected_p"]))
    return (
        f'<td class="label">{escape(task)}</td>'
        f'<td class="first"{place}>{accuracy}</td><td{place}>{balanced}</td>'
        f"<td{place}>{difference}</td><td{place}>{p}</td>"
    )


def transfer(table, tasks, comparison):
    """Which tasks suffer from company, and what is forgotten."""
    rows = []
    for method, cells in table.items():
        tested = {
            task: cell
            for task, cell in cells.items()
            if cell["difference"] is not None
        }
        forgotten = [
            cells[task]["forgetting"] if task in cells else None
            for task in tasks
        ]
        if not tested and not any(value is not None for value in forgotten):
            continue
        worst = min(
            tested, key=lambda task: tested[task]["difference"], default=None
        )
        line = "<td></td>"
        if worst:
            value = points(tested[worst]["difference"])
            line = (
                f"<td{where(task=worst)}>{data('worst', value)} "
                f"<small>{escape(worst)}</small></td>"
            )
        for task, value in zip(tasks, forgotten, strict=True):
            shown = "" if value is None else data("forgetting", percent(value))
            line += f"<td{where(task=task)}>{shown}</td>"
        rows.append(
            f"<tr{where(method=method)}><th scope=row>"
            f"{title(comparison, method)}</th>{line}</tr>"
        )
    if not rows:
        return ""
    heads = "".join(
        f'<th class="of">forgotten of {escape(task)}</th>' for task in tasks
    )
    body = "\n".join(rows)
    return (
        "<h3>Negative transfer and forgetting</h3>\n"
        '<div class="scroll"><table><thead><tr><th>method</th>'
        f'<th class="of">worst difference</th>{heads}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>\n"
        '<p class="facts">Worst difference: of all tasks, in points against '
        f"{baseline(comparison)}; against single tasks, below zero is what "
        "the company of the other tasks costs. Forgotten: how far validation "
        "accuracy falls, on average, from a round on a task's own dataset to "
        "the next rounds on others, in points.</p>"
    )


def confusions(pair, tasks, comparison):
    """The confusion matrices of every method, folded by task."""
    results = comparison.results
    parts = ["<h3>Confusion matrices</h3>"]
    for task in tasks:
        rows = results[(results["pair"] == pair) & (results["task"] == task)]
        shown = [m for m in comparison.methods if m in set(rows["method"])]
        matrices = "\n".join(
            f"<div{where(method=method)}><h4>{title(comparison, method)}"
            f"</h4>{_confusion(rows[rows['method'] == method])}</div>"
            for method in shown
        )
        parts.append(
            f"<details{where(task=task)}><summary>{escape(task)}</summary>\n"
            f'<div class="panels">\n{matrices}\n</div></details>'
        )
    return "\n".join(parts) + (
        '\n<p class="facts">Rows are true classes, columns predicted ones: '
        "share of the row in %, and below it the number of test images, mean "
        "over the seeds.</p>"
    )


def _confusion(rows):
    matrix, classes = summary.confusion(rows), summary.classes(rows)
    heads = "".join(f"<th><span>{escape(name)}</span></th>" for name in classes)
    lines = ""
    for name, row in zip(classes, matrix, strict=True):
        shares = row / max(row.sum(), 1)
        cells = "".join(
            _confusion_cell(share, count)
            for share, count in zip(shares, row, strict=True)
        )
        lines += f"<tr><th>{escape(name)}</th>{cells}</tr>"
    return (
        f'<table class="confusion" data-metric="confusion"><thead><tr><th></th>'
        f"{heads}</tr></thead><tbody>{lines}</tbody></table>"
    )


def _confusion_cell(share, count):
    if count == 0:
        return "<td></td>"
    kind = ' class="deep"' if share > 0.55 else ""
    return (
        f'<td{kind} style="--s:{100 * share:.0f}">{100 * share:.0f}'
        f"<small>{number(count)}</small></td>"
    )


def costs(pair, comparison, numbers):
    """What a seed of each method costs."""
    rows = ""
    for method in comparison.methods:
        if (pair, method) not in numbers.costs.index:
            continue
        cost = numbers.costs.loc[pair, method]
        share = percent(cost["pseudo_share"]) if cost["pseudo_share"] else ""
        cells = "".join(
            f"<td>{data(name, value)}</td>"
            for name, value in (
                ("seconds", seconds(cost["seconds"])),
                ("pseudo_share", share),
                ("images_per_second", number(cost["images_per_second"])),
                ("peak_memory_mib", number(cost["peak_memory_mib"])),
            )
        )
        rows += (
            f"<tr{where(method=method)}><th scope=row>"
            f"{title(comparison, method)}</th>{cells}</tr>\n"
        )
    return (
        "<h3>Cost</h3>\n"
        '<div class="scroll"><table><thead><tr><th>method</th>'
        '<th class="of">time</th><th class="of">of it for pseudo labels (%)'
        '</th><th class="of">images/s</th><th class="of">memory (MiB)</th>'
        f"</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
        '<p class="facts">Mean over the seeds: time of a seed, for single '
        "tasks of all of them together; share of it that the teacher and its "
        "pseudo labels take; images trained on in a second; peak memory.</p>"
    )

"""The report of a comparison as one HTML file.

Every number stands in an element with `data-metric`, inside elements that
name its pair, method and task, so that it can be found and checked.
"""

from html import escape
from pathlib import Path

from utils.comparison import figures, summary
from utils.comparison.text import percent, points, probability, seconds

STYLE = Path(__file__).with_name("page.css")
CAPTIONS = {
    "forest": (
        "Right of the line a method is better than {baseline}: difference of "
        "the mean accuracies with its 95 % interval; filled and coloured where "
        "p < 0.05 after Holm's correction."
    ),
    "duels": (
        "A blue cell: the method of the row is better than that of the column "
        "(its number), a red one: worse, the deeper the more; a dot: p < 0.05 "
        "after Holm's correction over the row's method against all others."
    ),
    "curves": (
        "How validation accuracy grows: mean over the seeds in blue, from the "
        "lowest to the highest seed shaded, {baseline} in grey. Teeth are what "
        "the rounds on other datasets make a task forget."
    ),
    "pseudo": (
        "Pseudo labels against the truth that training did not see: selection "
        "works where the selected ones are right more often than the rejected."
    ),
    "weights": (
        "How the weights of each task's last pseudo labels spread in the first "
        "seed: all of them in grey, the selected ones in blue."
    ),
}
TITLES = {
    "forest": "Against {baseline}",
    "duels": "Every method against every other",
    "curves": "Learning curves",
    "pseudo": "Are the pseudo labels right?",
    "weights": "Weights of the pseudo labels",
}


def html(name, comparison, numbers, drawn):
    """The page.

    Args:
        name: of the comparison.
        comparison: from `summary.read`.
        numbers: from `summary.numbers`.
        drawn: {name: SVG} of the figures.
    """
    pairs = [
        _pair(pair, comparison, numbers, drawn) for pair in comparison.pairs
    ]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, '
            'initial-scale=1">',
            f"<title>{escape(name)}: comparison</title>",
            f"<style>\n{STYLE.read_text(encoding='utf-8')}</style>",
            "</head>\n<body>",
            _header(name, comparison),
            _overview(comparison, numbers, drawn),
            *pairs,
            _failures(comparison),
            "</body>\n</html>\n",
        ]
    )


def _header(name, comparison):
    results, parts = comparison.results, []
    commits = sorted({commit or "unknown" for commit in results["commit"]})
    facts = [
        ("methods", len(comparison.methods)),
        ("pairs", len(comparison.pairs)),
        ("seeds", results["seed"].nunique()),
        ("runs", results["run"].nunique()),
        ("failed", len(comparison.failed)),
    ]
    counted = ", ".join(f"{_data(key, value)} {key}" for key, value in facts)
    parts.append(f"<header>\n<h1>{escape(name)}</h1>\n<p>{counted}.</p>")
    if comparison.plan:
        settings = "; ".join(
            f"{key} {_setting(value)}"
            for key, value in comparison.plan["settings"].items()
        )
        parts.append(f'<p class="facts">Common to all runs: {settings}.</p>')
    names = ", ".join(f"<code>{escape(commit)}</code>" for commit in commits)
    if commits:
        parts.append(f'<p class="facts">Commit: {names}.</p>')
    links = [("overview", "Overview")]
    links += [(_anchor(pair), pair) for pair in comparison.pairs]
    links += [("failed", "Failed runs")]
    listed = " ".join(
        f'<a href="#{escape(anchor)}">{escape(title)}</a>'
        for anchor, title in links
    )
    return "\n".join([*parts, f"<nav>{listed}</nav>\n</header>"])


def _overview(comparison, numbers, drawn):
    parts = ['<section id="overview">\n<h2>Overview</h2>']
    for pair in comparison.pairs:
        table = summary.main_table(comparison, numbers, pair)
        items = "".join(
            f"<li{_where(task=task)}>{_verdict(table, task, comparison)}</li>"
            for task in comparison.tasks(pair)
        )
        parts.append(
            f"<h3>{escape(pair)}</h3>\n"
            f'<ul class="verdicts"{_where(pair=pair)}>{items}</ul>'
        )
    for pair, task, counts in numbers.tested_on:
        listed = ", ".join(
            f"{_title(comparison, method)} "
            f"{_data('count', count, method=method)}"
            for method, count in counts.items()
        )
        parts.append(
            f"<p{_where(pair=pair, task=task)}>{escape(task)} of "
            f"{escape(pair)} was not tested on the same images by all methods; "
            f"only those with the same are compared ({listed} images).</p>"
        )
    found = numbers.ranks
    if found:
        caption = (
            "Average rank of each method over "
            f"{_data('blocks', found['blocks'])} blocks of pair, task and "
            "seed; 1 is best. Two methods differ where their bars, half of "
            "Nemenyi's critical difference "
            f"({_data('critical_difference', _decimal(found))}) to both sides, "
            "do not overlap; blue: not told apart from the best. Friedman's "
            f"test that all are equal: p "
            f"{_data('friedman_p', probability(found['p']))}."
        )
        parts.append(
            "<h3>Ranks</h3>\n" + _figure([("", "ranks")], caption, drawn)
        )
    return "\n".join([*parts, "</section>"])


def _decimal(found):
    return f"{found['critical_difference']:.1f}"


def _verdict(table, task, comparison):
    """One sentence on a task: who is best, how many beat the baseline."""
    cells = {name: row[task] for name, row in table.items() if task in row}
    top = max(cells, key=lambda name: cells[name]["accuracy"])
    text = (
        f"<b>{escape(task)}</b>: {_title(comparison, top)} is best with "
        f"{_data('accuracy', percent(cells[top]['accuracy']), method=top)} %."
    )
    tested = [c for c in cells.values() if c["difference"] is not None]
    if not tested:
        return text
    better = sum(c["is_significant"] and c["difference"] > 0 for c in tested)
    worse = sum(c["is_significant"] and c["difference"] < 0 for c in tested)
    return text + (
        f" Of {_data('tested', len(tested))} methods, "
        f"{_data('better', better)} are better than {_baseline(comparison)} "
        f"with p < 0.05, {_data('worse', worse)} worse; the others cannot be "
        "told from it."
    )


def _pair(pair, comparison, numbers, drawn):
    table = summary.main_table(comparison, numbers, pair)
    tasks = comparison.tasks(pair)
    parts = [
        f'<section id="{escape(_anchor(pair))}"{_where(pair=pair)}>',
        f"<h2>{escape(pair)}</h2>",
    ]
    if comparison.plan:
        flags = "; ".join(
            f"{key} {_setting(value)}"
            for key, value in comparison.plan["pairs"].get(pair, {}).items()
        )
        parts.append(f'<p class="facts">{flags}</p>')
    parts.append(_scores(table, tasks, comparison))
    for kind in CAPTIONS:
        panels = [
            (task, f"{kind}_{pair}_{task}")
            for task in tasks
            if f"{kind}_{pair}_{task}" in drawn
        ]
        if panels:
            words = {"baseline": _baseline(comparison)}
            parts.append(f"<h3>{TITLES[kind].format(**words)}</h3>")
            caption = CAPTIONS[kind].format(**words)
            parts.append(_figure(panels, caption, drawn))
        if kind == "duels":
            parts.append(_transfer(table, tasks, comparison))
    parts.append(_confusions(pair, tasks, comparison))
    parts.append(_costs(pair, comparison, numbers))
    return "\n".join([*parts, "</section>"])


def _scores(table, tasks, comparison):
    groups = "".join(
        f'<th class="group" colspan="5" scope="colgroup">{escape(task)}</th>'
        for task in tasks
    )
    heads = "".join(
        '<th class="label repeat"></th>'
        f'<th class="first of{" repeat" * bool(place)}">accuracy</th>'
        + "".join(
            f'<th class="of{" repeat" * bool(place)}">{name}</th>'
            for name in ("balanced", "difference", "p")
        )
        for place in range(len(tasks))
    )
    heads = heads.replace('class="label repeat"', 'class="label"', 1)
    most = max(cell["seeds"] for row in table.values() for cell in row.values())
    rows = "\n".join(
        f"<tr{_where(method=method)}><th scope=row>"
        f"{_title(comparison, method)}{_fewer_seeds(cells, most)}</th>"
        + "".join(_score_cells(task, cells.get(task)) for task in tasks)
        + "</tr>"
        for method, cells in table.items()
    )
    return (
        '<div class="scroll"><table class="stacked scores"><thead>'
        f'<tr class="groups"><th></th>{groups}</tr>'
        f'<tr><th class="repeat">method</th>{heads}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>\n"
        '<p class="facts">Test accuracy, mean ± standard deviation over '
        f"{_data('seeds', most)} seeds, and balanced accuracy in %; difference "
        f"to {_baseline(comparison)} in points; p of a paired bootstrap over "
        "test images and seeds, Holm-corrected over the methods and tasks of "
        "this pair. Bold: best of the column; coloured: p < 0.05.</p>"
    )


def _fewer_seeds(cells, most):
    fewest = min(cell["seeds"] for cell in cells.values())
    if fewest == most:
        return ""
    return f" <small>{_data('seeds', fewest)} of {most} seeds</small>"


def _score_cells(task, cell):
    """The label and the four cells of a method and a task."""
    where = _where(task=task)
    if cell is None:
        return f'<td class="label"></td>{"<td></td>" * 4}'
    accuracy = _data("accuracy", percent(cell["accuracy"]))
    if cell["is_best"]:
        accuracy = f"<b>{accuracy}</b>"
    if cell["accuracy_deviation"] is not None:
        spread = percent(cell["accuracy_deviation"])
        accuracy += f" <small>± {_data('accuracy_deviation', spread)}</small>"
    balanced = _data("balanced_accuracy", percent(cell["balanced_accuracy"]))
    if cell["is_best_balanced"]:
        balanced = f"<b>{balanced}</b>"
    difference = p = ""
    if cell["difference"] is not None:
        kind = ""
        if cell["is_significant"]:
            kind = "better" if cell["difference"] > 0 else "worse"
        shown = _data("difference", points(cell["difference"]))
        difference = f'<span class="{kind}">{shown}</span>'
        p = _data("corrected_p", probability(cell["corrected_p"]))
    return (
        f'<td class="label">{escape(task)}</td>'
        f'<td class="first"{where}>{accuracy}</td><td{where}>{balanced}</td>'
        f"<td{where}>{difference}</td><td{where}>{p}</td>"
    )


def _transfer(table, tasks, comparison):
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
                f"<td{_where(task=worst)}>{_data('worst', value)} "
                f"<small>{escape(worst)}</small></td>"
            )
        for task, value in zip(tasks, forgotten, strict=True):
            shown = "" if value is None else _data("forgetting", percent(value))
            line += f"<td{_where(task=task)}>{shown}</td>"
        rows.append(
            f"<tr{_where(method=method)}><th scope=row>"
            f"{_title(comparison, method)}</th>{line}</tr>"
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
        f"{_baseline(comparison)}; below zero, the company of the other tasks "
        "costs that one. Forgotten: how far validation accuracy falls, on "
        "average, from a round on a task's own dataset to the next rounds on "
        "others, in points.</p>"
    )


def _confusions(pair, tasks, comparison):
    results = comparison.results
    parts = ["<h3>Confusion matrices</h3>"]
    for task in tasks:
        rows = results[(results["pair"] == pair) & (results["task"] == task)]
        shown = [m for m in comparison.methods if m in set(rows["method"])]
        matrices = "\n".join(
            f"<div{_where(method=method)}><h4>{_title(comparison, method)}"
            f"</h4>{_confusion(rows[rows['method'] == method])}</div>"
            for method in shown
        )
        parts.append(
            f"<details{_where(task=task)}><summary>{escape(task)}</summary>\n"
            f'<div class="panels">\n{matrices}\n</div></details>'
        )
    return "\n".join(parts) + (
        '\n<p class="facts">Rows are true classes, columns predicted ones: '
        "share of the row in %, and below it the number of test images, mean "
        "over the seeds.</p>"
    )


def _confusion(rows):
    matrix, classes = summary.confusion(rows), summary.classes(rows)
    heads = "".join(f"<th>{escape(name)}</th>" for name in classes)
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
        f"<small>{count:.4g}</small></td>"
    )


def _costs(pair, comparison, numbers):
    rows = ""
    for method in comparison.methods:
        if (pair, method) not in numbers.costs.index:
            continue
        cost = numbers.costs.loc[pair, method]
        share = percent(cost["pseudo_share"]) if cost["pseudo_share"] else ""
        cells = "".join(
            f"<td>{_data(name, value)}</td>"
            for name, value in (
                ("seconds", seconds(cost["seconds"])),
                ("images_per_second", f"{cost['images_per_second']:.0f}"),
                ("peak_memory_mib", f"{cost['peak_memory_mib']:,.0f}"),
                ("pseudo_share", share),
            )
        )
        rows += (
            f"<tr{_where(method=method)}><th scope=row>"
            f"{_title(comparison, method)}</th>{cells}</tr>\n"
        )
    return (
        "<h3>Cost</h3>\n"
        '<div class="scroll"><table><thead><tr><th>method</th>'
        '<th class="of">time</th><th class="of">images/s</th>'
        '<th class="of">memory (MiB)</th><th class="of">pseudo labels (%)</th>'
        f"</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
        '<p class="facts">Mean over the seeds: time of a seed, for single '
        "tasks of all of them together; images trained on in a second; peak "
        "memory; share of the time that goes into pseudo labels and "
        "teachers.</p>"
    )


def _failures(comparison):
    parts = ['<section id="failed">\n<h2>Failed runs</h2>']
    if comparison.failed.empty:
        return "\n".join([*parts, "<p>None.</p>\n</section>"])
    rows = "\n".join(
        f"<tr{_where(pair=row.pair, method=row.method)}>"
        f"<th scope=row>{escape(row.pair)}</th>"
        f"<th>{_title(comparison, row.method)}</th>"
        f"<td>{_data('seed', row.seed)}</td>"
        f'<th data-metric="error">{escape(row.error)}</th></tr>'
        for row in comparison.failed.itertuples()
    )
    return "\n".join(
        [
            *parts,
            '<div class="scroll"><table><thead><tr><th>pair</th>'
            '<th>method</th><th class="of">seed</th><th>error</th></tr>'
            f"</thead>\n<tbody>\n{rows}\n</tbody></table></div>\n</section>",
        ]
    )


def _figure(panels, caption, drawn):
    shown = "\n".join(
        f"<div{_where(task=task) if task else ''}>"
        f"{f'<h4>{escape(task)}</h4>' if task else ''}"
        f"{figures.inline(drawn[name])}</div>"
        for task, name in panels
    )
    return (
        f'<figure><div class="panels">\n{shown}\n</div>\n'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _data(metric, value, **where):
    return (
        f'<span data-metric="{metric}"{_where(**where)}>'
        f"{escape(str(value))}</span>"
    )


def _where(**names):
    return "".join(
        f' data-{name}="{escape(str(value))}"' for name, value in names.items()
    )


def _title(comparison, method):
    return escape(comparison.titles.get(method, method))


def _baseline(comparison):
    return _title(comparison, summary.BASELINE).lower()


def _setting(value):
    """A value of the plan, as it is written there but for the quotes."""
    if isinstance(value, dict):
        value = ", ".join(f"{key} {_setting(v)}" for key, v in value.items())
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return escape(str(value))


def _anchor(pair):
    return f"pair-{pair}"

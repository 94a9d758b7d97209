"""The report of a comparison as one HTML file.

Every number stands in an element with `data-metric`, inside elements that
name its pair, method and task, so that it can be found and checked.
"""

from html import escape
from pathlib import Path

from samtl.comparison import figures, summary, tables
from samtl.comparison.text import data, percent, probability, where

STYLE = Path(__file__).with_name("page.css")
CAPTIONS = {
    "forest": (
        "Right of the line a method is better than {baseline}: difference of "
        "the mean accuracies with its 95 % interval; filled and coloured where "
        "p < 0.05 after Holm's correction."
    ),
    "duels": (
        "A blue cell: the method of the row is better than that of the column "
        "(its number), an orange one: worse, the deeper the more; a dot: p < "
        "0.05 after Holm's correction over all tests of the row's method. "
        "Behind a row, how many methods it beats so, and how many beat it."
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
    commits = sorted(set(map(_short, results["commit"])))
    facts = [
        ("methods", len(comparison.methods)),
        ("pairs", len(comparison.pairs)),
        ("seeds", results["seed"].nunique()),
        ("runs", results["run"].nunique()),
        ("failed", comparison.failed["run"].nunique()),
    ]
    counted = ", ".join(
        f"{data(key, value)} {key.rstrip('s') if value == 1 else key}"
        for key, value in facts
    )
    parts.append(f"<header>\n<h1>{escape(name)}</h1>\n<p>{counted}.</p>")
    if comparison.plan:
        settings = "; ".join(
            f"{key} {_setting(value)}{_exceptions(comparison, key)}"
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


def _exceptions(comparison, flag):
    """The pairs and methods that have a value of their own for a setting."""
    plan = comparison.plan
    own = [
        escape(name) for name in plan["pairs"] if flag in plan["pairs"][name]
    ]
    own += [
        tables.title(comparison, name)
        for name in plan["methods"]
        if flag in plan["methods"][name]
    ]
    return f" (but for {', '.join(own)})" if own else ""


def _overview(comparison, numbers, drawn):
    verdicts = []
    for pair in comparison.pairs:
        table = summary.main_table(comparison, numbers, pair)
        items = "".join(
            f"<li{where(task=task)}>{_verdict(table, task, comparison)}</li>"
            for task in comparison.tasks(pair)
        )
        verdicts.append(
            f"<div{where(pair=pair)}><h3>{escape(pair)}</h3>\n"
            f"<ul>{items}</ul></div>"
        )
    listed = "\n".join(verdicts)
    parts = [
        '<section id="overview">\n<h2>Overview</h2>',
        f'<div class="panels verdicts">\n{listed}\n</div>',
    ]
    for pair, task, counts in numbers.tested_on:
        listed = ", ".join(
            f"{tables.title(comparison, method)} "
            + " and ".join(data("count", n, method=method) for n in sizes)
            for method, sizes in counts.items()
        )
        parts.append(
            f"<p{where(pair=pair, task=task)}>{escape(task)} of "
            f"{escape(pair)} was not tested on the same images by all runs "
            f"({listed} images); only those with the same are compared, and "
            "comparisons.csv says how many seeds of two methods these are.</p>"
        )
    found = numbers.ranks
    if found:
        caption = (
            "Average rank of each method over "
            f"{data('blocks', found['blocks'])} blocks of pair, task and "
            "seed; 1 is best. Two methods differ where their bars, half of "
            "Nemenyi's critical difference "
            f"({data('critical_difference', _decimal(found))}) to both sides, "
            "do not overlap; blue: not told apart from the best. Friedman's "
            f"test that all are equal: p "
            f"{data('friedman_p', probability(found['p']))}."
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
        f"<b>{escape(task)}</b>: {tables.title(comparison, top)} is best with "
        f"{data('accuracy', percent(cells[top]['accuracy']), method=top)} %."
    )
    tested = [c for c in cells.values() if c["difference"] is not None]
    if not tested:
        return text
    better = sum(c["is_significant"] and c["difference"] > 0 for c in tested)
    worse = sum(c["is_significant"] and c["difference"] < 0 for c in tested)
    return text + (
        f" Better than {tables.baseline(comparison)} with p < 0.05: "
        f"{data('better', better)} of {data('tested', len(tested))}, worse: "
        f"{data('worse', worse)}."
    )


def _pair(pair, comparison, numbers, drawn):
    table = summary.main_table(comparison, numbers, pair)
    tasks = comparison.tasks(pair)
    parts = [
        f'<section id="{escape(_anchor(pair))}"{where(pair=pair)}>',
        f"<h2>{escape(pair)}</h2>",
    ]
    if comparison.plan:
        flags = "; ".join(
            f"{key.removeprefix('dataset_')} {_setting(value)}"
            for key, value in comparison.plan["pairs"].get(pair, {}).items()
        )
        parts.append(f'<p class="facts">{flags}</p>')
    tested = summary.tested_over(numbers, pair)
    parts.append(tables.scores(table, tasks, comparison, tested))
    for kind in CAPTIONS:
        panels = [
            (task, f"{kind}_{pair}_{task}")
            for task in tasks
            if f"{kind}_{pair}_{task}" in drawn
        ]
        if panels:
            words = {"baseline": tables.baseline(comparison)}
            parts.append(f"<h3>{TITLES[kind].format(**words)}</h3>")
            caption = CAPTIONS[kind].format(**words)
            parts.append(_figure(panels, caption, drawn))
        if kind == "duels":
            parts.append(tables.transfer(table, tasks, comparison))
    parts.append(tables.confusions(pair, tasks, comparison))
    parts.append(tables.costs(pair, comparison, numbers))
    return "\n".join([*parts, "</section>"])


def _failures(comparison):
    parts = ['<section id="failed">\n<h2>Failed runs</h2>']
    if comparison.failed.empty:
        return "\n".join([*parts, "<p>None.</p>\n</section>"])
    # Pairs may share a run.
    rows = "\n".join(
        f"<tr{where(method=row.method)}>"
        f"<th scope=row>{data('run', row.run)}</th>"
        f"<th>{tables.title(comparison, row.method)}</th>"
        f"<td>{data('seed', row.seed)}</td>"
        f'<th data-metric="error">{escape(row.error)}</th></tr>'
        for row in comparison.failed.drop_duplicates("run").itertuples()
    )
    return "\n".join(
        [
            *parts,
            '<div class="scroll"><table><thead><tr><th>run</th>'
            '<th>method</th><th class="of">seed</th><th>error</th></tr>'
            f"</thead>\n<tbody>\n{rows}\n</tbody></table></div>\n</section>",
        ]
    )


def _figure(panels, caption, drawn):
    shown = "\n".join(
        f"<div{where(task=task) if task else ''}>"
        f"{f'<h4>{escape(task)}</h4>' if task else ''}"
        f"{figures.inline(drawn[name])}</div>"
        for task, name in panels
    )
    return (
        f'<figure><div class="panels">\n{shown}\n</div>\n'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _short(commit):
    """A commit's name in ten letters, and whether files had been changed."""
    name, dash, rest = commit.partition("-")
    return f"{name[:10]}{dash}{rest}" or "unknown"


def _setting(value):
    """A value of the plan, as it is written there but for the quotes."""
    if isinstance(value, dict):
        value = ", ".join(f"{key} {_setting(v)}" for key, v in value.items())
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return escape(str(value))


def _anchor(pair):
    return f"pair-{pair}"

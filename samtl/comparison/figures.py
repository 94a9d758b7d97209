"""The figures of a comparison: narrow panels, so that a phone shows them."""

import io
import math
import re

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from samtl.comparison.statistics import ALPHA
from samtl.comparison.text import MINUS
from samtl.runs.plots import COLOURS, FAINT, INK, MUTED, STYLE

# A panel is 360 points wide; a page shows a point as a pixel.
WIDTH = 360 / 72
ROW = 19 / 72  # inches that a method takes in a list
ACROSS = 3  # panels beside each other, at most
BLUE, RED, GREEN = COLOURS[:3]
PAPER = "#ffffff"
PANEL_STYLE = STYLE | {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "legend.fontsize": 10.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": PAPER,
    "svg.fonttype": "none",
    "text.parse_math": False,
    "svg.hashsalt": "",
}


def forest(tests: pd.DataFrame, titles: dict[str, str], unit: str) -> Figure:
    """Differences to a baseline with their intervals, a row a method.

    Args:
        tests: rows of `differences.differences` with one pair, task and
            baseline, or of `delta_m.delta_m` with one pair and baseline.
        titles: {method: name for the reader}.
        unit: of the differences.

    Returns:
        Figure; what is significant after correction is filled and coloured.
    """
    with matplotlib.rc_context(PANEL_STYLE):
        figure, axes = _list([titles[name] for name in tests["method"]])
        for place, test in enumerate(tests.itertuples()):
            colour = _verdict(test.difference, test.corrected_p)
            axes.plot(
                [test.low, test.high], [place, place], color=colour, linewidth=2
            )
            axes.plot(
                test.difference,
                place,
                marker="o",
                markersize=6,
                color=colour,
                markerfacecolor=PAPER if colour == MUTED else colour,
                markeredgewidth=1.5,
            )
        axes.axvline(0, color=INK, linewidth=1, zorder=0)
        axes.xaxis.set_major_formatter(_points)
        axes.set_xlabel(unit)
        return figure


def wins(tests: pd.DataFrame, titles: dict[str, str]) -> Figure:
    """Win/loss matrix of the methods: the row's lead over the column.

    Args:
        tests: rows of `differences.differences` of one pair and task.
        titles: {method: name for the reader}, in order.

    Returns:
        Figure; deeper colour for larger differences, dots where the row
        differs significantly from the column after correction over the row;
        on the right, the row's significant wins : losses.
    """
    order = [name for name in titles if name in set(tests["baseline"])]
    limit = max(tests["difference"].abs().max(), 1e-9)
    with matplotlib.rc_context(PANEL_STYLE):
        names = [titles[name] for name in order]
        figure, axes = _list(
            [f"{name}  {n}" for n, name in enumerate(names, 1)], extra=0.2
        )
        for test in tests.itertuples():
            row, column = order.index(test.baseline), order.index(test.method)
            # The test is of the column; its mirror image is the row's lead.
            lead = -test.difference
            colour = BLUE if lead > 0 else RED
            axes.add_patch(
                matplotlib.patches.Rectangle(
                    (column - 0.46, row - 0.46),
                    0.92,
                    0.92,
                    facecolor=colour,
                    alpha=0.08 + 0.72 * abs(lead) / limit,
                    linewidth=0,
                )
            )
            if test.corrected_p < ALPHA:
                axes.plot(column, row, ".", markersize=4, color=INK)
        for row, name in enumerate(order):
            own = tests[tests["baseline"] == name]
            is_loss = own["difference"][own["corrected_p"] < ALPHA] > 0
            axes.text(
                len(order) - 0.2,
                row,
                f"{(~is_loss).sum()} : {is_loss.sum()}",
                va="center",
                fontsize=9,
            )
        axes.set_xlim(-0.6, len(order) - 0.4)
        axes.xaxis.tick_top()
        places = range(0, len(order), math.ceil(len(order) / 9))
        numbers = [place + 1 for place in places]
        axes.set_xticks(places, numbers, fontsize=9)
        axes.grid(False)
        axes.spines[:].set_visible(False)
        return figure


def curves(
    rounds: pd.DataFrame, task: str, titles: dict[str, str], baseline: str
) -> Figure:
    """Validation accuracy over training, a small panel a method.

    Args:
        rounds: rows of rounds.csv of one pair.
        task: name of the task.
        titles: {method: name for the reader}, in order.
        baseline: method whose mean is drawn in every panel.

    Returns:
        Figure: mean and range over seeds, over the share of the rounds.
    """
    column = f"validation_{task}_accuracy"
    rounds = rounds.dropna(subset=[column])
    lines = {
        method: _over_training(rounds[rounds["method"] == method], column)
        for method in titles
        if method in set(rounds["method"])
    }
    shown = [name for name in lines if name != baseline] or list(lines)
    with matplotlib.rc_context(PANEL_STYLE):
        figure, grid = _panels([titles[name] for name in shown])
        for axes, name in zip(grid, shown, strict=True):
            if baseline in lines:
                share, mean, *_ = lines[baseline]
                axes.plot(share, 100 * mean, color=MUTED, linewidth=1)
            share, mean, low, high = lines[name]
            axes.fill_between(
                share,
                100 * low,
                100 * high,
                color=BLUE,
                alpha=0.2,
                linewidth=0,
            )
            axes.plot(share, 100 * mean, color=BLUE, linewidth=1.5)
        _share_axis(grid, "share of training (%)")
        # Early rounds start anywhere; the second half fills the panels.
        late = [low[share >= 50].min() for share, _, low, _ in lines.values()]
        top = max(high.max() for *_, high in lines.values())
        room = 0.1 * (top - min(late)) + 0.005
        grid[0].set_ylim(100 * (min(late) - room), 100 * (top + room))
        figure.supylabel("accuracy (%)", fontsize=11)
        return figure


def pseudo_accuracy(table: pd.DataFrame, titles: dict[str, str]) -> Figure:
    """Accuracy of the pseudo labels, a small panel a method.

    Args:
        table: rows of `diagnostics.accuracies` of one pair and task: method,
            share (of training, in %) and all, selected, rejected (0..1, NaN
            where unknown).
        titles: {method: name for the reader}, in order.
    """
    shown = [name for name in titles if name in set(table["method"])]
    kinds = (
        ("selected", BLUE, "-"),
        ("all", INK, ":"),
        ("rejected", RED, "-"),
    )
    with matplotlib.rc_context(PANEL_STYLE):
        figure, grid = _panels([titles[name] for name in shown])
        for axes, name in zip(grid, shown, strict=True):
            rows = table[table["method"] == name]
            means = rows.groupby("share")[[kind for kind, *_ in kinds]].mean()
            for kind, colour, style in kinds:
                axes.plot(
                    means.index,
                    100 * means[kind],
                    color=colour,
                    linestyle=style,
                    linewidth=1.5,
                    label=kind,
                )
        _share_axis(grid, "share of training (%)")
        figure.supylabel("right (%)", fontsize=11)
        _legend(figure, grid[0])
        return figure


def weights(table: pd.DataFrame, titles: dict[str, str]) -> Figure:
    """Histograms of the weights of pseudo labels, a small panel a method.

    Args:
        table: DataFrame of one pair and task: method, weight (0..1) and
            selected (0 or 1), a row an image.
        titles: {method: name for the reader}, in order.
    """
    shown = [name for name in titles if name in set(table["method"])]
    edges = np.linspace(0, 1, 26)
    with matplotlib.rc_context(PANEL_STYLE):
        figure, grid = _panels([titles[name] for name in shown], sharey=False)
        for axes, name in zip(grid, shown, strict=True):
            rows = table[table["method"] == name]
            for label, colour, part in (
                ("all", "#b8b8b8", rows),
                ("selected", BLUE, rows[rows["selected"] == 1]),
            ):
                counts, _ = np.histogram(part["weight"], edges)
                axes.stairs(counts, edges, fill=True, color=colour, label=label)
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        figure.supxlabel("weight", fontsize=11)
        _legend(figure, grid[0])
        return figure


def ranks(found: dict, titles: dict[str, str]) -> Figure:
    """Average ranks, best on top, with half a critical difference around.

    Args:
        found: from `summary.ranks`.
        titles: {method: name for the reader}.
    """
    half = found["critical_difference"] / 2
    values = list(found["ranks"].values())
    with matplotlib.rc_context(PANEL_STYLE):
        figure, axes = _list([titles[name] for name in found["ranks"]])
        # What overlaps the best method's interval may be as good.
        axes.axvspan(
            values[0] - half, values[0] + half, color=FAINT, linewidth=0
        )
        for place, value in enumerate(values):
            is_apart = value - half > values[0] + half
            colour = MUTED if is_apart else BLUE
            axes.plot(
                [value - half, value + half],
                [place, place],
                color=colour,
                linewidth=2,
            )
            axes.plot(value, place, "o", color=colour, markersize=6)
        axes.set_xlim(left=0.5)
        axes.set_xlabel("average rank")
        return figure


def svg(figure: Figure) -> str:
    """The figure as SVG text, for a file of its own."""
    with matplotlib.rc_context(PANEL_STYLE):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def inline(text: str) -> str:
    """SVG text for a page, with the page's font and colours.

    The page's style sheet defines --paper, --ink, --muted and --faint.
    """
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    # Names of groups would repeat from one figure of the page to the next.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(
        r"font: (?:(\d+) )?([\d.]+)px [^;\"]*",
        lambda match: (
            f"font-size: {match[2]}px; font-weight: {match[1] or 400}"
        ),
        text,
    )
    # Not in what the tags enclose: titles.
    text = re.sub("<[^>]*>", lambda tag: _shown_in_page(tag[0]), text)
    return re.sub(r">\s+<", "><", text).strip()


def _shown_in_page(tag):
    for colour, name in (
        (PAPER, "paper"),
        (INK, "ink"),
        (MUTED, "muted"),
        (FAINT, "faint"),
        (BLUE, "better"),
        (RED, "worse"),
    ):
        tag = tag.replace(f": {colour}", f": var(--{name})")
    return re.sub(r"(\.\d\d)\d+", r"\1", tag)  # a hundredth of a pixel


def _list(names, extra=0.0):
    """Figure and axes with a row for each name, from the top."""
    figure = Figure(
        (WIDTH, ROW * len(names) + 0.55 + extra), layout="constrained"
    )
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure, axes


def _panels(names, sharey=True):
    """Figure and axes with a small panel for each name."""
    across = min(len(names), ACROSS)
    down = math.ceil(len(names) / across)
    figure = Figure((WIDTH, 1.25 * down + 0.6), layout="constrained")
    grid = figure.subplots(
        down, across, squeeze=False, sharex=True, sharey=sharey
    ).ravel()
    for axes in grid[len(names) :]:
        axes.remove()
    for axes, name in zip(grid, names, strict=False):
        axes.set_title(_wrapped(name), fontsize=10)
        axes.grid(axis="y")
        axes.yaxis.set_major_locator(MaxNLocator(3))
    return figure, grid[: len(names)]


def _share_axis(grid, label):
    for axes in grid:
        axes.set_xlim(0, 100)
        axes.set_xticks([0, 50, 100])
    grid[0].figure.supxlabel(label, fontsize=11)


def _legend(figure, axes):
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper left", ncols=3
    )


def _over_training(rows, column):
    """(share of the rounds in %, mean, lowest, highest over the seeds)."""
    by_round = rows.groupby("round")[column]
    share = 100 * by_round.mean().index.to_numpy() / rows["round"].max()
    return (
        share,
        *(
            getattr(by_round, name)().to_numpy()
            for name in ("mean", "min", "max")
        ),
    )


def _verdict(difference, p):
    if p >= ALPHA:
        return MUTED
    return BLUE if difference > 0 else RED


def _points(value, _):
    return f"{value:+.3g}".replace("-", MINUS) if value else "0"


def _wrapped(name):
    """A long name on two lines of about the same length."""
    if len(name) < 17 or " " not in name:
        return name
    spaces = [place for place, letter in enumerate(name) if letter == " "]
    middle = min(spaces, key=lambda place: abs(place - len(name) / 2))
    return f"{name[:middle]}\n{name[middle + 1 :]}"

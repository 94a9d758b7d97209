"""The figures of a run, drawn without a display and without global state."""

import math
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from samtl.common import files

INK, MUTED, FAINT = "#222222", "#767676", "#e4e4e4"
# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
STYLE = {
    "font.size": 9,
    # Names of classes and files may hold dollar signs.
    "text.parse_math": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "legend.frameon": False,
}
DPI = 120
CELL = 96  # pixels an image of a contact sheet is scaled to
CAPTION = 34  # pixels below it for two lines of text
# A confusion matrix of more classes has colours only: its texts would be too
# small to read, or its image too large for the memory.
MOST_CLASSES, SIDE = 40, 12  # side in inches
LONGEST = 40  # letters of a class's name


def confusion(
    path: Path, matrix: np.ndarray, classes: Sequence[str], title: str
) -> None:
    """Draw a confusion matrix: row shares as colour, counts, recall.

    Of more than MOST_CLASSES classes, it shows the colours alone.

    Args:
        path: of the PNG.
        matrix: [C, C] int counts, rows true, columns predicted.
        classes: C names.
        title: of the figure.
    """
    matrix = np.asarray(matrix)
    totals = matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.maximum(totals, 1)
    count = len(classes)
    is_small = count <= MOST_CLASSES
    with matplotlib.rc_context(STYLE):
        side = 1.6 + 0.72 * count if is_small else SIDE
        width = max(side + 0.9, 1.3 + 0.085 * len(title))
        figure = Figure((width, side), layout="constrained")
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        if is_small:
            _label_cells(axes, matrix, shares, classes)
            _recalls(axes, shares.diagonal(), totals[:, 0])
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.set_title(title, pad=22)
        _save(figure, path)


def curves(path: Path, rows: Sequence[dict]) -> None:
    """Draw the training loss and every task's validation accuracy.

    Every marker is a round and has the colour of the dataset that the round
    trained on.

    Args:
        path: of the PNG.
        rows: metrics rows (dicts): round, dataset, loss and
            validation_<task>_accuracy (0..1).
    """
    found = (re.fullmatch(r"validation_([^_]+)_accuracy", c) for c in rows[0])
    tasks = [match[1] for match in found if match]
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    colours = {d: COLOURS[i % len(COLOURS)] for i, d in enumerate(datasets)}
    panels = 1 + len(tasks)
    across = min(panels, 3)
    down = math.ceil(panels / across)
    with matplotlib.rc_context(STYLE):
        figure = Figure(
            (1.0 + 3.6 * across, 0.5 + 2.7 * down), layout="constrained"
        )
        grid = figure.subplots(down, across, squeeze=False).ravel()
        for axes in grid[panels:]:
            axes.remove()
        _loss_panel(grid[0], rows, colours)
        for axes, task in zip(grid[1:panels], tasks, strict=True):
            _accuracy_panel(axes, rows, task, colours)
        for axes in grid[:panels]:
            axes.set_xlabel("round")
            axes.set_xlim(rows[0]["round"] - 0.5, rows[-1]["round"] + 0.5)
            axes.xaxis.set_major_locator(
                MaxNLocator(8, integer=True, min_n_ticks=1)
            )
            axes.grid(axis="y")
        figure.legend(
            *grid[0].get_legend_handles_labels(),
            loc="outside upper left",
            ncols=len(datasets),
            title="round trained on",
            alignment="left",
        )
        _save(figure, path)


def contact_sheet(
    path: Path,
    images: Sequence[np.ndarray],
    captions: Sequence[str],
    columns: int = 12,
    row_titles: Sequence[str] = (),
) -> None:
    """Draw images in a grid, each above its caption.

    Args:
        path: of the PNG.
        images: N arrays uint8 [H, W, C], RGB (C = 3) or gray (C = 1).
        captions: N texts of at most two lines.
        columns: images in a row.
        row_titles: a title above each of the first rows.
    """
    rows = math.ceil(len(images) / columns)
    heading = 24 if row_titles else 0
    pitch = heading + CELL + CAPTION
    sheet = np.full((rows * pitch, columns * (CELL + 6), 3), 255, np.uint8)
    with matplotlib.rc_context(STYLE):
        height, width = sheet.shape[:2]
        figure = Figure(((width + 16) / DPI, (height + 16) / DPI))
        axes = figure.add_axes((0, 0, 1, 1))
        for index, (image, caption) in enumerate(
            zip(images, captions, strict=True)
        ):
            row, column = divmod(index, columns)
            top, left = row * pitch + heading, column * (CELL + 6)
            sheet[top : top + CELL, left : left + CELL] = _cell(image)
            axes.text(
                left + CELL / 2,
                top + CELL + 3,
                caption,
                ha="center",
                va="top",
                fontsize=6.5,
            )
        for row, title in enumerate(row_titles):
            axes.text(
                0, row * pitch + heading - 6, title, va="bottom", fontsize=8
            )
        axes.imshow(sheet, interpolation="nearest")
        axes.set_xlim(-8, width + 8)
        axes.set_ylim(height + 8, -8)
        axes.axis("off")
        _save(figure, path)


def weight_histogram(path: Path, diagnostics: dict[str, np.ndarray]) -> None:
    """Draw histograms of a round's weights and of their factors.

    Args:
        path: of the PNG.
        diagnostics: {measure: [N] float in 0..1} with confidence, density and
            distribution as far as computed, and weight; selected is [N] bool.
    """
    measures = [
        name
        for name in ("confidence", "density", "distribution", "weight")
        if name in diagnostics
    ]
    selected = np.asarray(diagnostics["selected"], bool)
    edges = np.linspace(0, 1, 41)
    groups = [("all", np.ones_like(selected), "#c8c8c8")]
    if selected.any():
        groups.append(("selected", selected, COLOURS[0]))
    with matplotlib.rc_context(STYLE):
        figure = Figure((0.6 + 2.6 * len(measures), 2.6), layout="constrained")
        grid = figure.subplots(1, len(measures), squeeze=False, sharey=True)[0]
        for axes, name in zip(grid, measures, strict=True):
            for label, members, colour in groups:
                values = np.asarray(diagnostics[name])[members]
                axes.stairs(
                    np.histogram(values, edges)[0],
                    edges,
                    fill=True,
                    color=colour,
                    label=f"{label} ({members.sum():,})",
                )
            axes.set_title(name)
            axes.set_xlim(0, 1)
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        grid[0].set_ylabel("images")
        grid[0].yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        figure.legend(
            *grid[0].get_legend_handles_labels(),
            loc="outside lower left",
            ncols=2,
        )
        _save(figure, path)


def _label_cells(axes, matrix, shares, classes):
    """Names of the classes, and the text and the edges of every cell."""
    count = len(classes)
    for row, column in np.ndindex(matrix.shape):
        _confusion_cell(axes, row, column, matrix, shares)
    axes.set_xticks(range(count), [_wrapped(name) for name in classes])
    axes.set_yticks(range(count), [_wrapped(name) for name in classes])
    # White lines between the cells.
    edges = np.arange(count + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)


def _confusion_cell(axes, row, column, matrix, shares):
    if matrix[row, column] == 0:
        return
    share = shares[row, column]
    colour = "white" if share > 0.55 else INK
    axes.text(
        column,
        row - 0.12,
        f"{share:.0%}" if share >= 0.005 else "<1%",
        ha="center",
        va="center",
        color=colour,
    )
    axes.text(
        column,
        row + 0.24,
        f"{matrix[row, column]:,}",
        ha="center",
        va="center",
        color=colour,
        fontsize=6.5,
    )


def _recalls(axes, recalls, totals):
    """Per-class recall and number of images, right of the matrix."""
    right = axes.get_yaxis_transform()
    axes.text(1.03, -0.62, "recall", transform=right, va="bottom", color=MUTED)
    for row, (recall, total) in enumerate(zip(recalls, totals, strict=True)):
        text = f"{recall:.1%}" if total else "-"
        axes.text(
            1.03, row - 0.12, text, transform=right, va="center", weight="bold"
        )
        axes.text(
            1.03,
            row + 0.24,
            f"of {total:,}",
            transform=right,
            va="center",
            color=MUTED,
            fontsize=6.5,
        )


def _loss_panel(axes, rows, colours):
    for dataset, colour in colours.items():
        own = [row for row in rows if row["dataset"] == dataset]
        axes.plot(
            [row["round"] for row in own],
            [row["loss"] for row in own],
            marker="o",
            markersize=4,
            linewidth=1.2,
            color=colour,
            label=dataset,
        )
    axes.set_title("training loss")
    axes.set_ylim(bottom=0)


def _accuracy_panel(axes, rows, task, colours):
    rounds = [row["round"] for row in rows]
    values = [row[f"validation_{task}_accuracy"] for row in rows]
    axes.plot(rounds, values, color="#b0b0b0", linewidth=1.2, zorder=1)
    axes.scatter(
        rounds,
        values,
        s=16,
        c=[colours[row["dataset"]] for row in rows],
        zorder=2,
    )
    axes.set_title(f"{task}: validation accuracy")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")


def _cell(image):
    shrinks = image.shape[0] > CELL
    scaled = cv2.resize(
        image,
        (CELL, CELL),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC,
    )
    return scaled if scaled.ndim == 3 else scaled[..., None]


def _wrapped(name):
    return textwrap.shorten(name, LONGEST).replace(" ", "\n")


def _save(figure, path):
    with files.write(path) as temporary:
        figure.savefig(temporary, dpi=DPI)

"""Panels with the labels of faces, their places, and the legend."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from samtl.common.text import counted
from samtl.faces.drawing import text
from samtl.faces.prediction import Prediction, percent

UNSURE, WHITE, MUTED = (255, 200, 40), (255, 255, 255), (175, 182, 190)
DARK, GROOVE = (20, 22, 26), (75, 80, 88)
OPACITY = 0.78
# Font sizes as shares of the image's longer side, or of twice its width if that
# is less. OF_FACE is a share of the face's height, LEAST_SIZE in pixels.
SMALL, MEDIUM, LARGE, OF_FACE, LEAST_SIZE = 1 / 100, 1 / 62, 1 / 36, 0.085, 12
# Largest height of the panels below an image: as a multiple of its longer side,
# and in pixels (a JPEG has 65,535 rows at most).
HIGHEST_SHEET, LARGEST_SHEET = 0.5, 30_000

Box = tuple[int, int, int, int]
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Row:
    """A line of a panel.

    Attributes:
        task, label, percent: texts of its columns.
        share: 0..1, the filled share of its bar.
        is_unsure: whether the label is marked.
    """

    task: str
    label: str
    percent: str
    share: float
    is_unsure: bool


@dataclass(frozen=True)
class Panel:
    """The labels of a face in one font size.

    Attributes:
        heading: first line, or "" for none.
        rows: tuple of Row.
        size: of the font, in pixels.
        colour: of the face, RGB in 0..255.
    """

    heading: str
    rows: tuple[Row, ...]
    size: int
    colour: Colour

    @functools.cached_property
    def columns(self) -> tuple[int, int, int]:
        """Widths of task, label and percent in pixels."""
        return (
            max(text.width(row.task, self.size) for row in self.rows),
            max(text.width(row.label, self.size) for row in self.rows),
            text.width("100%", self.size),
        )

    @property
    def extent(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        padding = _padding(self.size)
        lines = len(self.rows) + bool(self.heading)
        inside = max(
            sum(self.columns) + 2 * self.size,
            text.width(self.heading, self.size),
        )
        return (
            inside + 2 * padding + _edge(self.size),
            lines * _line(self.size) + 2 * padding - self.size // 4,
        )

    def draw(self, canvas: np.ndarray, left: int, top: int) -> Box:
        """Draw the panel on the canvas, uint8 [H, W, 3].

        Returns:
            (left, top, right, bottom) of the panel.
        """
        size, padding = self.size, _padding(self.size)
        width, height = self.extent
        right, bottom = left + width, top + height
        edge = left + _edge(size)
        text.shade(canvas, (left, top, right, bottom), DARK, OPACITY)
        text.shade(canvas, (left, top, edge, bottom), self.colour, 1.0)
        x, end, y = edge + padding, right - padding, top + padding
        if self.heading:
            text.write(canvas, self.heading, x, y, size, self.colour)
            y += _line(size)
        for row in self.rows:
            self._draw_row(canvas, row, x, end, y)
            y += _line(size)
        return left, top, right, bottom

    def _draw_row(self, canvas, row, x, end, y):
        size = self.size
        ink = UNSURE if row.is_unsure else WHITE
        text.write(canvas, row.task, x, y, size, MUTED)
        text.write(canvas, row.label, x + self.columns[0] + size, y, size, ink)
        start = end - text.width(row.percent, size)
        text.write(canvas, row.percent, start, y, size, ink)
        top = y + text.height(size) + 1
        bottom = top + max(2, size // 7)
        middle = x + round((end - x) * row.share)
        filled = UNSURE if row.is_unsure else self.colour
        text.shade(canvas, (x, top, end, bottom), GROOVE, 1.0)
        text.shade(canvas, (x, top, middle, bottom), filled, 1.0)


def rows(prediction: Prediction, least: float) -> tuple[Row, ...]:
    """The Rows of a Prediction; classes below `least` are marked with "?"."""
    made = []
    for task in prediction.labels:
        label, share = prediction.best(task)
        mark = "?" if share < least else ""
        made.append(Row(task, label + mark, percent(share), share, bool(mark)))
    return tuple(made)


def sizes(shape: Sequence[int], box: Box) -> list[int]:
    """Possible font sizes for a face in pixels, the largest first.

    Args:
        shape: of the image.
        box: of the face, in pixels.
    """
    smallest = font_size(shape, SMALL)
    largest = max(smallest, round(_side(shape) * LARGE))
    size = round((box[3] - box[1]) * OF_FACE)
    size = min(max(size, font_size(shape, MEDIUM)), largest)
    return sorted({size, (size + smallest) // 2, smallest}, reverse=True)


def font_size(shape: Sequence[int], share: float = MEDIUM) -> int:
    """A share of the image's side in pixels, at least LEAST_SIZE."""
    return max(LEAST_SIZE, round(_side(shape) * share))


def _side(shape):
    # A line of text has to fit into an image as narrow as a scrolled page.
    return min(max(shape[:2]), 2 * shape[1])


def place(
    box: Box,
    options: list[Panel],
    taken: list[Box],
    shape: Sequence[int],
    gap: int,
    kept: int | None = None,
) -> tuple[Panel, tuple[int, int], int] | None:
    """A place beside a face where a panel covers none of the boxes in `taken`.

    Args:
        box: (left, top, right, bottom) of the face, in pixels.
        options: Panels, the preferred one first.
        taken: boxes that have to stay visible.
        shape: of the image.
        gap: pixels between face and panel.
        kept: the side to try first, as returned for the frame before.

    Returns:
        (Panel, (left, top), side), or None if there is no such place.
    """
    for panel in options:
        width, height = panel.extent
        if width > shape[1] or height > shape[0]:
            continue
        corners = _beside(box, panel.extent, gap)
        order = sorted(range(len(corners)), key=lambda side: side != kept)
        for side in order:
            x, y = corners[side]
            x = min(max(x, 0), shape[1] - width)
            y = min(max(y, 0), shape[0] - height)
            if not any(_meet((x, y, x + width, y + height), b) for b in taken):
                return panel, (x, y), side
    return None


def grid(panels: list[Panel], shape: Sequence[int]) -> np.ndarray:
    """A grid of panels, to be shown below an image.

    A grid that would be too high gets the smallest font. If it is still too
    high, the last panels are omitted, and a line states their number.

    Args:
        panels: list of Panel.
        shape: of the image.

    Returns:
        uint8 [h, at least shape[1], 3].
    """
    highest = min(round(HIGHEST_SHEET * max(shape[:2])), LARGEST_SHEET)
    columns, lines, cell = _table(panels, shape[1])
    if lines * cell[1] > highest:
        small = font_size(shape, SMALL)
        panels = [dataclasses.replace(panel, size=small) for panel in panels]
        columns, lines, cell = _table(panels, shape[1])
    size = panels[0].size
    lines = min(lines, max(1, highest // cell[1]))
    shown = panels[: lines * columns]
    width = max(shape[1], columns * cell[0] + size)
    rest = len(panels) - len(shown)
    note = f"and {rest} more, in --json and --csv" if rest else ""
    height = lines * cell[1] + size + (2 * text.height(size) if note else 0)
    sheet = np.full((height, width, 3), DARK, np.uint8)
    for number, panel in enumerate(shown):
        y, x = divmod(number, columns)
        panel.draw(sheet, size + x * cell[0], size + y * cell[1])
    y = lines * cell[1] + size
    text.write(sheet, note, size, y, size, WHITE)
    return sheet


@functools.lru_cache(maxsize=64)  # most frames of a video have the same
def legend(
    shape: tuple[int, ...],
    faces: int,
    has_labels: bool,
    has_arrows: bool,
    least: float,
) -> np.ndarray:
    """The number of faces and the meaning of the marks.

    Its size does not depend on the number of faces.

    Args:
        shape: of the image.
        faces: their number.
        has_labels, has_arrows: whether faces may have any.
        least: confidence in 0..1 below which a class is marked.

    Returns:
        uint8 [h, at least shape[1], 3], not to be changed.
    """
    size = font_size(shape)
    none = "no face found"
    count = counted(faces, "face") if faces else none
    items = [(None, count, WHITE)]
    if has_arrows:
        items += [
            ("arrow", "the nose points there", MUTED),
            ("ring", "or at the viewer", MUTED),
        ]
    if has_labels and least > 0:
        items.append((None, f"?  less than {percent(least)} sure", UNSURE))
    return _strip(items, size, shape[1], text.width(none, size))


def _table(panels, width):
    """(columns, lines, (width, height) of a cell) of panels in a grid."""
    gap = panels[0].size
    cell = tuple(max(p.extent[i] for p in panels) + gap for i in (0, 1))
    columns = max(1, (width - gap) // cell[0])
    return columns, -(-len(panels) // columns), cell


def _padding(size):
    return max(4, size // 2)


def _edge(size):
    return max(2, size // 5)


def _line(size):
    return text.height(size) + max(4, size // 2)


def _beside(box, extent, gap):
    """Upper left corners of a panel's possible places, the best first."""
    width, height = extent
    left, top, right, bottom = box
    return (
        (right + gap, top),
        (left - gap - width, top),
        (left, bottom + gap),
        (left, top - gap - height),
        (right - width, bottom + gap),
        (right - width, top - gap - height),
        (right + gap, bottom - height),
        (left - gap - width, bottom - height),
    )


def _meet(one, other):
    """Whether two boxes share a pixel."""
    return min(one[2], other[2]) > max(one[0], other[0]) and min(
        one[3], other[3]
    ) > max(one[1], other[1])


def _strip(items, size, width, least):
    """Icons and texts in a row, with line breaks at `width` pixels.

    Each item takes at least `least` pixels.
    """
    padding, line = _padding(size), round(1.7 * size)
    lines, x = [[]], padding
    for icon, words, colour in items:
        needed = (2 * size if icon else 0) + text.width(words, size)
        needed = max(needed, least)
        width = max(width, needed + 2 * padding)
        if lines[-1] and x + needed > width - padding:
            lines.append([])
            x = padding
        lines[-1].append((x, icon, words, colour))
        x += needed + 3 * size // 2
    strip = np.full((2 * padding + len(lines) * line, width, 3), DARK, np.uint8)
    for number, content in enumerate(lines):
        middle = padding + number * line + line // 2
        for x, icon, words, colour in content:
            if icon:
                _draw_icon(strip, icon, x, middle, size)
                x += 2 * size
            y = middle - text.height(size) // 2
            text.write(strip, words, x, y, size, colour)
    return strip


def _draw_icon(strip, icon, x, y, size):
    thickness = max(1, size // 8)
    if icon == "arrow":
        ends = (x, y), (x + round(1.5 * size), y)
        cv2.arrowedLine(strip, *ends, MUTED, thickness, cv2.LINE_AA, 0, 0.35)
    else:
        middle = (x + round(1.2 * size), y)
        cv2.circle(strip, middle, size // 3, MUTED, thickness, cv2.LINE_AA)

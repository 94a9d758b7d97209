"""Faces with boxes, labels, pose arrows and a legend; faces made unknowable."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from utils.faces import text

SMALLEST = 480  # longer side that a small picture is enlarged to, pixels
COLOURS = (
    (64, 200, 255),
    (140, 230, 90),
    (255, 120, 190),
    (180, 150, 255),
    (60, 225, 200),
    (255, 150, 110),
)
UNSURE, WHITE, MUTED = (255, 200, 40), (255, 255, 255), (175, 182, 190)
DARK, TRACK = (20, 22, 26), (75, 80, 88)
# Degrees of yaw that the classes stand for: the middles of their bins.
YAW = {
    "left profile": -67.5,
    "left": -30.0,
    "frontal": 0.0,
    "right": 30.0,
    "right profile": 67.5,
}
FRONTAL = 8.0  # degrees within which a ring is drawn instead of an arrow
# Font sizes in pixels as shares of the picture's longer side, and of a face's
# height; nothing is written smaller than LEAST_SIZE.
SMALL, LARGE, OF_FACE, LEAST_SIZE = 1 / 62, 1 / 36, 0.085, 12
BLOCKS = 6  # a blurred face is reduced to so many blocks across


@dataclass(frozen=True)
class _Row:
    """A line of a panel; share is of its bar, or None for no bar."""

    task: str
    label: str
    percent: str
    share: float | None
    is_unsure: bool


def annotate(image, predictions, least, sides=None):
    """A copy of the picture that shows what was found.

    Each face gets a box, a panel with the most probable class of every task,
    an arrow to where the nose points (a ring: at the viewer), and a number if
    there are several. Below the picture stands a legend.

    Args:
        image: uint8 [H, W, 3], RGB. One whose longer side is below 480 pixels
            is enlarged.
        predictions: list of Prediction.
        least: confidence in 0..1 below which a class is marked as unsure.
        sides: dict that keeps, from one frame of a video to the next, the
            side of each face that its panel is on; None in a single picture.

    Returns:
        uint8 [H', W', 3].
    """
    scale = max(1, math.ceil(SMALLEST / max(image.shape[:2])))
    canvas = (
        image.copy()
        if scale == 1
        else cv2.resize(
            image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC
        )
    )
    boxes = {p.number: _scaled(p.face.box, scale) for p in predictions}
    for prediction in predictions:
        colour = _colour(prediction)
        _draw_box(canvas, boxes[prediction.number], colour)
        if "pose" in prediction.labels:
            _draw_pose(canvas, prediction, scale, colour)
    taken = list(boxes.values())
    for prediction in predictions:
        taken.append(
            _draw_panel(
                canvas,
                prediction,
                boxes[prediction.number],
                taken,
                least,
                len(predictions) > 1 or sides is not None,
                {} if sides is None else sides,
            )
        )
    return np.vstack([canvas, _legend(canvas.shape, predictions, least)])


def blur(image, face):
    """Make a face unknowable, in place: a few blocks of even colour.

    Args:
        image: uint8 [H, W, 3].
        face: Face; hair and chin around its box are covered too.
    """
    left, top, right, bottom = face.box
    x, y = (right - left) * 0.2, (bottom - top) * 0.2
    left, top, right, bottom = _clipped(
        (left - x, top - y, right + x, bottom + y), image.shape
    )
    target = image[top:bottom, left:right]
    if target.size == 0:
        return
    small = cv2.resize(target, (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA)
    size = target.shape[1::-1]
    blocks = cv2.resize(small, size, interpolation=cv2.INTER_NEAREST)
    oval = np.zeros(target.shape[:2], np.uint8)
    middle = (size[0] // 2, size[1] // 2)
    cv2.ellipse(oval, (middle, size, 0), 255, -1)
    oval[middle[1], middle[0]] = 255
    target[oval > 0] = blocks[oval > 0]


def yaw(poses):
    """Expected yaw in degrees, positive towards the picture's right edge.

    Args:
        poses: {class of YAW: probability}.
    """
    return sum(YAW[name] * share for name, share in poses.items())


def _colour(prediction):
    return COLOURS[(prediction.number - 1) % len(COLOURS)]


def _scaled(box, scale):
    return tuple(round(scale * side) for side in box)


def _clipped(box, shape):
    """The box in whole pixels inside an image of this shape."""
    height, width = shape[:2]
    left, top, right, bottom = (round(side) for side in box)
    return (
        min(max(left, 0), width),
        min(max(top, 0), height),
        min(max(right, 0), width),
        min(max(bottom, 0), height),
    )


def _thickness(shape):
    return max(2, round(max(shape[:2]) / 320))


def _draw_box(canvas, box, colour):
    thickness = _thickness(canvas.shape)
    half = thickness // 2 + 1
    height, width = canvas.shape[:2]
    # Whole inside the picture, however far the face reaches beyond.
    left, top, right, bottom = _clipped(box, canvas.shape)
    start = (min(max(left, half), width - 1), min(max(top, half), height - 1))
    end = (
        max(min(right, width - half - 1), 0),
        max(min(bottom, height - half - 1), 0),
    )
    # A dark edge keeps light lines visible on light ground.
    cv2.rectangle(canvas, start, end, DARK, thickness + 2)
    cv2.rectangle(canvas, start, end, colour, thickness)


def _draw_pose(canvas, prediction, scale, colour):
    """An arrow from the nose to where it points, or a ring at the viewer."""
    face = prediction.face
    left, top, right, bottom = (scale * side for side in face.box)
    x, y, roll = (left + right) / 2, (top + bottom) / 2, 0.0
    if face.landmarks is not None:
        x, y = scale * face.landmarks[2]
        eyes, mouth = face.landmarks[:2].mean(0), face.landmarks[3:].mean(0)
        across, down = mouth - eyes
        roll = math.atan2(-across, down)
    angle = yaw(prediction.labels["pose"])
    size = bottom - top
    thickness = _thickness(canvas.shape)
    start = (round(float(x)), round(float(y)))
    if abs(angle) < FRONTAL:
        radius = max(3, round(size * 0.05))
        for ink, more in ((DARK, 2), (colour, 0)):
            cv2.circle(
                canvas, start, radius, ink, thickness + more, cv2.LINE_AA
            )
        return
    length = 0.7 * size * math.sin(math.radians(angle))
    end = (
        round(float(x) + length * math.cos(roll)),
        round(float(y) + length * math.sin(roll)),
    )
    tip = min(0.4, 0.12 * size / abs(length))
    for ink, more in ((DARK, 2), (colour, 0)):
        cv2.arrowedLine(
            canvas, start, end, ink, thickness + more, cv2.LINE_AA, 0, tip
        )


def _rows(prediction, least, is_numbered):
    rows = []
    if is_numbered:
        rows.append(_Row(f"face {prediction.number}", "", "", None, False))
    for task in prediction.labels:
        label, share = prediction.best(task)
        is_unsure = share < least
        rows.append(
            _Row(
                task,
                f"{label}?" if is_unsure else label,
                f"{share:.0%}",
                share,
                is_unsure,
            )
        )
    return rows


def _draw_panel(canvas, prediction, face, taken, least, is_numbered, sides):
    """Draw a face's panel where it hides least; returns its box.

    Args:
        face: the face's box on the canvas.
        taken: boxes that should stay visible.
    """
    rows = _rows(prediction, least, is_numbered)
    longest = max(canvas.shape[:2])
    smallest = max(LEAST_SIZE, round(longest * SMALL))
    largest = max(smallest, round(longest * LARGE))
    wanted = round((face[3] - face[1]) * OF_FACE)
    size = min(max(wanted, smallest), largest)
    sizes = sorted({size, (size + smallest) // 2, smallest}, reverse=True)
    kept = sides.get(prediction.number)
    best = None
    for size in sizes:
        columns = _columns(rows, size)
        extent = _panel_extent(rows, columns, size)
        places = _places(face, extent, canvas.shape)
        order = list(range(len(places)))
        if kept is not None:
            order.insert(0, order.pop(kept))
        for side in order:
            hidden = sum(_shared(places[side], box) for box in taken)
            if best is None or hidden < best[0]:
                best = (hidden, side, places[side], size, columns)
            if hidden == 0:
                break
        if best[0] == 0:
            break
    _, side, box, size, columns = best
    sides[prediction.number] = side
    _draw_rows(canvas, rows, box, size, columns, _colour(prediction))
    return box


def _columns(rows, size):
    """Widths of the panel's columns: task, class, percent."""
    return (
        max(text.width(row.task, size) for row in rows),
        max(text.width(row.label, size) for row in rows),
        text.width("100%", size),
    )


def _line(size):
    return text.height(size) + max(4, size // 2)


def _panel_extent(rows, columns, size):
    return (
        sum(columns) + 2 * size + 2 * _padding(size),
        len(rows) * _line(size) + 2 * _padding(size) - size // 4,
    )


def _padding(size):
    return max(4, size // 2)


def _places(face, extent, shape):
    """Boxes for a panel around a face, moved into the picture if need be."""
    width, height = extent
    left, top, right, bottom = face
    gap = _thickness(shape) + 2
    corners = (
        (right + gap, top),
        (left - gap - width, top),
        (right + gap, bottom - height),
        (left - gap - width, bottom - height),
        (left, bottom + gap),
        (left, top - gap - height),
        (right - width, bottom + gap),
        (right - width, top - gap - height),
        (shape[1] - width, shape[0] - height),
        (0, shape[0] - height),
        (0, 0),
        (shape[1] - width, 0),
    )
    places = []
    for x, y in corners:
        x = max(min(x, shape[1] - width), 0)
        y = max(min(y, shape[0] - height), 0)
        places.append((x, y, x + width, y + height))
    return places


def _shared(one, other):
    """Pixels that two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)


def _draw_rows(canvas, rows, box, size, columns, colour):
    padding = _padding(size)
    left, top, right, bottom = box
    text.shade(canvas, box, DARK, 0.78)
    edge = max(2, size // 5)
    text.shade(canvas, (left, top, left + edge, bottom), colour, 1.0)
    x, end = left + edge + padding, right - padding
    y = top + padding
    for row in rows:
        ink = UNSURE if row.is_unsure else WHITE
        is_heading = row.share is None
        text.write(
            canvas, row.task, x, y, size, colour if is_heading else MUTED
        )
        text.write(canvas, row.label, x + columns[0] + size, y, size, ink)
        text.write(
            canvas,
            row.percent,
            end - text.width(row.percent, size),
            y,
            size,
            ink,
        )
        if not is_heading:
            line = y + text.height(size) + 1
            bar = max(2, size // 7)
            middle = x + round((end - x) * row.share)
            text.shade(canvas, (x, line, end, line + bar), TRACK, 1.0)
            filled = UNSURE if row.is_unsure else colour
            text.shade(canvas, (x, line, middle, line + bar), filled, 1.0)
        y += _line(size)


def _legend(shape, predictions, least):
    """The strip below the picture, uint8 [h, W, 3]."""
    size = max(LEAST_SIZE, round(max(shape[:2]) * SMALL))
    items = [(None, _count(len(predictions)), WHITE)]
    if any("pose" in p.labels for p in predictions):
        items += [
            ("arrow", "the nose points there", MUTED),
            ("ring", "or at the viewer", MUTED),
        ]
    if predictions and least > 0:
        items.append((None, f"class?  less than {least:.0%} sure", UNSURE))
    return _strip(items, size, shape[1])


def _count(faces):
    return {0: "no face found", 1: "1 face"}.get(faces, f"{faces} faces")


def _strip(items, size, width):
    """Set icons and texts one after another, in as many lines as it takes."""
    padding, line = _padding(size), round(1.7 * size)
    lines, x = [[]], padding
    for icon, words, colour in items:
        icon_width = 2 * size if icon else 0
        needed = icon_width + text.width(words, size)
        if lines[-1] and x + needed > width - padding:
            lines.append([])
            x = padding
        lines[-1].append((x, icon, icon_width, words, colour))
        x += needed + 2 * size
    height = 2 * padding + len(lines) * line
    strip = np.empty((height, width, 3), np.uint8)
    strip[:] = DARK
    for number, content in enumerate(lines):
        top = padding + number * line
        for x, icon, icon_width, words, colour in content:
            _draw_icon(strip, icon, x, top + line // 2, size)
            y = top + (line - text.height(size)) // 2
            text.write(strip, words, x + icon_width, y, size, colour)
    return strip


def _draw_icon(strip, icon, x, y, size):
    thickness = max(1, size // 8)
    if icon == "arrow":
        ends = (x, y), (x + round(1.5 * size), y)
        cv2.arrowedLine(strip, *ends, MUTED, thickness, cv2.LINE_AA, 0, 0.35)
    elif icon == "ring":
        middle = (x + round(1.2 * size), y)
        cv2.circle(strip, middle, size // 3, MUTED, thickness, cv2.LINE_AA)

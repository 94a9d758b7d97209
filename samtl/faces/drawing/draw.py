"""Faces with boxes, labels and pose arrows; faces made unknowable."""

import functools
import math
from collections.abc import Collection
from dataclasses import dataclass, field

import cv2
import numpy as np

from samtl.faces.drawing import panels, text
from samtl.faces.drawing.panels import DARK

SMALLEST = 480  # longer side that a small picture is enlarged to, pixels
COLOURS = (
    (64, 200, 255),
    (140, 230, 90),
    (255, 120, 190),
    (180, 150, 255),
    (60, 225, 200),
    (255, 150, 110),
)
# Degrees of yaw that the classes stand for: the middles of their bins.
YAW = {
    "left profile": -67.5,
    "left": -30.0,
    "frontal": 0.0,
    "right": 30.0,
    "right profile": 67.5,
}
FRONTAL = 8.0  # degrees within which a ring is drawn instead of an arrow
BLOCKS = 6  # a blurred face is reduced to so many blocks across


@dataclass
class Screen:
    """What stays from one frame of a video to the next.

    Attributes:
        tasks: {task: class names} that the network labels: the legend is the
            same throughout.
        sides: {number of a face: the side that its panel is on}.
    """

    tasks: dict[str, Collection[str]]
    sides: dict[int, int] = field(default_factory=dict)


def annotate(image, predictions, least, screen=None):
    """A copy of the picture that shows what was found.

    Each face gets a box, an arrow to where the nose points (a ring: at the
    viewer), a number if there are several, and a panel with the most probable
    class of every task. Panels hide neither faces nor each other, and arrows
    only where there is no other place or where they stood in the frame before.
    Those that find no place in the picture stand below it, as far as these are
    not much higher than the picture; in a video, whose frames have one size,
    they are left out. The last line is the legend.

    Args:
        image: uint8 [H, W, 3], RGB. One whose longer side is below 480 pixels
            is enlarged.
        predictions: list of Prediction.
        least: confidence in 0..1 below which a class is marked as unsure.
        screen: Screen of a video, whose frames all get one size; None for a
            single picture.

    Returns:
        uint8 [H', W', 3].
    """
    is_video = screen is not None
    sides = screen.sides if is_video else {}
    scale = max(1, math.ceil(SMALLEST / max(image.shape[:2])))
    canvas = _enlarged(image, scale)
    is_numbered = is_video or len(predictions) > 1
    boxes = [_scaled(p.face.box, scale) for p in predictions]
    taken, arrows = list(boxes), []
    for prediction, box in zip(predictions, boxes, strict=True):
        _draw_frame(canvas, box, _colour(prediction))
        if _has_arrow(prediction.labels):
            arrows.append(_draw_pose(canvas, prediction, scale))
        if is_numbered:
            taken.append(_draw_number(canvas, box, prediction))
    below = []
    for prediction, box in zip(predictions, boxes, strict=True):
        heading = f"face {prediction.number}" if is_numbered else ""
        rows = panels.rows(prediction, least)
        options = [
            panels.Panel(heading, rows, size, _colour(prediction))
            for size in panels.sizes(canvas.shape, box)
        ]
        gap = _thickness(canvas.shape, box) + 2
        place = functools.partial(panels.place, box, options)
        where = canvas.shape, gap, sides.get(prediction.number)
        is_new = prediction.number not in sides
        found = is_new and place(taken + arrows, *where)
        found = found or place(taken, *where)
        if found is None:
            size = panels.font_size(canvas.shape)
            below.append(panels.Panel(heading, rows, size, _colour(prediction)))
            continue
        panel, (left, top), sides[prediction.number] = found
        panel.draw(canvas, left, top)
        across, down = panel.extent
        taken.append((left, top, left + across, top + down))
    if is_video:
        for gone in sides.keys() - {p.number for p in predictions}:
            del sides[gone]
    tasks = screen.tasks if is_video else _tasks(predictions)
    about = len(boxes), bool(tasks), _has_arrow(tasks), least
    parts = [canvas, panels.legend(canvas.shape, *about)]
    if below and not is_video:
        parts.insert(1, panels.grid(below, canvas.shape))
    return _stack(parts)


def blur(image, face):
    """Make a face unknowable, in place: a few blocks of even colour.

    Args:
        image: uint8 [H, W, 3].
        face: Face; hair and chin around its box are covered too.
    """
    left, top, right, bottom = face.box
    x, y = (right - left) * 0.2, (bottom - top) * 0.2
    height, width = image.shape[:2]
    left, right = (min(max(round(v), 0), width) for v in (left - x, right + x))
    top, bottom = (min(max(round(v), 0), height) for v in (top - y, bottom + y))
    target = image[top:bottom, left:right]
    if target.size == 0:
        return
    small = cv2.resize(target, (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA)
    size = target.shape[1::-1]
    target[:] = cv2.resize(small, size, interpolation=cv2.INTER_NEAREST)


def yaw(poses):
    """Expected yaw in degrees, positive towards the picture's right edge.

    Args:
        poses: {class of YAW: probability}.
    """
    return sum(YAW[name] * share for name, share in poses.items())


def _tasks(predictions):
    return {
        task: names for p in predictions for task, names in p.labels.items()
    }


def _has_arrow(tasks):
    """Whether {task: class names} has poses, and ones of known yaw."""
    return "pose" in tasks and set(tasks["pose"]) <= YAW.keys()


def _enlarged(image, scale):
    """A copy, so many times as large."""
    if scale == 1:
        return image.copy()
    size = [scale * side for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)


def _stack(parts):
    """Pictures one below the other, the narrow ones filled up in dark."""
    width = max(part.shape[1] for part in parts)
    wide = [
        cv2.copyMakeBorder(
            part,
            *(0, 0, 0, width - part.shape[1]),
            cv2.BORDER_CONSTANT,
            value=DARK,
        )
        for part in parts
    ]
    return np.vstack(wide)


def _colour(prediction):
    return COLOURS[(prediction.number - 1) % len(COLOURS)]


def _scaled(box, scale):
    return tuple(round(scale * side) for side in box)


def _thickness(shape, box):
    """Of lines around a face, pixels."""
    return max(2, round(min(max(shape[:2]) / 320, (box[3] - box[1]) / 40)))


def _draw_frame(canvas, box, colour):
    thickness = _thickness(canvas.shape, box)
    half = thickness // 2 + 1
    height, width = canvas.shape[:2]
    # All of the frame stays in the picture, however far the face reaches out.
    start = max(box[0], half), max(box[1], half)
    end = min(box[2], width - 1 - half), min(box[3], height - 1 - half)
    # A dark edge keeps light lines visible on light ground.
    for ink, more in ((DARK, 2), (colour, 0)):
        cv2.rectangle(canvas, start, end, ink, thickness + more)


def _draw_number(canvas, box, prediction):
    """A tag at the left upper corner of a face's box; returns the tag's."""
    size = max(panels.LEAST_SIZE, panels.sizes(canvas.shape, box)[-1])
    words = str(prediction.number)
    width, height = text.width(words, size) + size, text.height(size) + 2
    left = min(max(box[0], 0), canvas.shape[1] - width)
    top = min(max(box[1] - height, 0), canvas.shape[0] - height)
    tag = (left, top, left + width, top + height)
    text.shade(canvas, tag, _colour(prediction), 1.0)
    text.write(canvas, words, left + size // 2, top + 1, size, DARK)
    return tag


def _draw_pose(canvas, prediction, scale):
    """An arrow from the nose to where it points, or a ring at the viewer.

    Returns the box around it.
    """
    face = prediction.face
    left, top, right, bottom = (scale * side for side in face.box)
    x, y, roll = (left + right) / 2, (top + bottom) / 2, 0.0
    if face.landmarks is not None:
        x, y = (scale * face.landmarks[2]).tolist()
        eyes, mouth = face.landmarks[:2].mean(0), face.landmarks[3:].mean(0)
        across, down = (mouth - eyes).tolist()
        roll = math.atan2(-across, down)
    angle = yaw(prediction.labels["pose"])
    size = bottom - top
    thickness = _thickness(canvas.shape, (left, top, right, bottom))
    start = (round(x), round(y))
    length = 0.7 * size * math.sin(math.radians(angle))
    end = (
        round(x + length * math.cos(roll)),
        round(y + length * math.sin(roll)),
    )
    is_ring = abs(angle) < FRONTAL
    radius = max(3, round(size * 0.05))
    if is_ring:
        end = start
    for ink, more in ((DARK, 2), (_colour(prediction), 0)):
        line = (ink, thickness + more, cv2.LINE_AA)
        if is_ring:
            cv2.circle(canvas, start, radius, *line)
        else:
            tip = min(0.4, 0.12 * size / abs(length))
            cv2.arrowedLine(canvas, start, end, *line, 0, tip)
    xs, ys = zip(start, end, strict=True)
    margin = radius + thickness
    return (
        min(xs) - margin,
        min(ys) - margin,
        max(xs) + margin,
        max(ys) + margin,
    )

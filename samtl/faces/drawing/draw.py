"""Annotation and anonymisation of faces in images."""

import functools
import math
from collections.abc import Collection
from dataclasses import dataclass, field

import cv2
import numpy as np

from samtl.faces.drawing import panels, text
from samtl.faces.drawing.panels import DARK
from samtl.faces.face import Face
from samtl.faces.prediction import Prediction, has_yaw

SMALLEST = 480  # pixels; images with a smaller longer side are enlarged
COLOURS = (
    (64, 200, 255),
    (140, 230, 90),
    (255, 120, 190),
    (180, 150, 255),
    (60, 225, 200),
    (255, 150, 110),
)
FRONTAL = 8.0  # degrees within which a ring is drawn instead of an arrow
BLOCKS = 6  # of an anonymised face, per side


@dataclass
class VideoLayout:
    """The state that the frames of a video share.

    Attributes:
        tasks: {task: class names} of the network, for a legend that is the
            same in every frame.
        sides: {number of a face: side of its panel, see `panels.place`}.
    """

    tasks: dict[str, Collection[str]]
    sides: dict[int, int] = field(default_factory=dict)

    def forget_all_but(self, numbers: set[int]) -> None:
        """Forget the sides of the faces that left the video."""
        for gone in self.sides.keys() - numbers:
            del self.sides[gone]


def annotate(
    image: np.ndarray,
    predictions: list[Prediction],
    least: float,
    layout: VideoLayout | None = None,
) -> np.ndarray:
    """A copy of the image with boxes, labels and pose arrows.

    Each face gets a box, an arrow in the direction of the nose (a ring for a
    frontal pose), and a panel with the most probable class of every task; of
    several faces, also a number. Panels cover neither faces nor other panels,
    and arrows are above them. Panels without a place in the image follow below
    it, up to a maximum height; in a video, they are omitted. The last line is
    the legend.

    Args:
        image: uint8 [H, W, 3], RGB; enlarged to 480 pixels or more.
        predictions: list of Prediction.
        least: confidence in 0..1 below which a class is marked as unsure.
        layout: VideoLayout of a video; None for a single image.

    Returns:
        uint8 [H', W', 3].
    """
    is_video = layout is not None
    sides = layout.sides if is_video else {}
    scale = max(1, math.ceil(SMALLEST / max(image.shape[:2])))
    canvas = _enlarged(image, scale)
    is_numbered = is_video or len(predictions) > 1
    boxes = [_scaled(p.face.box, scale) for p in predictions]
    tags = _mark(canvas, predictions, boxes, is_numbered)
    labelled = [p for p in predictions if has_yaw(p.labels)]
    poses = [_pose(canvas.shape, p, scale) for p in labelled]
    arrows = [pose.box for pose in poses]
    taken, below = boxes + tags, []
    for prediction, box in zip(predictions, boxes, strict=True):
        heading = f"face {prediction.number}" if is_numbered else ""
        rows, colour = panels.rows(prediction, least), _colour(prediction)
        options = [
            panels.Panel(heading, rows, size, colour)
            for size in panels.sizes(canvas.shape, box)
        ]
        side = sides.get(prediction.number)
        found = _find_place(canvas.shape, box, options, taken, arrows, side)
        if found is None:
            size = panels.font_size(canvas.shape)
            below.append(panels.Panel(heading, rows, size, colour))
            continue
        panel, (left, top), sides[prediction.number] = found
        taken.append(panel.draw(canvas, left, top))
    for pose in poses:
        pose.draw(canvas)
    if is_video:
        layout.forget_all_but({p.number for p in predictions})
    tasks = layout.tasks if is_video else _tasks(predictions)
    marks = bool(tasks), has_yaw(tasks), least
    parts = [canvas, panels.legend(canvas.shape, len(boxes), *marks)]
    if below and not is_video:
        parts.insert(1, panels.grid(below, canvas.shape))
    return _stack(parts)


def blur(image: np.ndarray, face: Face) -> None:
    """Anonymise a face in place: 6 x 6 blocks of uniform colour.

    Args:
        image: uint8 [H, W, 3].
        face: Face; the blocks extend beyond its box, over hair and chin.
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


def _mark(canvas, predictions, boxes, is_numbered):
    """Draw box and number of every face; returns the boxes of the numbers."""
    tags = []
    for prediction, box in zip(predictions, boxes, strict=True):
        _draw_frame(canvas, box, _colour(prediction))
        if is_numbered:
            tags.append(_draw_number(canvas, box, prediction))
    return tags


def _find_place(shape, box, options, taken, arrows, side):
    """A panel's place, see `panels.place`.

    The panel of a new face, whose `side` is None, covers no arrow if there is
    such a place. Others keep to their side, so that they do not jump.
    """
    gap = _thickness(shape, box) + 2
    place = functools.partial(panels.place, box, options)
    found = None
    if side is None:
        found = place(taken + arrows, shape, gap, side)
    return found or place(taken, shape, gap, side)


def _tasks(predictions):
    """{task: class names} of all predictions."""
    return {
        task: names for p in predictions for task, names in p.labels.items()
    }


def _enlarged(image, scale):
    """A copy with `scale` times as many rows and columns."""
    if scale == 1:
        return image.copy()
    size = [scale * side for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)


def _stack(parts):
    """Images one below the other, the narrow ones padded in a dark colour."""
    width = max(part.shape[1] for part in parts)
    stacked = np.empty((sum(map(len, parts)), width, 3), np.uint8)
    top = 0
    for part in parts:
        rows = stacked[top : top + len(part)]
        rows[:, : part.shape[1]] = part
        rows[:, part.shape[1] :] = DARK
        top += len(part)
    return stacked


def _colour(prediction):
    return COLOURS[(prediction.number - 1) % len(COLOURS)]


def _scaled(box, scale):
    return tuple(round(scale * side) for side in box)


def _thickness(shape, box):
    """Thickness of the lines around a face, in pixels."""
    return max(2, round(min(max(shape[:2]) / 320, (box[3] - box[1]) / 40)))


def _draw_frame(canvas, box, colour):
    thickness = _thickness(canvas.shape, box)
    half = thickness // 2 + 1
    height, width = canvas.shape[:2]
    # The whole frame stays in the image, even if the face reaches beyond it.
    start = max(box[0], half), max(box[1], half)
    end = min(box[2], width - 1 - half), min(box[3], height - 1 - half)
    # A dark edge makes light lines visible on a light background.
    for ink, more in ((DARK, 2), (colour, 0)):
        cv2.rectangle(canvas, start, end, ink, thickness + more)


def _draw_number(canvas, box, prediction):
    """Tag the upper left corner of a face's box; returns the tag's box."""
    size = max(panels.LEAST_SIZE, panels.sizes(canvas.shape, box)[-1])
    words = str(prediction.number)
    width, height = text.width(words, size) + size, text.height(size) + 2
    left = min(max(box[0], 0), canvas.shape[1] - width)
    top = min(max(box[1] - height, 0), canvas.shape[0] - height)
    tag = (left, top, left + width, top + height)
    text.shade(canvas, tag, _colour(prediction), 1.0)
    text.write(canvas, words, left + size // 2, top + 1, size, DARK)
    return tag


@dataclass(frozen=True)
class _Pose:
    """The arrow from a nose, or the ring around it if both ends are equal.

    Attributes:
        start, end: (x, y) in pixels.
        radius: of the ring, in pixels.
        head: length of the arrowhead as a share of the arrow's.
        thickness: of the line, in pixels.
        colour: of the face.
    """

    start: tuple[int, int]
    end: tuple[int, int]
    radius: int
    head: float
    thickness: int
    colour: panels.Colour

    @property
    def box(self):
        """(left, top, right, bottom) in pixels."""
        xs, ys = zip(self.start, self.end, strict=True)
        margin = self.radius + self.thickness
        return (
            min(xs) - margin,
            min(ys) - margin,
            max(xs) + margin,
            max(ys) + margin,
        )

    def draw(self, canvas):
        for ink, more in ((DARK, 2), (self.colour, 0)):
            line = (ink, self.thickness + more, cv2.LINE_AA)
            if self.start == self.end:
                cv2.circle(canvas, self.start, self.radius, *line)
            else:
                cv2.arrowedLine(
                    canvas, self.start, self.end, *line, 0, self.head
                )


def _pose(shape, prediction, scale):
    """The _Pose of a face; its arrow ends inside the image."""
    face = prediction.face
    left, top, right, bottom = (scale * side for side in face.box)
    x, y = (scale * face.landmarks[2]).tolist()
    eyes, mouth = face.landmarks[:2].mean(0), face.landmarks[3:].mean(0)
    across, down = (mouth - eyes).tolist()
    roll = math.atan2(-across, down)
    angle = prediction.yaw
    size = bottom - top
    thickness = _thickness(shape, (left, top, right, bottom))
    radius = max(3, round(size * 0.05))
    length = 0.7 * size * math.sin(math.radians(angle))
    if abs(angle) < FRONTAL:
        length = 0.0
    step = length * math.cos(roll), length * math.sin(roll)
    share = 1.0  # of the arrow that fits, with its head
    for at, move, end in zip((x, y), step, shape[1::-1], strict=True):
        room = (end - at if move > 0 else at) - radius - thickness
        if abs(move) > max(room, 0):
            share = min(share, max(room, 0) / abs(move))
    start = round(x), round(y)
    end = round(x + share * step[0]), round(y + share * step[1])
    head = min(0.4, 0.12 * size / max(share * abs(length), 1))
    return _Pose(start, end, radius, head, thickness, _colour(prediction))

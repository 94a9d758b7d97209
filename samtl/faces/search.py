"""Searches of an image for faces, scaled or in tiles."""

import math
from collections.abc import Callable

import cv2
import numpy as np

from samtl.faces.face import Face

# Pixels of the longer side of a tile, and of the overlap of two, in which faces
# are whole. A photo that the tiles would enlarge less than WORTHWHILE beyond
# the other searches has none.
TILE, SHARED, WORTHWHILE = 1280, 128, 1.2

Find = Callable[[np.ndarray], list[Face]]


def scaled(find: Find, image: np.ndarray, size: int) -> list[Face]:
    """Faces of an image that is scaled to a longer side of `size` pixels."""
    height, width = image.shape[:2]
    scale = size / max(height, width)
    sides = [max(1, round(scale * side)) for side in (width, height)]
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(image, sides, interpolation=interpolation)
    ratio = np.array([width, height]) / sides
    return [moved(face, lambda points: points * ratio) for face in find(scaled)]


def tiled(
    find: Find, image: np.ndarray, most: float, searched: int
) -> list[Face]:
    """Small faces of a large image, in tiles that overlap.

    Args:
        find: function from uint8 [H, W, 3] to faces.
        image: uint8 [H, W, 3].
        most: pixels to which the image is scaled at most.
        searched: pixels of the longer side of other searches, which find the
            larger faces.

    Returns:
        list of Face; one in two tiles occurs twice. Empty for images that are
        not much larger than `searched`.
    """
    height, width = image.shape[:2]
    scale = min(1.0, math.sqrt(most / (height * width)))
    if scale * max(height, width) < WORTHWHILE * searched:
        return []
    sides = [max(1, round(scale * side)) for side in (width, height)]
    small = cv2.resize(image, sides, interpolation=cv2.INTER_AREA)
    ratio = np.array([width, height]) / sides
    faces = []
    for top, bottom in _tiles(sides[1]):
        for left, right in _tiles(sides[0]):
            found = find(small[top:bottom, left:right])
            # Of a face that an inner edge cuts, another tile has the whole.
            low = [start or -math.inf for start in (left, top)]
            high = [
                end if end < side else math.inf
                for end, side in zip((right, bottom), sides, strict=True)
            ]
            start = np.array([left, top])
            faces += [
                moved(face, lambda points: points * ratio)
                for face in (moved(f, lambda p, s=start: p + s) for f in found)
                if np.all(face.box[:2] > np.array(low))
                and np.all(face.box[2:] < np.array(high))
            ]
    return faces


def moved(face: Face, move: Callable) -> Face:
    """The face after `move`, a function of points [N, 2] in pixels."""
    corners = move(np.reshape(face.box, (2, 2)))
    box = (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())
    landmarks = move(face.landmarks).astype(np.float32)
    return Face(box, face.score, landmarks)


def _tiles(side):
    """(start, end) of the fewest tiles of equal size that cover a side."""
    count = max(1, math.ceil((side - SHARED) / (TILE - SHARED)))
    length = math.ceil((side + (count - 1) * SHARED) / count)
    starts = np.rint(np.linspace(0, max(0, side - length), count)).astype(int)
    return [(int(start), min(int(start) + length, side)) for start in starts]

"""Crops of faces, framed and turned as in the training data."""

import numpy as np

from samtl.faces.face import Face


def window(face: Face, margin: float) -> tuple[int, int, int, int]:
    """The square crop of a face, as in data preparation.

    Its centre is the centre of the landmarks' extent. Its side is the larger
    extent of the landmarks, plus `margin` times that extent on each side.

    Args:
        face: Face.
        margin: share of the landmarks' extent, >= 0.

    Returns:
        (left, top, right, bottom) in whole pixels, right and bottom exclusive;
        may reach beyond the image.
    """
    low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
    side = float((high - low).max())
    x, y = ((low + high) / 2).tolist()
    size = max(1, round(side * (1 + 2 * margin)))
    left, top = round(x - size / 2), round(y - size / 2)
    return left, top, left + size, top + size


def quarter_turns(face: Face) -> int:
    """Counter-clockwise quarter turns that make a face upright, 0..3.

    Networks are trained on upright faces. A tilt of less than 45 degrees is
    not corrected, as in the training data.
    """
    down = face.landmarks[3:].mean(axis=0) - face.landmarks[:2].mean(axis=0)
    # x points right and y points down, so that "down" is at 90 degrees.
    angle = np.degrees(np.arctan2(down[1], down[0])) - 90
    return round(angle / 90) % 4


def cut(
    image: np.ndarray, box: tuple[int, int, int, int], turns: int = 0
) -> np.ndarray:
    """The pixels of a box. Outside the image, its edge pixels repeat.

    Args:
        image: uint8 [H, W, C].
        box: (left, top, right, bottom) in pixels, see `window`.
        turns: counter-clockwise quarter turns of the result.

    Returns:
        uint8 [bottom - top, right - left, C]; odd turns swap the two sides.
    """
    left, top, right, bottom = box
    height, width = image.shape[:2]
    # A box that misses the image repeats the pixels of the nearest edge.
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    columns = np.clip(np.arange(left, right), 0, width - 1)
    inside = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if inside.shape[:2] != (bottom - top, right - left):
        inside = inside[rows - rows[0]][:, columns - columns[0]]
    return np.ascontiguousarray(np.rot90(inside, turns))

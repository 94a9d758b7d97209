"""A detected face."""

from dataclasses import dataclass

import numpy as np

Box = tuple[float, float, float, float]
# Of an upright face, as shares of its crop's width and height: the extent that
# the margin of 0.7 leaves.
LANDMARKS = np.float32(
    [[0.3, 0.3], [0.7, 0.3], [0.5, 0.5], [0.35, 0.7], [0.65, 0.7]]
)


@dataclass(frozen=True)
class Face:
    """A face in an image.

    Attributes:
        box: (left, top, right, bottom), float, in pixels of the image, from
            the hairline to the chin; may reach beyond the image.
        score: 0..1, the geometric mean of YuNet's two outputs, the
            probability of a face and the predicted overlap with it.
        landmarks: float32 [5, 2], x and y in pixels: the subject's right and
            left eye, nose, right and left corner of the mouth.
    """

    box: Box
    score: float
    landmarks: np.ndarray

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


def whole(image: np.ndarray) -> Face:
    """The face of an image that is the crop of one face.

    Its box is the image, its score 1, and its landmarks are LANDMARKS, wherever
    those of the face are.

    Args:
        image: uint8 [H, W, C].
    """
    height, width = image.shape[:2]
    size = np.float32([width, height])
    return Face((0.0, 0.0, float(width), float(height)), 1.0, size * LANDMARKS)

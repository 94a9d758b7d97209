"""A detected face."""

from dataclasses import dataclass

import numpy as np

Box = tuple[float, float, float, float]


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

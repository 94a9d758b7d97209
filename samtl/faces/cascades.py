"""Haar cascades of OpenCV 4, the face detector without YuNet's file."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

OVERLAP = 0.3  # intersection over union from which two boxes are one face


@dataclass(frozen=True)
class Cascade:
    """A Haar cascade with the calibration of its detections.

    A detection is a square with the weight w of the cascade's last stage. The
    probability that it shows a face is

        p = 1 / (1 + exp(-(slope * w + offset + support * s))),

    where s = 1 if another cascade detects the face too, else s = 0. Cascades
    that were trained on different faces make different mistakes, so that two
    detections are better evidence than one.

    The parameters are fitted to 1,901 detections in 503 photos, most of MTFL
    and ExpW. A detection is correct if it overlaps with YuNet's or a label.

    Attributes:
        name: of OpenCV's file.
        slope, offset, support: parameters of the equation.
        shift: from the square's centre to the face's, to the right, as a
            share of the square's side.
        width, height: of the face, as shares of the square's side.
    """

    name: str
    slope: float
    offset: float
    support: float
    shift: float
    width: float
    height: float

    def box(
        self, left: float, top: float, side: float
    ) -> tuple[float, float, float, float]:
        """The box of the face in a square, in pixels, as in `Face`."""
        x, y = left + side * (0.5 + self.shift), top + side / 2
        across, down = side * self.width / 2, side * self.height / 2
        return tuple(map(float, (x - across, y - down, x + across, y + down)))

    def score(self, weight: float, is_supported: bool) -> float:
        """Probability in 0..1 that a detection is a face."""
        logit = self.slope * weight + self.offset + self.support * is_supported
        return 1 / (1 + math.exp(-logit))


PROFILE = Cascade("profileface", 1.604, -0.79, 2.58, -0.08, 0.72, 0.95)
CASCADES = (
    Cascade("frontalface_default", 0.498, -1.51, 3.24, 0.0, 0.84, 1.08),
    Cascade("frontalface_alt2", 1.895, -104.06, 2.25, 0.0, 0.84, 1.08),
    PROFILE,
)


def finder() -> Callable[[np.ndarray], list[tuple]]:
    """Two frontal cascades, and one for profiles of both sides.

    Returns:
        function: uint8 [H, W, 3], RGB -> [(box, score)], as in `Face`. A face
        with several detections is in the list several times.
    """
    classifiers = {
        cascade: cv2.CascadeClassifier(
            f"{cv2.data.haarcascades}haarcascade_{cascade.name}.xml"
        )
        for cascade in CASCADES
    }

    def find(image):
        gray = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        seen = [
            (cascade, *found)
            for cascade, classifier in classifiers.items()
            for found in _seen(cascade, classifier, gray)
        ]
        mirrored = _seen(PROFILE, classifiers[PROFILE], cv2.flip(gray, 1))
        width = gray.shape[1]
        seen += [
            (PROFILE, (width - right, top, width - left, bottom), weight)
            for (left, top, right, bottom), weight in mirrored
        ]
        return [
            (box, cascade.score(weight, _is_supported(cascade, box, seen)))
            for cascade, box, weight in seen
        ]

    return find


def _seen(cascade, classifier, gray):
    """Detections of a cascade in a gray image: [(box of a face, weight)]."""
    squares, _, weights = classifier.detectMultiScale3(
        gray, 1.1, 5, minSize=(24, 24), outputRejectLevels=True
    )
    return [
        (cascade.box(left, top, side), float(weight))
        for (left, top, side, _), weight in zip(
            squares, np.ravel(weights), strict=True
        )
    ]


def _is_supported(cascade, box, seen):
    """Whether another cascade detects the face too."""
    return any(
        other is not cascade and _overlap(box, place) > OVERLAP
        for other, place, _ in seen
    )


def _overlap(one, other):
    """Intersection over union of two boxes."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(across, 0) * max(down, 0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return shared / (sum(areas) - shared)

"""Haar cascades of OpenCV 4, which find faces where YuNet cannot be had."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

OVERLAP = 0.3  # of the boxes of one face (intersection over union)


@dataclass(frozen=True)
class Cascade:
    """A Haar cascade, and how its squares and weights are to be read.

    One that was trained on other faces makes other mistakes: what two see is
    most likely a face. The figures are fitted to 1,901 detections in 503
    photos, most of MTFL and ExpW, that were held against YuNet's: a face is
    where those or the labels overlap.

    Attributes:
        name: of OpenCV's file.
        slope, offset, support: a square whose last stage weighs w is a face
            with the probability 1 / (1 + exp(-slope * w - offset - support)),
            `support` only where another cascade sees a face there.
        shift: from the square's middle to the face's, to the right, as a
            share of the square.
        width, height: of the face, as shares of the square.
    """

    name: str
    slope: float
    offset: float
    support: float
    shift: float
    width: float
    height: float

    def box(self, left, top, side):
        """Of the face in a square, as in `Face`."""
        x, y = left + side * (0.5 + self.shift), top + side / 2
        across, down = side * self.width / 2, side * self.height / 2
        return tuple(map(float, (x - across, y - down, x + across, y + down)))

    def score(self, weight, is_supported):
        """Share of such squares that are faces, 0 to 1."""
        logit = self.slope * weight + self.offset + self.support * is_supported
        return 1 / (1 + math.exp(-logit))


PROFILE = Cascade("profileface", 1.604, -0.79, 2.58, -0.08, 0.72, 0.95)
CASCADES = (
    Cascade("frontalface_default", 0.498, -1.51, 3.24, 0.0, 0.84, 1.08),
    Cascade("frontalface_alt2", 1.895, -104.06, 2.25, 0.0, 0.84, 1.08),
    PROFILE,
)


def finder():
    """Two frontal cascades, and one for profiles of both sides.

    Returns:
        function: uint8 [H, W, 3], RGB -> [(box, score)], as in `Face`, several
        times for a face that is seen several times.
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
    """[(box of a face, weight)] that a cascade finds in a gray image."""
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
    """Does another cascade see a face there?"""
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

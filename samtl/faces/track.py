"""Faces that keep their identity, place and labels from frame to frame."""

import itertools
import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from samtl.faces.detect import Face

LONGEST = 640  # longer side of the pictures that motion is measured on, pixels
OVERLAP = 0.2  # intersection over union from which a detection may be a track
# Seconds after which a track ends that the detector, when it looks, misses.
PATIENCE = 1.0
POINTS = 6  # points across a face, and down, whose motion is measured
# The share of points that have to agree on one motion, and the change of size
# from one frame to the next beyond which it is no face's motion.
AGREEMENT, GROWTH = 0.5, 1.25
# The difference, in gray levels, between two pictures of 16 x 16 pixels beyond
# which faces that cannot be followed are of another scene. Between two photos
# (150 of ExpW, and 30 of MTFL with the face at one place), it was always more;
# within one, less after a flash and mostly after a shift by a twentieth.
CUT = 27
NEW = 0.6  # weight of a detection against the followed place: less trembling


@dataclass
class Track:
    """One person's face over time.

    Attributes:
        number: from 1, never given twice.
        face: where it is, or was last seen.
        detected: seconds, when the detector found it last.
        is_seen: it was found or could be followed in the latest frame.
        probabilities: {task: float [C_t]}, smoothed; empty at first.
        labelled: seconds, when they were last updated.
    """

    number: int
    face: Face
    detected: float
    is_seen: bool = True
    probabilities: dict = field(default_factory=dict)
    labelled: float = 0.0

    def smooth(self, probabilities, time, span):
        """Let new probabilities count, the older ones fading away.

        p <- p + (1 - exp(-t / span)) * (new - p), t the seconds since the
        last update: an exponential average that does not depend on how many
        frames there are a second.

        Args:
            probabilities: {task: float [C_t]}.
            time: of the frame, seconds.
            span: seconds in which the old ones fade to 1/e; 0 forgets them.
        """
        elapsed = time - self.labelled
        weight = -math.expm1(-elapsed / span) if span > 0 else 1.0
        for task, new in probabilities.items():
            old = self.probabilities.get(task, new)
            self.probabilities[task] = old + weight * (new - old)
        self.labelled = time


class Tracker:
    """Follows faces by their motion and matches detections with them.

    Attributes:
        tracks: list of Track, also of those out of sight for a moment.
    """

    def __init__(self):
        self.tracks = []
        self._numbers = itertools.count(1)
        self._gray = None

    def update(self, image, time, faces=None):
        """Take in the next frame.

        Args:
            image: uint8 [H, W, 3], RGB, of the same size every time.
            time: of the frame, seconds, growing.
            faces: list of Face that the detector found in it; None where it
                was not asked.

        Returns:
            list of Track in sight.
        """
        scale = min(1.0, LONGEST / max(image.shape[:2]))
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if scale < 1:
            gray = cv2.resize(gray, None, fx=scale, fy=scale)
        for track in self.tracks:
            moved = None
            if track.is_seen:
                moved = follow(self._gray, gray, track.face, scale)
            track.is_seen = moved is not None
            track.face = moved or track.face
        is_lost = not any(track.is_seen for track in self.tracks)
        if self.tracks and is_lost and _difference(self._gray, gray) > CUT:
            self.tracks = []
        self._gray = gray
        if faces is not None:
            self._match(faces, time)
            self.tracks = [
                track
                for track in self.tracks
                if time - track.detected <= PATIENCE
            ]
        return [track for track in self.tracks if track.is_seen]

    def _match(self, faces, time):
        pairs = match(
            [track.face.box for track in self.tracks],
            [face.box for face in faces],
        )
        for t, f in pairs:
            track, face = self.tracks[t], faces[f]
            track.face = _mean(track.face, face) if track.is_seen else face
            track.detected, track.is_seen = time, True
        matched = {f for _, f in pairs}
        self.tracks += [
            Track(next(self._numbers), face, time)
            for f, face in enumerate(faces)
            if f not in matched
        ]


def match(boxes, others, least=OVERLAP):
    """Pair boxes so that together they overlap most.

    Args:
        boxes, others: lists of (left, top, right, bottom).
        least: intersection over union that a pair needs.

    Returns:
        list of (index in boxes, index in others), each index at most once.
    """
    if not boxes or not others:
        return []
    overlaps = _overlaps(np.array(boxes, float), np.array(others, float))
    overlaps[overlaps < least] = 0
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    return [
        (int(i), int(j))
        for i, j in zip(rows, columns, strict=True)
        if overlaps[i, j] > 0
    ]


def follow(before, after, face, scale=1.0):
    """Where a face of one frame is in the next.

    Median-flow's idea (Kalal, Mikolajczyk, Matas, "Forward-Backward Error",
    ICPR 2010): a grid of points is followed by Lucas and Kanade's optical
    flow, and the shift, turn and growth that most points agree on (RANSAC)
    moves the face.

    Args:
        before, after: uint8 [h, w], gray.
        face: Face, in pixels of a picture that these are scaled from.
        scale: pixels of `before` and `after` for one of that picture.

    Returns:
        Face, or None where the points do not agree.
    """
    left, top, right, bottom = (scale * side for side in face.box)
    shares = np.linspace(0.15, 0.85, POINTS)
    x, y = np.meshgrid(
        left + shares * (right - left), top + shares * (bottom - top)
    )
    points = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    height, width = before.shape
    points = points[((points >= 0) & (points < (width, height))).all(axis=1)]
    if len(points) < POINTS:
        return None
    moved, status, _ = cv2.calcOpticalFlowPyrLK(before, after, points, None)
    good = status.ravel() == 1
    if good.sum() < max(POINTS, AGREEMENT * len(points)):
        return None
    tolerance = max(1.0, 0.02 * (bottom - top))
    motion, agree = cv2.estimateAffinePartial2D(
        points[good], moved[good], ransacReprojThreshold=tolerance
    )
    if motion is None or agree.sum() < AGREEMENT * len(points):
        return None
    motion[:, 2] /= scale
    growth = math.hypot(*motion[:, 0])
    if not 1 / GROWTH < growth < GROWTH:
        return None
    return _moved(face, motion, growth)


def _difference(before, after):
    """Between two gray pictures, coarsely, whatever their brightness."""
    one, other = (
        cv2.resize(picture, (16, 16), interpolation=cv2.INTER_AREA)
        for picture in (before, after)
    )
    return np.abs((one - one.mean()) - (other - other.mean())).mean()


def _moved(face, motion, growth):
    """The face after a motion [2, 3] that grows by `growth`."""
    left, top, right, bottom = face.box
    x, y = motion @ ((left + right) / 2, (top + bottom) / 2, 1)
    across, down = growth * (right - left) / 2, growth * (bottom - top) / 2
    box = tuple(map(float, (x - across, y - down, x + across, y + down)))
    landmarks = face.landmarks
    if landmarks is not None:
        landmarks = landmarks @ motion[:, :2].T + motion[:, 2]
        landmarks = landmarks.astype(np.float32)
    return Face(box, face.score, landmarks)


def _mean(old, new):
    """The new face, drawn a little towards the old one."""
    box = tuple(
        NEW * b + (1 - NEW) * a for a, b in zip(old.box, new.box, strict=True)
    )
    landmarks = new.landmarks
    if landmarks is not None and old.landmarks is not None:
        landmarks = NEW * landmarks + np.float32(1 - NEW) * old.landmarks
        landmarks = landmarks.astype(np.float32)
    return Face(box, new.score, landmarks)


def _overlaps(boxes, others):
    """Intersection over union, [N, 4] and [M, 4] -> [N, M]."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    areas, more = (
        np.prod(some[:, 2:] - some[:, :2], axis=-1) for some in (boxes, others)
    )
    return shared / np.maximum(areas[:, None] + more - shared, 1e-9)

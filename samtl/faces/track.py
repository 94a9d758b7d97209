"""Tracking of faces in a video: identity, position and smoothed labels."""

import itertools
import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from samtl.faces.face import Box, Face

LONGEST = 640  # pixels of the longer side of the frames for optical flow
OVERLAP = 0.2  # least intersection over union of a track and a detection
PATIENCE = 1.0  # seconds without a detection after which a track ends
POINTS = 6  # per side, of the grid for optical flow
# The least share of inliers among the points, and the largest plausible change
# of a face's size from one frame to the next.
AGREEMENT, GROWTH = 0.5, 1.25
# The difference between two frames, see `_difference`, above which lost faces
# belong to another scene. Between two of 60 photos of MTFL with the face at the
# same place, it was at least 0.8 at any brightness down to a quarter. Between
# the chips of two people of UTKFace, aligned and on a plain background, it was
# above 0.7 for 11 of 23 pairs in the frame, and for 22 inside the box. After a
# flash, a zoom of 8 % or a rotation of 4 degrees, it was at most 0.5.
CUT = 0.7
# Around the faces, the difference up to which the scene is the same, and the
# range of gray levels below which there is nothing to compare.
SAME, PLAIN = 0.1, 4
SIDE = 16  # pixels of the reduced frames and faces that are compared
LABELLED = 6  # faces that are labelled in each frame, of more in turn
NEW = 0.6  # weight of a detection against optical flow: less jitter


@dataclass
class Track:
    """One person's face over time.

    Attributes:
        number: from 1, unique in a video.
        face: Face in the latest frame, or in the last one where it was seen.
        detected: time of the last detection, in seconds.
        is_seen: whether the latest frame has a detection or optical flow.
        probabilities: {task: float [C_t]}, smoothed; empty at first.
        labelled: time of their last update, in seconds.
    """

    number: int
    face: Face
    detected: float
    is_seen: bool = True
    probabilities: dict[str, np.ndarray] = field(default_factory=dict)
    labelled: float = 0.0

    def smooth(
        self, probabilities: dict[str, np.ndarray], time: float, span: float
    ) -> None:
        """Update the exponential moving average of the probabilities.

        p <- p + (1 - exp(-t / span)) * (new - p), where t are the seconds
        since the last update, so that the frame rate has no effect.

        Args:
            probabilities: {task: float [C_t]} of the frame.
            time: of the frame, in seconds.
            span: time constant in seconds; 0 for no smoothing.
        """
        elapsed = time - self.labelled
        weight = -math.expm1(-elapsed / span) if span > 0 else 1.0
        for task, new in probabilities.items():
            old = self.probabilities.get(task, new)
            self.probabilities[task] = old + weight * (new - old)
        self.labelled = time


class Tracker:
    """Tracks faces by optical flow and matched detections.

    Attributes:
        tracks: list of Track, including those that are lost for a moment.
    """

    def __init__(self):
        self.tracks = []
        self._numbers = itertools.count(1)
        self._gray = None

    def update(
        self, image: np.ndarray, time: float, faces: list[Face] | None = None
    ) -> list[Track]:
        """Process the next frame.

        Args:
            image: uint8 [H, W, 3], RGB, of the same size in all frames.
            time: of the frame, in seconds, increasing.
            faces: list of Face from the detector; None if it did not run.

        Returns:
            list of Track that the frame shows.
        """
        scale = min(1.0, LONGEST / max(image.shape[:2]))
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if scale < 1:
            gray = cv2.resize(gray, None, fx=scale, fy=scale)
        seen = [track for track in self.tracks if track.is_seen]
        for track in self.tracks:
            moved = None
            if track.is_seen:
                moved = follow(self._gray, gray, track.face, scale)
            track.is_seen = moved is not None
            track.face = moved or track.face
        is_lost = not any(track.is_seen for track in self.tracks)
        if self.tracks and is_lost:
            boxes = [scale * np.array(track.face.box) for track in seen]
            if _is_cut(self._gray, gray, boxes):
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


def due(tracks: list[Track], count: int = LABELLED) -> list[Track]:
    """The tracks to label in a frame: new ones, and some others in turn.

    Args:
        tracks: that the frame shows.
        count: most tracks, unless more are new; all of fewer tracks are due.

    Returns:
        list of Track: those without labels, and the longest unlabelled others.
    """
    waiting = sorted(tracks, key=lambda track: track.labelled)
    new = [track for track in waiting if not track.probabilities]
    others = [track for track in waiting if track.probabilities]
    return new + others[: max(0, count - len(new))]


def match(
    boxes: list[Box], others: list[Box], least: float = OVERLAP
) -> list[tuple[int, int]]:
    """The assignment of boxes with the largest sum of overlaps.

    Args:
        boxes, others: lists of (left, top, right, bottom).
        least: intersection over union in 0..1 that a pair needs.

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


def follow(
    before: np.ndarray, after: np.ndarray, face: Face, scale: float = 1.0
) -> Face | None:
    """The position of a face in the next frame, by optical flow.

    As in the median-flow tracker (Kalal, Mikolajczyk, Matas, "Forward-Backward
    Error", ICPR 2010), Lucas-Kanade optical flow follows a grid of points on
    the face. A similarity transform is fitted to the points with RANSAC and
    applied to the face.

    Args:
        before, after: uint8 [h, w], gray.
        face: Face, in pixels of the full-size frame.
        scale: size of `before` and `after` relative to that frame.

    Returns:
        Face, or None if too few points are inliers.
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


def _is_cut(before, after, boxes):
    """Whether another scene begins: the whole frame differs, or every face.

    On a plain background, two people at one place have the same outline, which
    is most of the frame's contrast. Faces differ, too, when something moves in
    front of them; then what is around them stays.
    """
    if _difference(_small(before), _small(after)) > CUT:
        return True
    height, width = before.shape
    around, inside = np.full((SIDE, SIDE), True), []
    for box in boxes:
        left, top, right, bottom = np.maximum(np.rint(box), 0).astype(int)
        parts = [gray[top:bottom, left:right] for gray in (before, after)]
        if parts[0].size == 0:
            return False
        inside.append(_difference(*map(_small, parts)))
        x, y = (right - left) // 4, (bottom - top) // 4
        rows = slice(max(top - y, 0) * SIDE // height, None)
        columns = slice(max(left - x, 0) * SIDE // width, None)
        hidden = np.zeros_like(around)
        hidden[rows, columns] = True
        hidden[-(-(bottom + y) * SIDE // height) :] = False
        hidden[:, -(-(right + x) * SIDE // width) :] = False
        around &= ~hidden
    if min(inside, default=0.0) <= CUT:
        return False
    rest = [_small(gray)[around] for gray in (before, after)]
    is_plain = not around.any() or max(map(np.ptp, rest)) < PLAIN
    return is_plain or _difference(*rest) > SAME


def _small(gray):
    size = (SIDE, SIDE)
    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA).astype(float)


def _difference(one, other):
    """Mean absolute difference of gray values, relative to the contrast.

    Each array minus its mean; the contrast is the mean of their mean absolute
    deviations, at least one gray level.
    """
    one, other = one - one.mean(), other - other.mean()
    contrast = (np.abs(one).mean() + np.abs(other).mean()) / 2
    return np.abs(one - other).mean() / max(contrast, 1)


def _moved(face, motion, growth):
    """The face after an affine motion [2, 3] of the scale `growth`."""
    left, top, right, bottom = face.box
    x, y = motion @ ((left + right) / 2, (top + bottom) / 2, 1)
    across, down = growth * (right - left) / 2, growth * (bottom - top) / 2
    box = tuple(map(float, (x - across, y - down, x + across, y + down)))
    landmarks = face.landmarks @ motion[:, :2].T + motion[:, 2]
    return Face(box, face.score, landmarks.astype(np.float32))


def _mean(old, new):
    """The weighted mean of a detection and the position by optical flow."""
    box = tuple(
        NEW * b + (1 - NEW) * a for a, b in zip(old.box, new.box, strict=True)
    )
    landmarks = NEW * new.landmarks + (1 - NEW) * old.landmarks
    return Face(box, new.score, landmarks.astype(np.float32))


def _overlaps(boxes, others):
    """Intersection over union, [N, 4] and [M, 4] -> [N, M]."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    areas, more = (
        np.prod(some[:, 2:] - some[:, :2], axis=-1) for some in (boxes, others)
    )
    return shared / np.maximum(areas[:, None] + more - shared, 1e-9)

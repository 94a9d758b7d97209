"""Where the faces are: YuNet, or Haar cascades where it cannot be had.

YuNet (Wu, Peng & Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine
Intelligence Research 2023) runs in OpenCV; its 230 kB are downloaded once.
"""

import contextlib
import hashlib
import math
import os
import sys
import threading
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import cv2
import numpy as np

from utils import files, flags
from utils.errors import UserError

# OpenCV's model zoo at a fixed commit; GitHub's media host serves the file
# itself where the raw one serves a Git LFS pointer.
URL = (
    "https://media.githubusercontent.com/media/opencv/opencv_zoo/"
    "47534e27c9851bb1128ccc0102f1145e27f23f98/models/face_detection_yunet/"
    "face_detection_yunet_2026may.onnx"
)
SHA256 = "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0"
TIMEOUT = 10  # seconds without an answer
LEAST_SCORE = 0.6
OVERLAP = 0.3  # of two boxes (intersection over union) around one face
# Pixels of the longer side that an image is scaled to, time being bounded by
# the larger ones.
SMALLEST, LARGEST = 320, 640


@dataclass(frozen=True)
class Face:
    """A face in an image.

    Attributes:
        box: (left, top, right, bottom), float, in pixels of the image, from
            forehead to chin; may reach beyond the image.
        score: 0..1, how sure the detector is.
        landmarks: float32 [5, 2], x and y in pixels: the subject's right and
            left eye, nose, right and left corner of the mouth; None where the
            detector finds none.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray | None


def add_flag(parser):
    """Declare --detector_model, the argument of `open`."""
    text = (
        "YuNet's .onnx file (left out: the copy in the user's cache folder, "
        "downloaded on first use; without a network, Haar cascades)"
    )
    flags.add_flag(parser, "detector_model", Path, None, text)


def open(model=None):
    """The best detector there is.

    Args:
        model: YuNet's file. None: the copy in the user's cache folder, which
            is downloaded if it is not there; if that fails, one line on
            standard error says so and Haar cascades take over.

    Raises:
        UserError: `model` cannot be read or is not YuNet.
    """
    if model is not None:
        return _load(model)
    try:
        data = _cached()
    except (OSError, HTTPException, UserError) as error:
        print(
            f"no YuNet ({error}): Haar cascades find the faces, though fewer; "
            f"download {URL} and give it as --detector_model",
            file=sys.stderr,
        )
        return Detector("Haar cascades", _haar)
    return Detector("YuNet", lambda: _yunet(data))


class Detector:
    """A function from image to faces that threads may share.

    Attributes:
        name: "YuNet" or "Haar cascades".
    """

    def __init__(self, name, make):
        """`make()` gives what finds the faces of one thread at a time."""
        self.name = name
        self._make = make
        self._own = threading.local()
        self._own.find = make()

    def __call__(self, image):
        """Find the faces.

        Where there is none, larger and turned versions of the image are
        tried.

        Args:
            image: uint8 [H, W, 3], RGB.

        Returns:
            list of Face, best first.
        """
        if not hasattr(self._own, "find"):
            self._own.find = self._make()
        for longest in (LARGEST, 2 * LARGEST):
            faces = _scaled(self._own.find, image, longest)
            if faces or max(image.shape[:2]) <= longest:
                break
        for turns in (1, 3, 2):
            if faces:
                break
            turned = np.ascontiguousarray(np.rot90(image, turns))
            faces = [
                _turned_back(face, turns, image.shape)
                for face in _scaled(self._own.find, turned, LARGEST)
            ]
        return sorted(faces, key=lambda face: -face.score)


def _scaled(find, image, longest):
    """Faces of the image after scaling it to at most `longest` pixels."""
    height, width = image.shape[:2]
    scale = np.clip(max(height, width), SMALLEST, longest) / max(height, width)
    size = [max(1, round(scale * side)) for side in (width, height)]
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(image, size, interpolation=interpolation)
    ratio = np.array([width, height]) / size
    return [
        _moved(face, lambda points: points * ratio) for face in find(scaled)
    ]


def _turned_back(face, turns, shape):
    """A face of np.rot90(image, turns) where it is in the image itself."""
    height, width = shape[:2]

    def back(points):
        x, y = np.moveaxis(points, -1, 0)
        place = {
            1: (width - y, x),
            2: (width - x, height - y),
            3: (y, height - x),
        }
        return np.stack(place[turns], axis=-1)

    return _moved(face, back)


def _moved(face, move):
    """The face after `move`, a function from points [N, 2] to points."""
    corners = move(np.reshape(face.box, (2, 2)))
    box = (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())
    landmarks = face.landmarks
    if landmarks is not None:
        landmarks = move(landmarks).astype(np.float32)
    return Face(box, face.score, landmarks)


def _yunet(data):
    """YuNet from the bytes of its file."""
    network = cv2.FaceDetectorYN.create(
        "onnx",
        np.frombuffer(data, np.uint8),
        np.empty(0, np.uint8),
        (LARGEST, LARGEST),
        LEAST_SCORE,
        OVERLAP,
    )

    def find(image):
        network.setInputSize(image.shape[1::-1])
        _, rows = network.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return [_face(row) for row in (() if rows is None else rows)]

    return find


def _face(row):
    """A Face from YuNet's row: x, y, width, height, five points, score."""
    left, top, width, height = row[:4].tolist()
    score = min(max(float(row[14]), 0.0), 1.0)
    box = (left, top, left + width, top + height)
    return Face(box, score, row[4:14].reshape(5, 2))


def _haar():
    """OpenCV's cascades: frontal, profile and mirrored profile."""
    frontal, profile = (
        cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_{name}.xml")
        for name in ("frontalface_default", "profileface")
    )

    def find(image):
        gray = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        mirrored = cv2.flip(gray, 1)
        boxes, scores = [], []
        for cascade, pixels in (
            (frontal, gray),
            (profile, gray),
            (profile, mirrored),
        ):
            found, _, weights = cascade.detectMultiScale3(
                pixels, 1.1, 5, minSize=(24, 24), outputRejectLevels=True
            )
            for (left, top, width, height), weight in zip(
                found, np.ravel(weights), strict=True
            ):
                if pixels is mirrored:
                    left = gray.shape[1] - left - width
                boxes.append([int(v) for v in (left, top, width, height)])
                scores.append(1 - math.exp(-max(float(weight), 0) / 4))
        kept = cv2.dnn.NMSBoxes(boxes, scores, 0.0, OVERLAP)
        faces = []
        for left, top, width, height in (boxes[i] for i in kept):
            faces.append((left, top, left + width, top + height))
        return [
            Face(tuple(map(float, box)), scores[i], None)
            for box, i in zip(faces, kept, strict=True)
        ]

    return find


def _load(path):
    """The detector of a file that the user gives."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read --detector_model={path}: {error.strerror}; download "
            f"{URL}"
        ) from error
    try:
        detector = Detector("YuNet", lambda: _yunet(data))
        detector(np.zeros((64, 64, 3), np.uint8))
    except cv2.error as error:
        raise UserError(
            f"--detector_model={path} is not the YuNet that OpenCV "
            f"{cv2.__version__} reads; download {URL}"
        ) from error
    return detector


def _cached():
    """The bytes of YuNet's file, from the user's cache folder or the network.

    Raises:
        OSError, HTTPException: it cannot be downloaded.
        UserError: what was downloaded is another file.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = folder / "mtl-sa" / URL.rpartition("/")[2]
    if path.is_file() and _is_yunet(data := path.read_bytes()):
        return data
    with urllib.request.urlopen(URL, timeout=TIMEOUT) as answer:
        data = answer.read()
    if not _is_yunet(data):
        raise UserError(f"{URL} has another SHA-256 than the pinned one")
    # Where the folder cannot be written, the next use downloads again.
    with contextlib.suppress(UserError), files.write(path) as temporary:
        temporary.write_bytes(data)
    return data


def _is_yunet(data):
    return hashlib.sha256(data).hexdigest() == SHA256

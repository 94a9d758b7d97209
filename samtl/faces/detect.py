"""Face detection with YuNet, in OpenCV.

Wu, Peng & Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine
Intelligence Research 2023. Its file of 230 kB is in weights/, with its licence.
"""

import argparse
import contextlib
import functools
import hashlib
import math
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from samtl.common import flags, isolation, onnx_files, shipped
from samtl.common.errors import UserError
from samtl.faces import search
from samtl.faces.face import Face

YUNET = shipped.WEIGHTS / "face_detection_yunet_2026may.onnx"
# The same file in OpenCV's model zoo. This host serves the file itself;
# raw.githubusercontent.com serves a Git LFS pointer.
URL = (
    "https://media.githubusercontent.com/media/opencv/opencv_zoo/"
    "47534e27c9851bb1128ccc0102f1145e27f23f98/models/face_detection_yunet/"
    "face_detection_yunet_2026may.onnx"
)
SHA256 = "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0"
PATIENCE = 60  # seconds for loading a network in a child process
LEAST_SCORE = 0.6
# Score of an upright face from which rotated images are not searched. YuNet
# also finds faces that lie or are upside down, but with lower scores, and it
# confuses chin and forehead. Of 200 upright faces from four datasets, 89 %
# score more than this. Upside down, 94 % score less than this and than upright.
SURE = 0.9
# Score from which a face of a rotated image counts beside an upright face of a
# higher score. One of 184 faces scores less. 550 photos of ExpW and MTFL have
# 1,250 detections. Rotation of the images without a face above SURE adds none.
# Rotation of all images adds 15, most of them hands, and dozens from 0.6.
TURNED = 0.8
# Score from which a face of a rotated image replaces an upright one at the same
# place, if it is also the higher score. Of 69 upright faces with a painted mask
# that both searches found, 4 are replaced (21 by a higher score alone), and of
# 61 with black glasses none (5). Of 85 faces that are upside down, 78 are.
CLEAR = 0.91
OVERLAP = 0.3  # intersection over union above which two boxes are one face
# Pixels that the longer side of an image is scaled to for each search, as a
# detector finds faces of about 10 to 300 pixels. Each search takes four times
# as long as the one before, so that the last one determines the time.
SIZES = (320, 640, 1280)
MEGAPIXELS = 5.0  # of the search in tiles, see `search.tiled`
# In images of fewer rows or columns, OpenCV's YuNet finds boxes of any size.
LEAST_SIDE = 64
LOG_LEVEL = threading.Lock()  # OpenCV has one level for all threads


def add_flag(parser: argparse.ArgumentParser) -> None:
    """Declare --detector_model, the argument of `open`."""
    text = "another .onnx file of YuNet (left out: the one in weights/)"
    flags.add_flag(parser, "detector_model", Path, None, text)


def open(
    model: Path | None = None,
    largest: int = SIZES[-1],
    is_thorough: bool = False,
    megapixels: float = 0.0,
) -> "Detector":
    """A detector of the faces in images.

    Args:
        model: YuNet's file; None: the one that the repository ships.
        largest: pixels of the longer side that images are scaled to at most;
            less than 320 counts as 320. Half of it takes a quarter of the time
            and misses the faces that become smaller than about 10 pixels.
        is_thorough: search every image in all four orientations, the rotated
            ones with a longer side of up to 640 pixels. Takes several times as
            long.
        megapixels: of a further search, in tiles; 0 for none.

    Returns:
        Detector.

    Raises:
        UserError: the file cannot be read or is not YuNet.
    """
    sure = math.inf if is_thorough else SURE
    make = _load(model or YUNET)
    return Detector("YuNet", make, largest, sure, is_thorough, megapixels)


class Detector:
    """A function from an image to its faces; thread-safe and picklable.

    Attributes:
        name: of the method, "YuNet".
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Callable[[np.ndarray], list[Face]]],
        largest: int,
        sure: float,
        is_thorough: bool = False,
        megapixels: float = 0.0,
    ):
        """A detector that makes one network for each thread.

        Args:
            name: see above.
            make: makes a function from uint8 [H, W, 3] to faces, which only
                one thread at a time may call.
            largest: pixels of the longer side, see `open`.
            sure: score of an upright face, 0..1, from which the rotated
                images are not searched.
            is_thorough: search rotated images with a longer side of up to 640
                instead of 320 pixels, and enlarge images less than twice, but
                to a longer side of 320 pixels in any case.
            megapixels: of the search in tiles, 0 for none.
        """
        self.name = name
        self._arguments = (
            name,
            make,
            largest,
            sure,
            is_thorough,
            megapixels,
        )
        self._most = 1e6 * megapixels
        # An enlargement of 2 would add faces too small to be recognised.
        self._enlarged = 1.9 if is_thorough else 2
        self._make = make
        self._sure = sure
        self._sizes = [s for s in SIZES if s <= max(largest, SIZES[0])]
        turned = SIZES[1] if is_thorough else SIZES[0]
        self._turned_sizes = [s for s in self._sizes if s <= turned]
        self._own = threading.local()

    def __reduce__(self):
        return Detector, self._arguments

    def __call__(self, image: np.ndarray) -> list[Face]:
        """Detect upright, lying and upside-down faces.

        A face of a rotated image needs a higher score than the best upright
        face or, if that has more than TURNED, than TURNED. At the place of an
        upright face, it needs a higher score than that, and at least CLEAR:
        a mask or dark glasses make a face look upside down.

        Args:
            image: uint8 [H, W, 3], RGB, or [H, W].

        Returns:
            list of Face, the highest score first.
        """
        if not hasattr(self._own, "find"):
            self._own.find = self._make()
        if image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
        useful = max(self._enlarged * max(image.shape[:2]), SIZES[0])
        faces = self._search(image, [s for s in self._sizes if s <= useful])
        tiled = search.tiled(self._own.find, image, self._most, self._sizes[-1])
        faces = _distinct(faces + tiled)
        best = faces[0].score if faces else 0
        if best >= self._sure:
            return faces
        least = min(best, TURNED)
        turned = [
            face
            for turns in (1, 2, 3)
            for face in self._turned(image, turns)
            if face.score > least and not _is_doubtful(face, faces)
        ]
        return _distinct(faces + turned)

    def _turned(self, image, turns):
        """Faces of the image after `turns` counter-clockwise quarter turns."""
        turned = np.ascontiguousarray(np.rot90(image, turns))
        height, width = image.shape[:2]

        def back(points):
            x, y = points.T
            places = {1: (width - y, x), 3: (y, height - x)}
            places[2] = width - x, height - y
            return np.stack(places[turns], axis=1)

        faces = self._search(turned, self._turned_sizes)
        return [search.moved(face, back) for face in faces]

    def _search(self, image, sizes):
        """Faces of an image at each of the sizes, the highest score first."""
        faces = [
            face
            for size in sizes
            for face in search.scaled(self._own.find, image, size)
        ]
        return _distinct(faces)


def _distinct(faces):
    """Non-maximum suppression, the highest score first."""
    boxes = [(*face.box[:2], *_extent(face.box)) for face in faces]
    scores = [face.score for face in faces]
    kept = cv2.dnn.NMSBoxes(boxes, scores, LEAST_SCORE, OVERLAP)
    return [faces[index] for index in kept]


def _is_doubtful(face, upright):
    """Whether a face of a rotated image is rather one of the upright faces."""
    return any(
        _shares(face.box, other.box)
        and (face.score < CLEAR or face.score <= other.score)
        for other in upright
    )


def _shares(one, other):
    """Whether two boxes share half of the smaller one."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    least = min(math.prod(_extent(one)), math.prod(_extent(other)))
    return max(across, 0) * max(down, 0) > least / 2


def _extent(box):
    left, top, right, bottom = box
    return right - left, bottom - top


def _yunet(data):
    """YuNet from the bytes of its file: uint8 [H, W, 3], RGB -> [Face]."""
    with _only_errors():
        network = cv2.FaceDetectorYN.create(
            "onnx",
            np.frombuffer(data, np.uint8),
            np.empty(0, np.uint8),
            (SIZES[0], SIZES[0]),
            LEAST_SCORE,
            OVERLAP,
        )

    def find(image):
        height, width = image.shape[:2]
        wide = cv2.copyMakeBorder(
            cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
            *(0, max(0, LEAST_SIDE - height), 0, max(0, LEAST_SIDE - width)),
            cv2.BORDER_CONSTANT,
        )
        network.setInputSize(wide.shape[1::-1])
        _, rows = network.detect(wide)
        return [_face(row) for row in (() if rows is None else rows)]

    return find


@contextlib.contextmanager
def _only_errors():
    """Without warnings of OpenCV 5, whose detector sets what it ignores."""
    logging = cv2.utils.logging
    with LOG_LEVEL:
        before = logging.setLogLevel(logging.LOG_LEVEL_ERROR)
        try:
            yield
        finally:
            logging.setLogLevel(before)


def _face(row):
    """A Face from YuNet's row: x, y, width, height, five points, score."""
    left, top, width, height = row[:4].tolist()
    box = (left, top, left + width, top + height)
    return Face(box, min(float(row[14]), 1.0), row[4:14].reshape(5, 2))


def _load(path):
    """A function that makes YuNet from its file.

    Raises:
        UserError: the file cannot be read or is not YuNet.
    """
    try:
        data = onnx_files.read(Path(path))
        if hashlib.sha256(data).hexdigest() != SHA256:
            # OpenCV crashes on some damaged files.
            isolation.call(_use, data, seconds=PATIENCE)
        _use(data)
    except (cv2.error, ChildProcessError, ValueError) as error:
        raise UserError(
            f"{path} is not a YuNet model that OpenCV {cv2.__version__} "
            f"reads; get the repository's weights/ folder again, or {URL}"
        ) from error
    except OSError as error:
        raise UserError(
            f"cannot read the face detector {path}: {error.strerror}; get the "
            f"repository's weights/ folder again, or {URL}"
        ) from error
    return functools.partial(_yunet, data)


def _use(data):
    _yunet(data)(np.zeros((64, 64, 3), np.uint8))

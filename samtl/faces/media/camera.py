"""Frames of a camera, through OpenCV."""

import math
import time
from collections.abc import Iterator

import cv2

from samtl.common.errors import UserError
from samtl.faces.media.frames import HIGHEST_FPS, USUAL_FPS, Frame


class Camera:
    """A camera of this machine. Its attributes are those of `Source`."""

    count = duration = sound = None

    def __init__(self, number: int):
        """Open a camera.

        Raises:
            UserError: it gives no picture.
        """
        # One error message instead of OpenCV's many lines.
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self._capture = cv2.VideoCapture(number)
        is_read, self._first = self._capture.read()
        cv2.utils.logging.setLogLevel(level)
        if not is_read:
            raise UserError(
                f"camera {number} gives no picture; check that it is connected "
                "and not in use"
            )
        self.name = f"camera{number}"
        given = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = given if 1 <= given <= HIGHEST_FPS else USUAL_FPS
        self._is_stopped = self.is_broken = False

    def stop(self) -> None:
        """As `Source.stop`."""
        self._is_stopped = True

    def frames(
        self, start: float = 0.0, end: float = math.inf, every: int = 1
    ) -> Iterator[Frame]:
        """Yield every n-th Frame from `start` to `end`, as `Source.frames`.

        Times are those of the clock.
        """
        began, moment, index = time.monotonic(), 0.0, 0
        is_read, picture = True, self._first
        first = None  # index of the first frame after `start`
        try:
            while is_read and moment < end and not self._is_stopped:
                if first is None and moment >= start:
                    first = index
                if first is not None and (index - first) % every == 0:
                    pixels = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
                    yield Frame(index, moment, pixels)
                is_read, picture = self._capture.read()
                index, moment = index + 1, time.monotonic() - began
            self.is_broken = not is_read and not self._is_stopped
        finally:
            self._capture.release()

"""Frames from files, cameras, streams and the sample clip."""

import math
import os
import queue
import re
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import imageio_ffmpeg
import numpy as np

from samtl.common.errors import UserError
from samtl.faces import inputs
from samtl.faces.media import output

USUAL_FPS = 25.0  # for sources with no frame rate or an implausible one
HIGHEST_FPS = 240
# The longest time from one frame to the next in seconds, for sources with
# neither a counted number of frames nor a duration.
LONGEST_GAP = 10.0
AHEAD = 4  # frames in the queue between two threads
LARGEST_CAMERA = 9999  # larger numbers are file names
CLIP_SIZE, CLIP_SECONDS = (640, 480), 8  # of the sample clip

Item = TypeVar("Item")


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        index: in the source, from 0.
        time: seconds since the source's first frame.
        pixels: uint8 [H, W, 3], RGB.
    """

    index: int
    time: float
    pixels: np.ndarray


class Source:
    """A file, camera or stream that OpenCV reads.

    Attributes:
        name: for messages and for the name of the output file.
        fps: frames per second.
        count: expected number of frames, approximate; None if unknown.
        duration: expected duration in seconds; None if unknown.
        is_broken: after reading: whether the source ended too early.
    """

    def __init__(self, address: str):
        """Open a source.

        Args:
            address: path, camera index or URL, as text.

        Raises:
            UserError: it cannot be opened, or OpenCV cannot decode a frame.
        """
        is_camera = (
            address.isdecimal()
            and int(address) <= LARGEST_CAMERA
            and not Path(address).exists()
        )
        is_url = "://" in address
        _check_file(address, is_camera or is_url)
        # One error message instead of FFmpeg's many lines.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        # FFmpeg takes the text before a colon for a protocol.
        place = address if is_url else str(Path(address).absolute())
        _check_name(place)
        self._capture = cv2.VideoCapture(int(address) if is_camera else place)
        is_read, self._first = self._capture.read()
        cv2.utils.logging.setLogLevel(level)
        if not is_read:
            raise UserError(_unreadable(address, is_camera, is_url))
        self._place = place
        self.name = f"camera{address}" if is_camera else _stem(address, is_url)
        given = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = given if 1 <= given <= HIGHEST_FPS else USUAL_FPS
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.count = self.duration = None
        if count > 0 and not is_camera:
            self.count = count
            # Slides that last for seconds have less than one frame per second.
            self.duration = count / (given if 0 < given < 1 else self.fps)
        self._is_live = is_camera or (is_url and self.count is None)
        # In other containers, OpenCV estimates the count from the duration,
        # which may be that of the sound.
        self._container = _container(address, is_url)
        self._is_counted = self.count and self._container
        self._stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        self._is_stopped = False
        self.is_broken = False

    def stop(self) -> None:
        """End `frames`, which may run in another thread."""
        self._is_stopped = True

    def frames(
        self, start: float = 0.0, end: float = math.inf, every: int = 1
    ) -> Iterator[Frame]:
        """Yield every n-th Frame from `start` to `end`; can be called once.

        Args:
            start, end: seconds of the source; `end` is exclusive.
            every: n >= 1.
        """
        capture, index, moment = self._capture, 0, 0.0
        first = None  # index of the first frame after `start`
        began = time.monotonic()
        picture = self._first
        self._first = None
        size = self._size(picture)
        try:
            while moment < end and not self._is_stopped:
                if first is None and moment >= start:
                    first = index
                if first is not None and (index - first) % every == 0:
                    if picture is None:
                        _, picture = capture.retrieve()
                    if picture is None:
                        break
                    # A stream may change its size.
                    if picture.shape[1::-1] != size:
                        picture = cv2.resize(picture, size)
                    pixels = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
                    yield Frame(index, moment, pixels)
                picture = None
                if not capture.grab():
                    break
                index += 1
                moment = self._moment(moment, began)
            self.is_broken = (
                moment < end
                and not self._is_stopped
                and (self._is_live or self._is_short(index + 1, moment))
            )
        finally:
            capture.release()

    def _size(self, picture):
        """(width, height) of the frame in square pixels."""
        height, width = picture.shape[:2]
        above = self._capture.get(cv2.CAP_PROP_SAR_NUM)
        below = self._capture.get(cv2.CAP_PROP_SAR_DEN)
        if above > 0 and below > 0 and 0.1 < above / below < 10:
            width = round(above / below * width)
        return width, height

    def _is_short(self, frames, moment):
        """Whether a source that ended after `frames` frames is incomplete."""
        if not self._is_counted or frames >= 0.95 * self.count:
            return False
        if self._container == "avi":
            return True
        # An MP4 that was cut without encoding still counts the frames before
        # the cut, which it hides. Its duration is that of the visible part.
        duration = _duration(self._place)
        return duration is None or moment + 1 / self.fps < 0.95 * duration

    def _moment(self, before, began):
        """Time in seconds of the frame that was just grabbed."""
        if self._is_live:
            return time.monotonic() - began
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        step, self._stamp = stamp - self._stamp, stamp
        # Damaged time stamps do not increase, or increase by far too much.
        is_known = self.duration and stamp <= self.duration + 1
        longest = math.inf if self._is_counted or is_known else LONGEST_GAP
        return before + (step if 0 < step < longest else 1 / self.fps)


class Clip:
    """The sample clip: a virtual camera that moves over the sample portrait.

    Its attributes are those of `Source`.
    """

    name, fps, is_broken = "sample_clip", 25.0, False
    count, duration = int(fps * CLIP_SECONDS), CLIP_SECONDS

    def frames(
        self, start: float = 0.0, end: float = math.inf, every: int = 1
    ) -> Iterator[Frame]:
        """Yield every n-th Frame from `start` to `end`, as `Source.frames`."""
        portrait = inputs.read(inputs.portrait()).pixels
        first = math.ceil(start * self.fps - 1e-9)
        for index in range(first, self.count, every):
            moment = index / self.fps
            if moment < end:
                yield Frame(index, moment, _clip_frame(portrait, moment))

    def stop(self) -> None:
        """As `Source.stop`. Without effect, as the clip skips no frames."""


def open_source(address: str | None) -> Source | Clip:
    """The Source of an address, or the sample Clip for None."""
    return Clip() if address is None else Source(address)


def ahead(
    items: Generator[Item, None, None], size: int = AHEAD
) -> Generator[Item, None, None]:
    """Run a generator in a thread of its own, a few items ahead.

    Its exceptions are raised here. When the loop over this generator ends
    early, the thread closes `items` and ends too.

    Args:
        items: generator.
        size: of the queue.
    """
    waiting = queue.Queue(size)
    stop = threading.Event()

    def put(entry):
        while not stop.is_set():
            try:
                return waiting.put(entry, timeout=0.1)
            except queue.Full:
                continue

    def work():
        try:
            for item in items:
                put((item, None, False))
                if stop.is_set():
                    break
            put((None, None, True))
        # Any exception is passed on to the thread that reads.
        except Exception as error:
            put((None, error, True))
        finally:
            items.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error, is_end = waiting.get()
            if error is not None:
                raise error
            if is_end:
                return
            yield item
    finally:
        stop.set()
        # A timeout, as a camera may hang.
        thread.join(timeout=5)


def _check_file(address, is_elsewhere):
    if is_elsewhere:
        return
    try:
        size = Path(address).stat().st_size
        if is_file := Path(address).is_file():
            Path(address).open("rb").close()
    except OSError as error:
        raise UserError(
            f"cannot read {address}: {error.strerror}; give a video file, the "
            "number of a camera or a URL"
        ) from error
    if is_file and size == 0:
        raise UserError(f"{address} is empty; get the file again")


def _check_name(place):
    try:
        place.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"the name {output.printable(place)} is not valid UTF-8, which "
            "OpenCV cannot read; rename the file"
        ) from error


def _container(path, is_url):
    """ "mp4" or "avi", whose headers count the frames; else None."""
    if is_url:
        known = {".avi": "avi", ".mkv": None, ".webm": None}
        return known.get(Path(_bare(path)).suffix.lower(), "mp4")
    if not Path(path).is_file():
        return None  # bytes that are read from a pipe are lost
    with Path(path).open("rb") as file:
        head = file.read(8)
    boxes = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
    if head[:4] == b"RIFF":
        return "avi"
    return "mp4" if head[4:] in boxes else None


def _duration(place):
    """Duration in seconds according to FFmpeg; None if unknown."""
    frames = imageio_ffmpeg.read_frames(place)
    try:
        return next(frames)["duration"] or None
    except (OSError, RuntimeError):
        return None
    finally:
        frames.close()


def _unreadable(address, is_camera, is_url):
    if is_camera:
        return (
            f"camera {address} gives no picture; check that it is connected "
            "and not in use"
        )
    if is_url:
        return (
            f"{_bare(address)} gives no picture; check in a browser whether it "
            "plays"
        )
    return (
        f"{address} has no frame that OpenCV can decode: it is not a video, "
        "damaged, or of an unknown codec; convert it with ffmpeg to H.264"
    )


def _bare(address):
    """A URL without user, password and query, which may be secret."""
    return re.sub(r"://[^/]*@", "://", address).split("?")[0]


def _stem(address, is_url):
    stem = Path(_bare(address).rstrip("/") if is_url else address).stem
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in stem)


def _clip_frame(portrait, moment):
    """The frame of the virtual camera at a time, uint8 [480, 640, 3]."""
    width, height = CLIP_SIZE
    phase = 2 * math.pi * moment / CLIP_SECONDS
    zoom = 1.6 - 0.25 * math.cos(phase)
    turn = 7 * math.sin(2 * phase)
    face = (266, 245)  # on the portrait
    transform = cv2.getRotationMatrix2D(face, turn, zoom)
    target = (
        width / 2 + 70 * math.sin(phase),
        height / 2 + 25 * math.sin(2 * phase + 1),
    )
    transform[:, 2] += np.subtract(target, face)
    return cv2.warpAffine(
        portrait,
        transform,
        CLIP_SIZE,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )

"""Frames from files, cameras, streams and the sample clip."""

import math
import queue
import re
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from samtl.common.errors import UserError
from samtl.common.text import printable
from samtl.faces import inputs
from samtl.faces.media import decoding, recording
from samtl.faces.media.camera import Camera
from samtl.faces.media.frames import USUAL_FPS, Frame

# The longest time from one frame to the next in seconds, for sources without a
# duration.
LONGEST_GAP = 10.0
# Seconds. A later start is reached by seeking, an earlier one by decoding,
# which also counts the frames.
NEAR = 10.0
ROUNDING = 6e-4  # seconds; some containers have times in milliseconds
PATIENCE = 30.0  # seconds without a frame of a URL
AHEAD = 4  # frames in the queue between two threads
LARGEST_CAMERA = 9999  # larger numbers are file names
CLIP_SIZE, CLIP_SECONDS = (640, 480), 8  # of the sample clip

# Of files that are taken from folders.
SUFFIXES = {
    *(".3gp", ".avi", ".dv", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
}

Item = TypeVar("Item")


class Source:
    """A file, pipe or stream that FFmpeg decodes.

    Attributes:
        name: for messages and for the name of the output file.
        fps: frames per second.
        count: expected number of frames, approximate; None if unknown.
        duration: expected duration in seconds; None if unknown.
        sound: `recording.Sound` of a file; None if there is none.
        is_broken: after reading: whether the source ended too early.
    """

    def __init__(self, address: str):
        """Open a source.

        Args:
            address: path or URL, as text.

        Raises:
            UserError: it cannot be opened, or FFmpeg cannot decode a frame.
        """
        self._address, self._is_url = address, "://" in address
        self._is_file = not self._is_url and _is_file(address)
        self._decoder = self._decode()
        self._first = self._decoder.read()
        if self._first is None:
            raise UserError(_unreadable(address, self._is_url, self._decoder))
        self.name = _stem(address, self._is_url)
        header = self._decoder.header
        given = header.fps or USUAL_FPS
        self.fps = given if given >= 1 else USUAL_FPS
        self.count = self.sound = None
        self.duration = header.duration
        if self.duration:
            # Slides that last for seconds have less than one frame per second.
            self.count = max(1, round(self.duration * given))
        if self._is_file and header.sound:
            self.sound = recording.Sound(_place(address), header.sound)
        self._is_live = self._is_url and self.duration is None
        self._is_stopped = self.is_broken = False

    def stop(self) -> None:
        """End `frames`, which may run in another thread."""
        self._is_stopped = True
        self._decoder.stop()

    def frames(
        self, start: float = 0.0, end: float = math.inf, every: int = 1
    ) -> Iterator[Frame]:
        """Yield every n-th Frame from `start` to `end`; can be called once.

        In a file, a distant `start` is reached by seeking to the key frame
        before it. The index of its first frame is its time multiplied by the
        frame rate, exact if that is constant.

        Args:
            start, end: seconds of the source; `end` is exclusive.
            every: n >= 1.
        """
        begin = self._first[0] or 0.0
        item, self._first = self._first, None
        if self._is_file and self.duration and start - begin > NEAR:
            item = self._sought(start, begin)
        timed = self._timed(item)
        index = first = None  # `first` is that of the first frame after `start`
        try:
            for moment, pixels in timed:
                if index is None:
                    index = round((moment - begin) * self.fps)
                else:
                    index += 1
                if moment >= end - ROUNDING:
                    return
                if first is None and moment >= start - ROUNDING:
                    first = index
                if first is not None and (index - first) % every == 0:
                    yield Frame(index, moment, pixels)
            has_failed = self._is_live or self._decoder.is_cut
            self.is_broken = has_failed and not self._is_stopped
        finally:
            self._decoder.stop()

    def _sought(self, start, begin):
        """The item of the decoder at `start`, after a seek.

        MPEG-TS and DVDs have no index: FFmpeg may seek to a place after the
        key frame that `start` needs. Then it seeks to an earlier one.
        """
        back, item = 0.0, None
        while not self._is_stopped:
            self._decoder.stop()
            is_near = start - back - begin <= NEAR
            self._decoder = self._decode(0.0 if is_near else start - back)
            item = self._decoder.read()
            is_late = item is None or (item[0] or 0.0) > start + 1 / self.fps
            if is_near or not is_late or start > self.duration + 1:
                break
            back = max(NEAR, 3 * back)
        return item

    def _decode(self, start=0.0):
        """A Decoder from `start`, in seconds."""
        if self._is_url:
            is_rtsp = self._address.startswith(("rtsp://", "rtsps://"))
            options = ("-rtsp_transport", "tcp") if is_rtsp else ()
            return decoding.Decoder(self._address, options, patience=PATIENCE)
        if self._is_file:
            options = ("-ss", f"{start:.6f}") if start else ()
            place = _place(self._address)
            return decoding.Decoder(place, (*decoding.LOCAL, *options))
        # Its bytes can be read only once, and another process may not see it.
        with Path(self._address).open("rb") as pipe:
            return decoding.Decoder(
                "pipe:0", decoding.CONTAINED, stdin=pipe.fileno()
            )

    def _timed(self, item):
        """Yield (time, pixels), from an item of the decoder on."""
        began, moment, before = time.monotonic(), None, None
        while item is not None and not self._is_stopped:
            stamp, pixels = item
            if self._is_live:
                moment = time.monotonic() - began
            elif moment is None:
                moment = max(stamp or 0.0, 0.0)
            else:
                moment += self._step(before, stamp)
            before = stamp
            yield moment, pixels
            item = self._decoder.read()

    def _step(self, before, stamp):
        """Seconds between two frames, by the decoder's times.

        Damaged times do not increase, or increase by far too much.
        """
        if before is not None and stamp is not None:
            is_within = self.duration and stamp <= self.duration + 1
            longest = math.inf if is_within else LONGEST_GAP
            if 0 < stamp - before < longest:
                return stamp - before
        return 1 / self.fps


class Clip:
    """The sample clip: a virtual camera that moves over the sample portrait.

    Its attributes are those of `Source`.
    """

    name, fps, is_broken, sound = "sample_clip", 25.0, False, None
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


def find(words: Iterable[str]) -> list[str]:
    """The sources for the words of a command line.

    Args:
        words: files, folders (their videos), patterns, camera numbers, URLs.

    Returns:
        list of addresses for `open_source`, files of a folder or a pattern
        sorted.

    Raises:
        UserError: a folder or a pattern contains no video.
    """
    found = []
    for word in words:
        is_one = "://" in word or word.isdecimal()
        paths = [word] if is_one else inputs.find([word], "video", SUFFIXES)
        found += map(str, paths)
    return list(dict.fromkeys(found))


def open_source(address: str | None) -> Source | Camera | Clip:
    """The source of an address, or the sample Clip for None.

    Args:
        address: path, number of a camera or URL.

    Raises:
        UserError: it cannot be opened.
    """
    if address is None:
        return Clip()
    is_number = address.isdecimal() and int(address) <= LARGEST_CAMERA
    if is_number and not Path(address).exists():
        return Camera(int(address))
    return Source(address)


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


def _is_file(address):
    """Whether a path is that of a regular file; otherwise it is a pipe.

    Raises:
        UserError: it cannot be read.
    """
    path = Path(address)
    try:
        size = path.stat().st_size
        is_file = path.is_file()
        if is_file:
            path.open("rb").close()
    except OSError as error:
        raise UserError(
            f"cannot read {address}: {error.strerror}; give "
            "a video file, the number of a camera or a URL"
        ) from error
    if path.is_dir():
        raise UserError(f"{address} is a folder; name the videos in it")
    if is_file and size == 0:
        raise UserError(f"{address} is empty; get the file again")
    return is_file


def _place(path):
    """FFmpeg's name of a file; it takes text before a colon for a protocol."""
    return f"file:{Path(path).absolute()}"


def _unreadable(address, is_url, decoder):
    """Why there is no frame of a source, and the cure."""
    if not is_url:
        if decoder.header.sound:
            return f"{address} has no frame but sound; name a video"
        if decoder.error == "moov atom not found":
            return (
                f"{address} has no frame: it is not an MP4 file, or was cut "
                "before its index; get the file again"
            )
        if inputs.size(address):
            return f"{address} is an image: python final_image_demo.py"
        if "not on whitelist" in decoder.error:
            return (
                f"{address} has no frame: its format is that of sound, of a "
                "playlist or the like; name a video"
            )
        return (
            f"{address} has no frame that FFmpeg can decode: "
            "it is not a video, damaged, or of an unknown codec "
            f"({printable(decoder.error)}); "
            "convert it to H.264 with a program that plays it"
        )
    kind = address.partition("://")[0].lower()
    check = "in a browser" if kind in ("http", "https") else "in VLC or ffplay"
    return (
        f"{_bare(address)} gives no picture; check address, user and password, "
        f"and {check} whether it plays"
    )


def _bare(address):
    """A URL without user, password and query, which may be secret."""
    # A password may contain any character, so everything up to the last @.
    return re.sub(r"://.*@", "://", address).split("?")[0]


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

"""Frames of video files and streams, decoded by FFmpeg."""

import contextlib
import queue
import re
import subprocess
import threading
from dataclasses import dataclass

import numpy as np

from samtl.faces.media import ffmpeg
from samtl.faces.media.frames import HIGHEST_FPS

# Frames that are marked as interlaced become progressive, and pixels square,
# after FFmpeg's rotation by the file's metadata. The conversion to RGB is last.
# `showinfo` logs the time of each frame.
FILTERS = (
    "bwdif=mode=send_frame:deint=interlaced",
    "scale=w='if(between(sar,0.1,10),round(iw*sar),iw)':h=ih",
    "setsar=1",
    "format=rgb24",
    "showinfo=checksum=0",
)
MOST_PIXELS = 2**27  # of a frame
# Demuxers of files that contain all of their video. A playlist, whatever its
# name, would show other files.
FORMATS = (
    *("apng", "asf", "av1", "avi", "dv", "flv", "gif", "gxf", "h264", "hevc"),
    *("ivf", "m4v", "matroska", "mjpeg", "mov", "mpeg", "mpegts", "mpegvideo"),
    *("mxf", "nut", "obu", "ogg", "rm", "wtv", "yuv4mpegpipe"),
)
CONTAINED = ("-format_whitelist", ",".join(FORMATS))
LOCAL = ("-protocol_whitelist", "file", *CONTAINED)
DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d\.\d+)")
STREAM = re.compile(r"Stream #0:\d+.*?: (Video|Audio): (\w+)")
START = re.compile(r"Duration: .*, start: (-?\d+\.\d+)")
RATE = re.compile(r", ([\d.]+)(k?) (?:fps|tbr)\b")  # 1k for 1000
TIME_BASE = re.compile(r"showinfo.* config in time_base: (\d+)/(\d+)")
STAMP = re.compile(r"showinfo.* n: *\d+ pts: *(-?\d+|NOPTS)")
ERROR = re.compile(r"\[(?:error|fatal)\] (.+)")
# Messages of FFmpeg about files that end too early.
CUT = re.compile(r"partial file|Error during demuxing|Truncat|truncat")


@dataclass
class Header:
    """What the header of a source says.

    Attributes:
        fps: frames per second, up to HIGHEST_FPS; None if unknown.
        duration: in seconds, that of the longest track; None if unknown.
        sound: codec of the first audio track; None without one.
    """

    fps: float | None = None
    duration: float | None = None
    sound: str | None = None


class Decoder:
    """The frames of a source, in upright RGB with square pixels.

    FFmpeg decodes in a process of its own: a damaged file that crashes its
    decoder ends the source, not this program. A frame that cannot be decoded
    or converted is left out.

    Attributes:
        header: Header, complete after the first `read`.
        is_cut: whether FFmpeg reported that the source ended too early.
        error: FFmpeg's first error, or "".
    """

    def __init__(
        self,
        place: str,
        options: tuple[str, ...] = (),
        stdin: int | None = None,
        patience: float | None = None,
    ):
        """Start decoding.

        Args:
            place: FFmpeg's name of the source.
            options: FFmpeg's options for it.
            stdin: file descriptor of a source that is "pipe:0".
            patience: seconds without a frame after which the source ends;
                None: no limit.

        Raises:
            UserError: FFmpeg cannot be started.
        """
        words = [
            *("-loglevel", "level+info", "-max_pixels", str(MOST_PIXELS)),
            # Otherwise, times of MPEG-TS and DVDs begin with the first frame,
            # and not with the sound before it.
            "-copyts",
            *(*options, "-i", place, "-map", "0:V:0", "-vf", ",".join(FILTERS)),
            *("-fps_mode", "passthrough", "-f", "image2pipe", "-c:v", "ppm"),
            "pipe:1",
        ]
        self.header, self.is_cut, self.error = Header(), False, ""
        self._patience = patience
        self._stamps = queue.SimpleQueue()
        self._process = ffmpeg.start(
            words,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()

    def read(self) -> tuple[float | None, np.ndarray] | None:
        """The next frame.

        Returns:
            (seconds from the start of the source or None if they are unknown,
            uint8 [H, W, 3]); None after the last frame.
        """
        with self._watched():
            # The header of a PPM image: "P6", width and height, 255.
            _, size, _ = (self._process.stdout.readline() for _ in range(3))
            if size:
                width, height = map(int, size.split())
                pixels = np.empty((height, width, 3), np.uint8)
                got = self._process.stdout.readinto(pixels.data.cast("B"))
                if got == pixels.nbytes:
                    return self._stamps.get(), pixels
        self._process.wait()
        self._follower.join()
        return None

    def stop(self) -> None:
        """End `read`, also one that waits in another thread."""
        self._process.kill()

    @contextlib.contextmanager
    def _watched(self):
        if self._patience is None:
            yield
            return
        timer = threading.Timer(self._patience, self.stop)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _follow(self):
        """Read FFmpeg's messages: the header, times, and errors."""
        is_header, base, start = True, 1.0, 0.0
        for line in self._process.stderr:
            text = line.decode(errors="replace").strip()
            if found := STAMP.search(text):
                is_known = found[1] != "NOPTS"
                moment = int(found[1]) * base - start if is_known else None
                self._stamps.put(moment)
            elif found := TIME_BASE.search(text):
                base = int(found[1]) / int(found[2])
            elif is_header:
                is_header = not text.startswith("[info] Output #0")
                if found := START.search(text):
                    start = float(found[1])
                self._note(text)
            self.is_cut |= bool(CUT.search(text))
            if not self.error and (found := ERROR.search(text)):
                self.error = found[1]
        self._process.stderr.close()

    def _note(self, text):
        """Update the header by a line of FFmpeg's description."""
        if found := DURATION.search(text):
            hours, minutes, seconds = map(float, found.groups())
            duration = 3600 * hours + 60 * minutes + seconds
            self.header.duration = duration or None
        found = STREAM.search(text)
        if not found or "(attached pic)" in text:
            return
        if found[1] == "Audio":
            self.header.sound = self.header.sound or found[2]
        elif self.header.fps is None:
            # That of DV is 60k, before the right one.
            found = RATE.findall(text)
            rates = (float(rate) * (1000 if k else 1) for rate, k in found)
            good = [rate for rate in rates if 0 < rate <= HIGHEST_FPS]
            self.header.fps = _exact(good[0]) if good else None


def _exact(fps):
    """A frame rate that was rounded to two decimals, such as 29.97."""
    ntsc = round(fps * 1.001) / 1.001
    return ntsc if abs(fps - ntsc) < 0.0051 and fps % 1 else fps

"""H.264 video files that grow frame by frame."""

import contextlib
import math
import re
import subprocess
import tempfile

import imageio_ffmpeg
import numpy as np

from samtl.common import files
from samtl.common.errors import UserError


class Writer:
    """An H.264 MP4 file that grows frame by frame.

    What had its name is gone with the first frame, and not written into, as it
    may be a link; where no frame comes, it stays.

    FFmpeg encodes in a process of its own. It finishes the file when its
    input ends, whatever ends it, Ctrl-C and a kill of this process included.
    That is why the file has its final name from the start. Where FFmpeg
    itself ends, as on a full disk, the file plays up to the last second, as
    it is made of parts with an index each; finished, it gets one up front,
    which all players can seek by. Frames are
    repeated or left out so that the video takes as long as the source, also
    where that has no steady rate.
    """

    def __init__(self, path, fps):
        """To be used in a `with`; nothing is written without a frame.

        Args:
            path: of the .mp4 file. Where an empty one holds the name, it is
                removed if no frame comes.
            fps: frames a second of the file.
        """
        self._path, self._fps = path, fps
        self._aside = None  # where what had the name waits for a frame
        self._process = None
        self._written = 0
        self._start = 0.0

    def __enter__(self):
        self._log = tempfile.TemporaryFile()
        return self

    def __exit__(self, kind, error, trace):
        try:
            if self._process is not None:
                # Ctrl-C in the middle of the first frame is no failure.
                self._finish(kind is None and self._written > 0)
        finally:
            self._log.close()
            if not self._written:
                self._take_back()

    def write(self, image, moment):
        """Add a frame.

        Args:
            image: uint8 [H, W, 3], RGB, of the same size every time.
            moment: its time in seconds.

        Raises:
            UserError: the file cannot be written.
        """
        if self._process is None:
            self._make_way()
            self._process = self._encoder(image.shape)
            self._start = moment
        due = math.floor((moment - self._start) * self._fps + 0.5) + 1
        data = np.ascontiguousarray(image).data
        for _ in range(due - self._written):
            try:
                self._process.stdin.write(data)
            except OSError as error:
                raise self._failure() from error
            self._written += 1
        if self._aside:
            self._aside.unlink()
            self._aside = None

    def _make_way(self):
        try:
            if self._path.is_symlink() or _is_filled(self._path):
                aside = self._path.with_name(f".{self._path.name}.old")
                self._aside = self._path.replace(aside)
            self._path.open("ab").close()
        except OSError as error:
            raise UserError(
                f"cannot write {self._path}: {error.strerror}; choose another "
                "--output"
            ) from error

    def _take_back(self):
        """Leave the name to who had it, or to nobody."""
        is_empty = self._path.is_file() and not _is_filled(self._path)
        if self._aside:
            self._aside.replace(self._path)
        elif self._process is not None or is_empty:
            self._path.unlink(missing_ok=True)

    def _encoder(self, shape):
        height, width = shape[:2]
        program = imageio_ffmpeg.get_ffmpeg_exe()
        words = [
            *(program, "-loglevel", "error", "-y"),
            *("-f", "rawvideo", "-pix_fmt", "rgb24"),
            *("-s", f"{width}x{height}", "-r", f"{self._fps:.6g}", "-i", "-"),
            # What browsers play: even sides, 4:2:0.
            "-vf",
            "pad=ceil(iw/2)*2:ceil(ih/2)*2,scale=out_color_matrix=bt709",
            *("-colorspace", "bt709", "-color_primaries", "bt709"),
            *("-color_trc", "bt709", "-pix_fmt", "yuv420p"),
            *("-c:v", "libx264", "-preset", "veryfast", "-crf", "21"),
            # Splits of a second, in microseconds.
            *("-movflags", "+delay_moov", "-frag_duration", "1000000"),
            *("-flush_packets", "1"),
            str(self._path.absolute()),
        ]
        try:
            return subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                # Ctrl-C is for us: FFmpeg is to finish the file.
                start_new_session=True,
            )
        except OSError as error:
            raise UserError(
                f"cannot start {program}: {error.strerror}; name another "
                "FFmpeg in IMAGEIO_FFMPEG_EXE, or, without it, pip install "
                "--force-reinstall imageio-ffmpeg"
            ) from error

    def _finish(self, is_good):
        try:
            self._process.stdin.close()
        except OSError:
            is_good = is_good and self._process.poll() == 0
        if self._process.wait() == 0:
            self._index()
        elif is_good:
            raise self._failure()

    def _index(self):
        """Put one index up front; without room for it, leave the file."""
        words = [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "quiet", "-y"),
            *("-i", str(self._path.absolute()), "-c", "copy"),
            *("-movflags", "+faststart"),
        ]
        with (
            contextlib.suppress(UserError, subprocess.CalledProcessError),
            files.write(self._path) as temporary,
        ):
            words.append(temporary.absolute())
            # FFmpeg takes what is typed for commands.
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL)

    def _failure(self):
        self._process.wait()
        self._log.seek(0)
        said = self._log.read().decode(errors="replace").strip()
        reason = said.splitlines()[-1] if said else "FFmpeg ended"
        reason = re.sub(r"^\[.*?\] ", "", reason)  # who of FFmpeg says it
        return UserError(
            f"cannot write {self._path}: {reason}; choose another --output"
        )


def _is_filled(path):
    return path.is_file() and path.stat().st_size > 0

"""H.264 video files, written frame by frame."""

import contextlib
import math
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from samtl.common import files
from samtl.common.errors import UserError
from samtl.faces.media import ffmpeg
from samtl.faces.media.decoding import LOCAL

# Codecs of sound that browsers play in MP4; others are encoded again.
COPIED = ("aac", "mp3")


@dataclass(frozen=True)
class Sound:
    """The sound of a source.

    Attributes:
        place: FFmpeg's name of the file.
        codec: FFmpeg's name of it.
    """

    place: str
    codec: str


class Writer:
    """An H.264 MP4 file, written frame by frame; a context manager.

    The first frame replaces an existing file of the same name. Without a
    frame, that file stays. The target of a link is never written to.

    FFmpeg encodes in a process of its own. It finishes the file when its
    input ends, even after Ctrl-C or a kill of this process. Therefore the file
    has its final name from the start. The file consists of fragments of a
    second, each with an index: if FFmpeg itself ends, as on a full disk, the
    file plays up to the last fragment. A finished file gets one index at its
    start, as all players need it for seeking.

    Frames are repeated or skipped, so that the video has the duration of the
    source, even if the source has no constant frame rate. The finished file
    also gets the sound of that time.

    Attributes:
        has_sound: after the end: whether the file has sound.
    """

    def __init__(self, path: Path, fps: float, sound: Sound | None = None):
        """A writer for a file, which the first frame creates.

        Args:
            path: of the .mp4 file. An empty file of this name is removed if
                there is no frame.
            fps: frames per second of the file.
            sound: of the source whose frames are written; None for none.
        """
        self._path, self._fps, self._sound = path, fps, sound
        self.has_sound = False
        self._aside = None  # path of the replaced file before the first frame
        self._process = None
        self._written = 0
        self._start = 0.0

    def __enter__(self):
        self._log = tempfile.TemporaryFile()
        return self

    def __exit__(self, kind, error, trace):
        try:
            if self._process is not None:
                # Ctrl-C during the first frame is not an error.
                self._finish(kind is None and self._written > 0)
        finally:
            self._log.close()
            if not self._written:
                self._restore()

    def write(self, image: np.ndarray, moment: float) -> None:
        """Add a frame.

        Args:
            image: uint8 [H, W, 3], RGB, of the same size in all frames.
            moment: time of the frame, in seconds.

        Raises:
            UserError: the file cannot be written.
        """
        if self._process is None:
            self._set_aside()
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

    def _set_aside(self):
        """Rename an existing file and create an empty one."""
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

    def _restore(self):
        """Restore the existing file; without one, remove the empty file."""
        is_empty = self._path.is_file() and not _is_filled(self._path)
        if self._aside:
            self._aside.replace(self._path)
        elif self._process is not None or is_empty:
            self._path.unlink(missing_ok=True)

    def _encoder(self, shape):
        """The FFmpeg process for frames of a shape."""
        height, width = shape[:2]
        words = [
            *("-loglevel", "error", "-y", "-f", "rawvideo"),
            *("-pix_fmt", "rgb24", "-s", f"{width}x{height}"),
            *("-r", f"{self._fps:.6g}", "-i", "pipe:0"),
            # Browsers play even sides and 4:2:0 only.
            "-vf",
            "pad=ceil(iw/2)*2:ceil(ih/2)*2,scale=out_color_matrix=bt709",
            *("-colorspace", "bt709", "-color_primaries", "bt709"),
            *("-color_trc", "bt709", "-pix_fmt", "yuv420p"),
            *("-c:v", "libx264", "-preset", "veryfast", "-crf", "21"),
            # Fragments of a second, in microseconds.
            *("-movflags", "+delay_moov", "-frag_duration", "1000000"),
            *("-flush_packets", "1"),
            str(self._path.absolute()),
        ]
        return ffmpeg.start(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )

    def _finish(self, is_good):
        """Wait for FFmpeg; raise its error if `is_good`."""
        try:
            self._process.stdin.close()
        except OSError:
            is_good = is_good and self._process.poll() == 0
        if self._process.wait() == 0:
            self._index()
        elif is_good:
            raise self._failure()

    def _index(self):
        """Move one index to the start and add the sound.

        The disk needs space for a copy; without it, the file stays as it is.
        """
        for sound in dict.fromkeys((self._sound, None)):
            with contextlib.suppress(UserError, subprocess.CalledProcessError):
                self._copy(sound)
                self.has_sound = sound is not None
                return

    def _copy(self, sound):
        words = ["-loglevel", "quiet", "-y", "-i", str(self._path.absolute())]
        if sound is not None:
            words += self._of(sound)
        words += ["-c:v", "copy", "-movflags", "+faststart"]
        with files.write(self._path) as temporary:
            words.append(str(temporary.absolute()))
            if sound is not None:
                # In MPEG-TS and on DVDs, the times of FFmpeg begin with the
                # first track that it uses, so it has to use the video, too.
                words += ["-map", "1:V:0", "-c", "copy", "-f", "null", "-"]
            process = ffmpeg.start(words, stdin=subprocess.DEVNULL)
            if process.wait():
                raise subprocess.CalledProcessError(process.returncode, "")

    def _of(self, sound):
        """FFmpeg's options for the sound beside the video."""
        # Copied as it is, sound begins at any packet before the start.
        is_copied = sound.codec in COPIED and self._start == 0
        return [
            *(*LOCAL, "-ss", f"{self._start:.6f}"),
            *("-t", f"{self._written / self._fps:.6f}", "-i", sound.place),
            *("-map", "0:v", "-map", "1:a:0", "-map_chapters", "-1"),
            *("-c:a", "copy" if is_copied else "aac"),
        ]

    def _failure(self):
        """A UserError with the last line of FFmpeg's log."""
        self._process.wait()
        self._log.seek(0)
        log = self._log.read().decode(errors="replace").strip()
        reason = log.splitlines()[-1] if log else "FFmpeg ended"
        reason = re.sub(r"^\[.*?\] ", "", reason)  # the part of FFmpeg
        return UserError(
            f"cannot write {self._path}: {reason}; choose another --output"
        )


def _is_filled(path):
    return path.is_file() and path.stat().st_size > 0

"""FFmpeg of the package imageio-ffmpeg, in processes of its own."""

import subprocess

import imageio_ffmpeg

from samtl.common.errors import UserError

REINSTALL = "pip install --force-reinstall imageio-ffmpeg"


def start(words: list[str], **pipes) -> subprocess.Popen:
    """Start FFmpeg.

    Args:
        words: of its command line, after the name of the program.
        pipes: `stdin`, `stdout` and `stderr` of `subprocess.Popen`.

    Raises:
        UserError: FFmpeg is missing or cannot be started.
    """
    try:
        program = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise UserError(f"FFmpeg is missing; {REINSTALL}") from error
    try:
        return subprocess.Popen(
            [program, "-hide_banner", "-nostats", "-nostdin", *words],
            # Ctrl-C must not reach FFmpeg, which finishes its file.
            start_new_session=True,
            **pipes,
        )
    except OSError as error:
        raise UserError(
            f"cannot start {program}: {error.strerror}; name another FFmpeg "
            f"in IMAGEIO_FFMPEG_EXE, or, without it, {REINSTALL}"
        ) from error

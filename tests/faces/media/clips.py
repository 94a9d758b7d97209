"""Small videos of any kind, made by FFmpeg."""

import subprocess

import imageio_ffmpeg
import numpy as np

PATTERN = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=0.2")
RAW = ("-f", "rawvideo", "-pix_fmt", "rgb24")


def ffmpeg(*words):
    """Run FFmpeg; returns what it writes to its standard output."""
    program = imageio_ffmpeg.get_ffmpeg_exe()
    command = [program, "-v", "error", "-y", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def pixels(shape, *words):
    """The RGB of the frames that FFmpeg makes of `words`, uint8 [N, *shape]."""
    data = ffmpeg(*words, "-fps_mode", "passthrough", *RAW, "pipe:1")
    return np.frombuffer(data, np.uint8).reshape(-1, *shape)

"""Start-up time, speed and memory of the demos, with their limits.

    python -m benchmarks.demos

Prints

* the wall time of the image demo from start to written file, on a photo of 640
  pixels, as the median of five processes (at most 1.0 s);
* the frames per second of the video demo, including reading, detection, drawing
  and encoding, and its processor time a frame without FFmpeg's, for 640 x 480
  pixels with one face (at least 30), for 1280 x 720 with five (at least 15) and
  with a crowd (at least 5);
* the peak memory for a video of 5,000 frames relative to one of 500 (at most
  1.1).

The limits are for two free CPU cores and YuNet. All faces are the sample
portrait's. Exit code: 0; 1 if a limit is exceeded.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from samtl.common import flags
from samtl.common.errors import UserError, run_script
from samtl.faces import detect, inputs
from samtl.faces.media import output, recording
from samtl.inference import loading

STARTS = 5
FPS = 25
SCENES = {
    "640 x 480, one face": (640, 480, 1, 1),
    "1280 x 720, five": (1280, 720, 5, 1),
    "1280 x 720, a crowd of 26": (1280, 720, 13, 2),
}
LEAST_FPS = (30, 15, 5)
LONGEST_START, MOST_GROWTH = 1.0, 1.1
# Runs the video demo and prints its speed and its peak memory.
MEASURED = """
import json, resource, sys, time
import final_video_demo
from samtl.faces.media import recording

count, first, worked = 0, None, None
write = recording.Writer.write

def counted(*arguments):
    global count, first, worked
    first = first or time.perf_counter()
    worked = worked or time.process_time()
    count += 1
    write(*arguments)

recording.Writer.write = counted
final_video_demo.main()
seconds = time.perf_counter() - first
worked = (time.process_time() - worked) / (count - 1)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fps = (count - 1) / seconds
print(json.dumps({"fps": fps, "cpu": worked, "peak": peak}))
"""


def scene(portrait, width, height, columns, rows, moment):
    """Moving heads on a uniform background, uint8 [height, width, 3]."""
    picture = np.full((height, width, 3), (168, 176, 184), np.uint8)
    across, down = width // columns, height // rows
    side = round(min(width / columns, down) * 0.9)
    head = cv2.resize(portrait[20:470, 40:490], (side, side))
    for index in range(columns * rows):
        phase = moment + index
        row, column = divmod(index, columns)
        right = (across - side) * (0.5 + 0.5 * math.sin(phase))
        below = (down - side) * (0.5 + 0.5 * math.cos(0.7 * phase))
        x, y = column * across + round(right), row * down + round(below)
        picture[y : y + side, x : x + side] = head
    return picture


def make_video(path, shape, count):
    """Write a scene of `count` frames."""
    portrait = inputs.read(inputs.portrait()).pixels
    with recording.Writer(path, FPS) as writer:
        for index in range(count):
            moment = index / FPS
            writer.write(scene(portrait, *shape, moment), moment)


def cold_start(folder, words):
    """Median of the seconds from start to written file."""
    photo = folder / "photo.png"
    portrait = inputs.read(inputs.portrait()).pixels
    output.write_image(photo, cv2.resize(portrait, (546, 640)))
    seconds = []
    for _ in range(STARTS):
        start = time.perf_counter()
        command = [sys.executable, "final_image_demo.py", photo, *words]
        _run(command)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def run_video(path, words):
    """{"fps", "cpu": seconds a frame, "peak": KiB} of the video demo."""
    printed = _run([sys.executable, "-c", MEASURED, path, *words])
    return json.loads(printed.splitlines()[-1])


def _run(command):
    """The output of a command.

    Raises:
        UserError: it failed; the message is its last line.
    """
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1]
        raise UserError(last.removeprefix("error: "))
    return done.stdout


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    count = flags.Number(int, 2)
    flags.add_flag(parser, "frames", count, 500, "in the shorter videos")
    loading.add_flag(parser)
    detect.add_flag(parser)
    args = parser.parse_args()
    words = [
        f"--{name}={value.absolute()}"
        for name, value in vars(args).items()
        if isinstance(value, Path)
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words += [f"--output={folder / 'out'}", "--overwrite"]
        good = measure(folder, args.frames, words)
    sys.exit(not all(good))


def measure(folder, frames, words):
    """Print every figure.

    Returns:
        for each figure whether it is within its limit.
    """
    good = []
    seconds = cold_start(folder, words)
    good.append(seconds <= LONGEST_START)
    print(f"cold start: {seconds:.2f} s (at most {LONGEST_START} s)")
    peaks = []
    for (name, shape), least in zip(SCENES.items(), LEAST_FPS, strict=True):
        path = folder / "scene.mp4"
        make_video(path, shape, frames)
        found = run_video(path, words)
        peaks.append(found["peak"])
        good.append(found["fps"] >= least)
        print(
            f"{name}: {found['fps']:.1f} frames per second (at least {least}), "
            f"{1000 * found['cpu']:.0f} ms of processor time a frame"
        )
    shape = next(iter(SCENES.values()))
    make_video(path, shape, 10 * frames)
    peak = run_video(path, words)["peak"]
    growth = peak / peaks[0]
    good.append(growth <= MOST_GROWTH)
    print(
        f"memory after {frames:,} frames: {peaks[0] / 1024:.0f} MiB, after "
        f"{10 * frames:,}: {peak / 1024:.0f} MiB, {growth:.2f} times as much "
        f"(at most {MOST_GROWTH})"
    )
    return good


if __name__ == "__main__":
    run_script(main)

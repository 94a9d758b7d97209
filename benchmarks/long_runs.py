"""Does memory grow in long runs?

    python -m benchmarks.long_runs
    python -m benchmarks.long_runs --kinds video --share=0.1

A video of 20 minutes, 20,000 photos, the preparation of 100,000 rows, and four
passes over each of eight datasets: each runs in a process of its own, whose
resident memory is looked at four times a second. Prints the peak until an
eighth of the work was done, and that of all of it. Exits with 1 where the
second is more than 1.1 times the first.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import psutil

from benchmarks import demos, preparation, size
from samtl.common import flags
from samtl.common.errors import run_script
from samtl.data.tasks import EMOTION_8, POSE, Task
from samtl.faces import inputs

MINUTES, PHOTOS, ROWS, SETS, PASSES, IMAGES = 20, 20_000, 100_000, 8, 4, 400
EARLY = 8  # the share of the work that is early
LOOK_SECONDS = 0.25
MOST_GROWTH = 1.1


def video(folder: Path, share: float):
    """A talking head of 320 x 240 pixels."""
    frames = round(share * MINUTES * 60 * demos.FPS)
    demos.make_video(folder / "talk.mp4", (320, 240, 1, 1), frames)
    table = folder / "faces.csv"
    words = ["final_video_demo.py", folder / "talk.mp4", f"--csv={table}"]
    return [*words, f"--output={folder / 'out'}"], lambda: _bytes(table)


def photos(folder: Path, share: float):
    """Portraits of 160 pixels."""
    portrait = cv2.resize(inputs.read(inputs.portrait()).pixels, (136, 160))
    source, out = folder / "photos", folder / "out"
    source.mkdir()
    for number in range(round(share * PHOTOS)):
        turned = np.roll(portrait, number % 136, axis=1)
        cv2.imwrite(str(source / f"{number}.jpg"), turned)
    words = ["final_image_demo.py", source, f"--output={out}"]
    return [*words, f"--csv={folder / 'faces.csv'}"], lambda: _entries(out)


def rows(folder: Path, share: float):
    """The preparation of photos in MTFL's layout."""
    source = folder / "raw"
    source.mkdir()
    preparation.make(source, round(share * ROWS))
    words = ["-m", "data_preparation", "mtfl", f"--source={source}"]
    crops = folder / "data" / "db" / ".mtfl.partial" / "crops"
    words += [f"--data_dir={folder / 'data'}", "--jobs=1"]
    return words, lambda: _entries(crops)


def datasets(folder: Path, share: float):
    """Alternating training on four datasets of each of two tasks."""
    words = ["ALTERNATIVE_EP.py", f"--data_dir={folder}"]
    for task in (Task("emotion", EMOTION_8), Task("pose", POSE)):
        names = [f"{task.name}{number}" for number in range(SETS // 2)]
        for name in names:
            size.make(folder, round(share * IMAGES), name=name, task=task)
        words += [f"--dataset_{task.name}", *names]
    words += [f"--epoch={SETS * PASSES}", f"--run_dir={folder / 'run'}"]
    return words, lambda: _bytes(folder / "run" / "metrics.csv")


def _bytes(path):
    return path.stat().st_size if path.exists() else 0


def _entries(folder):
    return sum(1 for _ in os.scandir(folder)) if folder.exists() else 0


KINDS = {kind.__name__: kind for kind in (video, photos, rows, datasets)}


def peaks(words: list, done: Callable[[], int]) -> tuple[float, float]:
    """MiB of a command at its peak, early and in all.

    Args:
        words: of the command, without Python's name.
        done: how much of the work is done, in any unit; 0 at the start.
    """
    process = psutil.Popen(
        [sys.executable, *map(str, words)], stdout=subprocess.DEVNULL
    )
    seen = []
    while process.poll() is None:
        seen.append((done(), process.memory_info().rss / 2**20))
        time.sleep(LOOK_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    # What comes after the work is not of the same kind.
    whole = max(share for share, _ in seen)
    end = next(place for place, (share, _) in enumerate(seen) if share == whole)
    early = [mib for share, mib in seen[: end + 1] if share <= whole / EARLY]
    return max(early), max(mib for _, mib in seen[: end + 1])


def main() -> int:
    """Returns the exit code: 1 where memory has grown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    text = "of the work, for a shorter test"
    flags.add_flag(parser, "share", flags.Number(float, 0, 1), 1.0, text)
    flags.add_flag(parser, "kinds", tuple(KINDS), None, "", many=True)
    args = parser.parse_args()
    is_good = True
    print("| what | minutes | MiB, an eighth | MiB, all | ratio |", flush=True)
    print("|---|--:|--:|--:|--:|")
    for name in args.kinds or KINDS:
        with tempfile.TemporaryDirectory() as folder:
            work = KINDS[name](Path(folder), args.share)
            start = time.monotonic()
            early, late = peaks(*work)
            minutes = (time.monotonic() - start) / 60
        print(
            f"| {name} | {minutes:.1f} | {early:.0f} | {late:.0f} "
            f"| {late / early:.2f} |",
            flush=True,
        )
        is_good = is_good and late <= MOST_GROWTH * early
    return 0 if is_good else 1


if __name__ == "__main__":
    run_script(main)

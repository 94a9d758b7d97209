"""Emotion, head pose, gender and age of the faces in videos.

Writes an annotated H.264 copy of each video, which browsers play, with the
sound of a file. A source is a file, a folder, a pattern, the number of a camera
or the URL of a stream. Without a source, the input is a sample clip of a
portrait in the public domain. Ctrl-C ends a recording and leaves a complete
file.

Exit code: 0 for success; 1 if a source ended too early or, of several, could
not be read; 2 for a mistake in the command; 130 after Ctrl-C.
"""

import contextlib
import csv
import itertools
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from samtl.common import flags
from samtl.common.errors import UserError, run_script
from samtl.common.text import counted
from samtl.faces import detect, track
from samtl.faces.drawing import draw
from samtl.faces.media import output, recording, video
from samtl.inference import loading
from samtl.inference.predictor import Predictor

EXAMPLES = """examples:
  python final_video_demo.py
      the sample clip
  python final_video_demo.py talk.mp4 --start 60 --end 90 --csv talk.csv
      half a minute of a file, with a table of faces and frames
  python final_video_demo.py 0 --show
      a camera, until Escape or Ctrl-C
  python final_video_demo.py street.mp4 --blur_faces --mute
      labels, anonymised faces, no voices
  python final_video_demo.py holidays/ --jsonl faces.jsonl
      all videos of a folder, with one table
"""
# Half the size of the image demo's search takes a quarter of the time.
LARGEST_SEARCHED = detect.SIZES[1]


def parser():
    parser = flags.parser(__doc__, EXAMPLES)
    parser.add_argument(
        "videos",
        nargs="*",
        metavar="VIDEO",
        help="files, folders, patterns, camera numbers or URLs (left out: the "
        "sample clip)",
    )
    output.add_flags(parser)
    flags.add_flag(
        parser, "csv", Path, None, "write a table, one row per face and frame"
    )
    flags.add_flag(
        parser, "jsonl", Path, None, "the same, one JSON object per line"
    )
    seconds = flags.Number(float, 0)
    flags.add_flag(parser, "start", seconds, 0.0, "start at this second")
    flags.add_flag(
        parser, "end", seconds, None, "end at this second (left out: the end)"
    )
    count = flags.Number(int, 1)
    flags.add_flag(parser, "every", count, 1, "use every N-th frame only")
    flags.add_flag(
        parser,
        "detect_every",
        count,
        None,
        "run the detector on every N-th of these frames and track faces by "
        "optical flow in between (left out: 5, or the frames of half a second "
        "if these are fewer; always 1 with --blur_faces)",
    )
    flags.add_flag(
        parser,
        "max_faces",
        count,
        None,
        "label the N largest faces only (left out: all)",
    )
    flags.add_flag(
        parser,
        "smoothing",
        seconds,
        0.5,
        "time constant in seconds for averaging the probabilities of a face, "
        "0 for no averaging",
    )
    output.add_switch(
        parser,
        "blur_faces",
        "anonymise all faces, including those without labels; slow. Faces are "
        "detected from a height of 1/50 of the frame's longer side, lying ones "
        "from 1/25",
    )
    output.add_switch(
        parser, "mute", "leave out the sound: blurred faces have voices"
    )
    loading.add_flag(parser)
    detect.add_flag(parser)
    return parser


def main(argv=None):
    args = parser().parse_args(argv)
    end = math.inf if args.end is None else args.end
    if end <= args.start:
        raise UserError(f"--end={args.end} is not after --start={args.start}")
    if args.blur_faces and args.detect_every not in (None, 1):
        raise UserError(
            f"--detect_every={args.detect_every} would show new faces for a "
            "moment; omit it with --blur_faces"
        )
    addresses = video.find(args.videos)
    given = list(map(Path, addresses))
    output.check(args, [args.csv, args.jsonl], given)
    tools = _Tools(
        loading.load(args.weights),
        _detector(args),
        output.OutputPaths(args.output, args.overwrite, given),
    )
    if not addresses:
        print("no video given: the input is the sample clip")
        addresses = [None]
    failed = []
    with contextlib.ExitStack() as stack:
        tables = _Tables(stack, args, tools.predictor, len(addresses) > 1)
        for address in addresses:
            try:
                _annotate(address, end, tools, tables, args)
            except UserError as error:
                if len(addresses) == 1:
                    raise
                failed.append(str(error))
            except _EndedEarlyError as error:
                failed.append(str(error))
    if len(addresses) > 1 and failed:
        print(f"{len(failed)} of {len(addresses)} failed:", file=sys.stderr)
    for message in failed:
        print(message, file=sys.stderr)
    if failed:
        sys.exit(1)


class _EndedEarlyError(Exception):
    """A source ended too early; the message says when."""


@dataclass(frozen=True)
class _Tools:
    """What all videos share."""

    predictor: Predictor
    detector: detect.Detector
    targets: output.OutputPaths


def _annotate(address, end, tools, tables, args):
    """Write the annotated copy of a video.

    Raises:
        UserError: the video cannot be read, or the copy cannot be written.
        _EndedEarlyError: the copy contains the frames before the early end.
    """
    source = video.open_source(address)
    # A frame must not last longer than the whole source.
    every = min(args.every, source.count or args.every)
    frames = video.ahead(source.frames(args.start, end, every))
    fps = source.fps / every
    found = video.ahead(_analysed(frames, fps, tools, args))
    first = next(found, None)  # a kill before it leaves no file
    if first is None:
        raise UserError(
            f"no frame of {source.name} lies between --start and --end; its "
            f"duration in seconds is {source.duration or 'unknown'}"
        )
    total = _expected(source, args.start, end, every)
    layout = draw.VideoLayout(tools.predictor.tasks)
    target = tools.targets.reserve(source.name, ".mp4")
    sound = None if args.mute else source.sound
    is_stopped = False
    with (
        contextlib.closing(found),
        _progress() as progress,
        recording.Writer(target, fps, sound) as writer,
    ):
        counter = _Counter(progress, total)
        tables.start(source.name if address is None else address)
        try:
            results = itertools.chain([first], found)
            _write(results, writer, layout, counter, tables, args)
        except KeyboardInterrupt:
            is_stopped = True
            source.stop()
    if is_stopped and counter.frames == 0:
        print("stopped before the first frame", file=sys.stderr)
        sys.exit(130)
    silent = sound is not None and not writer.has_sound
    print(
        f"{counted(counter.frames, 'frame')}, "
        f"{output.count(len(counter.faces))}, "
        f"{counter.speed():.1f} frames per second -> {target}"
        + (" (its sound could not be copied)" if silent else "")
    )
    if is_stopped:
        print("stopped: the file is complete up to here", file=sys.stderr)
        sys.exit(130)
    if source.is_broken:
        raise _EndedEarlyError(
            f"{source.name} ended too early, after {counter.time:.1f} s; the "
            "file contains all frames before"
        )


def _detector(args):
    """A fast detector, or with --blur_faces the one with the best recall."""
    largest = detect.SIZES[-1] if args.blur_faces else LARGEST_SEARCHED
    return detect.open(args.detector_model, largest, args.blur_faces)


def _analysed(frames, fps, tools, args):
    """Yield (Frame, list of Prediction, list of Face to anonymise)."""
    tracker, predictor = track.Tracker(), tools.predictor
    usual = 1 if args.blur_faces else min(5, math.ceil(fps / 2))
    every = args.detect_every or usual
    for number, frame in enumerate(frames):
        faces = tools.detector(frame.pixels) if number % every == 0 else None
        tracks = tracker.update(frame.pixels, frame.time, faces)
        tracks.sort(key=lambda person: person.face.area, reverse=True)
        tracks = tracks[: args.max_faces]
        due = track.due(tracks)
        crops = [predictor.crop(frame.pixels, person.face) for person in due]
        probabilities = predictor.probabilities(crops)
        for index, person in enumerate(due):
            new = {task: rows[index] for task, rows in probabilities.items()}
            person.smooth(new, frame.time, args.smoothing)
        predictions = [
            predictor.prediction(
                person.face, person.probabilities, person.number
            )
            for person in tracks
        ]
        # A track that is lost for a moment has its last position.
        hidden = [person.face for person in tracker.tracks]
        yield frame, predictions, hidden if args.blur_faces else []


def _write(found, writer, layout, counter, tables, args):
    """Draw, show and write until the source ends or Escape is pressed."""
    for frame, predictions, hidden in found:
        for face in hidden:
            draw.blur(frame.pixels, face)
        copy = draw.annotate(
            frame.pixels, predictions, args.min_confidence, layout
        )
        writer.write(copy, frame.time)
        # Now, so that existing tables stay if there is no frame.
        tables.open()
        for prediction in predictions:
            row = {"frame": frame.index, "time": round(frame.time, 3)}
            tables.add(row | output.record(prediction, args.min_confidence))
        numbers = {prediction.number for prediction in predictions}
        counter.advance(frame, numbers)
        if args.show and output.show(copy, "faces", wait=False):
            return


class _Tables:
    """The CSV and JSONL files, which all videos share.

    The files are written line by line under their final names, so that a power
    cut after hours of recording leaves the rows so far. With several videos,
    rows begin with `file`.
    """

    def __init__(self, stack, args, predictor, has_files):
        """Tables that `stack` closes; `open` creates their files."""
        self._stack, self._has_files, self._adders = stack, has_files, None
        self._kinds = [(args.csv, _csv), (args.jsonl, _jsonl)]
        self._columns = [
            *(("file",) if has_files else ()),
            *("frame", "time"),
            *output.columns(predictor.tasks, bool(predictor.ages)),
        ]
        self._file = ""

    def start(self, name):
        """Name the video of the next rows."""
        self._file = output.printable(name)

    def open(self):
        """Create the files, unless they are open."""
        if self._adders is not None:
            return
        self._adders = []
        for path, make in self._kinds:
            if path is None:
                continue
            with _written(path):
                # Line buffering: the file contains complete lines only.
                file = path.open("w", buffering=1, newline="", encoding="utf-8")
                self._stack.callback(_close, file)
                self._adders.append((path, make(file, self._columns)))

    def add(self, row):
        """Add the record of a face, with `frame` and `time`."""
        if self._has_files:
            row = {"file": self._file, **row}
        for path, add in self._adders:
            with _written(path):
                add(row)


def _close(file):
    # The error of the last write is already reported.
    with contextlib.suppress(OSError):
        file.close()


@contextlib.contextmanager
def _written(path):
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; choose a writable folder "
            "on a disk with space"
        ) from error


def _csv(file, columns):
    writer = csv.DictWriter(file, columns)
    writer.writeheader()

    def add(row):
        place = {k: row[k] for k in ("file", "frame", "time") if k in row}
        writer.writerow(place | output.row(row))

    return add


def _jsonl(file, columns):
    del columns  # each line contains their names
    return lambda row: file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _expected(source, start, end, every):
    """Expected number of frames; None if unknown."""
    if source.duration is not None:
        rate = source.count / source.duration
        end = min(end, source.duration)
    else:
        rate = source.fps
    if math.isinf(end):
        return None
    return max(1, math.ceil((end - start) * rate / every))


def _progress():
    return Progress(
        TextColumn("frame {task.completed}"),
        BarColumn(),
        TextColumn("{task.fields[speed]:.1f} fps"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


class _Counter:
    """Counts frames and faces, and shows the progress."""

    def __init__(self, progress, total):
        self.frames, self.time, self.faces = 0, 0.0, set()
        self._progress = progress
        self._task = progress.add_task("", total=total, speed=0.0)
        self._start = time.monotonic()

    def advance(self, frame, numbers):
        self.frames += 1
        self.time = frame.time
        self.faces |= numbers
        self._progress.update(self._task, advance=1, speed=self.speed())

    def speed(self):
        """Frames per second so far."""
        return self.frames / max(time.monotonic() - self._start, 1e-9)


if __name__ == "__main__":
    run_script(main)

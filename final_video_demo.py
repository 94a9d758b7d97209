"""Emotion, head pose, gender and age of the faces in a video.

Writes an annotated H.264 video that browsers play. The source is a file, the
number of a camera or the URL of a stream. Without a source, the input is a
sample clip of a portrait in the public domain. Ctrl-C ends a recording and
leaves a complete file.

Exit code: 0 for success; 1 if the source ended too early (among files, detected
in MP4 and AVI only); 2 for a mistake in the command; 130 after Ctrl-C.
"""

import contextlib
import csv
import functools
import json
import math
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from samtl.common import flags
from samtl.common.errors import UserError, run_script
from samtl.faces import detect
from samtl.faces.drawing import draw
from samtl.faces.media import output, recording, video
from samtl.faces.prediction import Prediction
from samtl.faces.track import Tracker
from samtl.inference import loading

EXAMPLES = """examples:
  python final_video_demo.py
      the sample clip
  python final_video_demo.py talk.mp4 --start 60 --end 90 --csv talk.csv
      half a minute of a file, with a table of faces and frames
  python final_video_demo.py 0 --show
      a camera, until Escape or Ctrl-C
  python final_video_demo.py street.mp4 --blur_faces
      labels, and anonymised faces
"""
# Half the size of the image demo's search takes a quarter of the time.
LARGEST_SEARCHED = detect.SIZES[1]


def parser():
    parser = flags.parser(__doc__, EXAMPLES)
    parser.add_argument(
        "source",
        nargs="?",
        metavar="VIDEO",
        help="file, camera number or URL (left out: the sample clip)",
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
    given = [] if args.source is None else [Path(args.source)]
    output.check(args, [args.csv, args.jsonl], given)
    predictor = loading.load(args.weights)
    detector = _detector(args)
    if args.source is None:
        print("no video given: the input is the sample clip")
    source = video.open_source(args.source)
    # A frame must not last longer than the whole source.
    args.every = min(args.every, source.count or args.every)
    targets = output.OutputPaths(args.output, args.overwrite, given)
    frames = video.ahead(source.frames(args.start, end, args.every))
    fps = source.fps / args.every
    found = video.ahead(_analysed(frames, fps, predictor, detector, args))
    total = _expected(source, args.start, end, args.every)
    layout = draw.VideoLayout(predictor.tasks)
    columns = output.columns(predictor.tasks, bool(predictor.ages))
    target = targets.reserve(source.name, ".mp4")
    is_stopped = False
    with (
        contextlib.closing(found),
        _progress() as progress,
        recording.Writer(target, fps) as writer,
    ):
        counter = _Counter(progress, total)
        try:
            _write(found, writer, layout, counter, columns, args)
        except KeyboardInterrupt:
            is_stopped = True
            source.stop()
    if is_stopped and counter.frames == 0:
        print("stopped before the first frame", file=sys.stderr)
        sys.exit(130)
    if counter.frames == 0:
        raise UserError(
            f"no frame of {source.name} lies between --start and --end"
        )
    print(
        f"{counter.frames} frames, {output.count(len(counter.faces))}, "
        f"{counter.speed():.1f} frames per second -> {target}"
    )
    if is_stopped:
        print("stopped: the file is complete up to here", file=sys.stderr)
        sys.exit(130)
    if source.is_broken:
        print(
            f"{source.name} ended too early, after {counter.time:.1f} s; the "
            "file contains all frames before",
            file=sys.stderr,
        )
        sys.exit(1)


def _detector(args):
    """A fast detector, or with --blur_faces the one with the best recall."""
    largest = detect.SIZES[-1] if args.blur_faces else LARGEST_SEARCHED
    return detect.open(args.detector_model, largest, args.blur_faces)


def _analysed(frames, fps, predictor, detector, args):
    """Yield (Frame, list of Prediction, list of Face to anonymise)."""
    tracker = Tracker()
    usual = 1 if args.blur_faces else min(5, math.ceil(fps / 2))
    every = args.detect_every or usual
    for number, frame in enumerate(frames):
        faces = detector(frame.pixels) if number % every == 0 else None
        tracks = tracker.update(frame.pixels, frame.time, faces)
        tracks = sorted(tracks, key=_area, reverse=True)[: args.max_faces]
        crops = [predictor.crop(frame.pixels, track.face) for track in tracks]
        probabilities = predictor.probabilities(crops)
        predictions = []
        for index, track in enumerate(tracks):
            new = {task: rows[index] for task, rows in probabilities.items()}
            track.smooth(new, frame.time, args.smoothing)
            labels = predictor.named(track.probabilities)
            years = predictor.age_years(track.probabilities)
            predictions.append(
                Prediction(track.face, labels, track.number, years)
            )
        # A track that is lost for a moment has its last position.
        hidden = [track.face for track in tracker.tracks]
        yield frame, predictions, hidden if args.blur_faces else []


def _area(track):
    left, top, right, bottom = track.face.box
    return (right - left) * (bottom - top)


def _write(found, writer, layout, counter, columns, args):
    """Draw, show and write until the source ends or Escape is pressed."""
    with contextlib.ExitStack() as stack:
        for frame, predictions, hidden in found:
            for face in hidden:
                draw.blur(frame.pixels, face)
            copy = draw.annotate(
                frame.pixels, predictions, args.min_confidence, layout
            )
            writer.write(copy, frame.time)
            if counter.frames == 0:
                # Opened here, so that existing files stay without a frame.
                tables = _tables(stack, args, columns)
            for prediction in predictions:
                row = {"frame": frame.index, "time": round(frame.time, 3)}
                row |= output.record(prediction, args.min_confidence)
                for add in tables:
                    add(row)
            numbers = {prediction.number for prediction in predictions}
            counter.advance(frame, numbers)
            if args.show and output.show(copy, "faces", wait=False):
                return


def _tables(stack, args, columns):
    """Functions that add a row to the CSV and JSONL files, open in `stack`.

    The files are written line by line under their final names, so that a power
    cut after hours of recording leaves the rows so far.
    """
    tables = []
    for path, make in ((args.csv, _csv), (args.jsonl, _jsonl)):
        if path is None:
            continue
        with _written(path):
            # Line buffering: the file contains complete lines only.
            file = path.open("w", buffering=1, newline="", encoding="utf-8")
            stack.callback(_close, file)
            add = make(file, columns)
        tables.append(functools.partial(_add, path, add))
    return tables


def _add(path, add, row):
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
    writer = csv.DictWriter(file, ("frame", "time", *columns))
    writer.writeheader()

    def add(row):
        moment = {"frame": row["frame"], "time": row["time"]}
        writer.writerow(moment | output.row(row))

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
        TextColumn("{task.completed} frames"),
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

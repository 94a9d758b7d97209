"""Emotion, head pose, gender and age of the faces in images.

Writes an annotated copy of every image and prints the labels. Uses the trained
network in weights/, or another one with --weights. Without images, the input is
a sample portrait in the public domain.

Exit code: 0 for success; 1 if an image could not be read or its copy not be
written; 2 for a mistake in the command; 130 after Ctrl-C, with the results so
far written.
"""

import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from samtl.common import flags
from samtl.common.errors import UserError, on_interrupt, run_script
from samtl.common.text import printable
from samtl.faces import detect, inputs
from samtl.faces.drawing import draw
from samtl.faces.face import whole
from samtl.faces.media import output, records
from samtl.inference import loading

EXAMPLES = """examples:
  python final_image_demo.py
      the sample portrait
  python final_image_demo.py photo.jpg holidays/ 'more/**/*.png' \\
      --json found.json --csv found.csv
      files, a folder and a pattern; all probabilities as JSON and CSV
  python final_image_demo.py data/db/utkface/ --crops --csv labels.csv
      crops of faces, without detection
  python final_image_demo.py photo.jpg --weights runs/.../best.onnx
      another network
"""
# Images that are read ahead, and the pixels in memory at most: so many are read
# ahead, and so many wait for a full batch.
AHEAD, HELD = 4, 40_000_000


def parser():
    parser = flags.parser(__doc__, EXAMPLES)
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE",
        help="files, folders or patterns (left out: the sample portrait)",
    )
    output.add_flags(parser)
    flags.add_flag(parser, "json", Path, None, "write all results to this file")
    flags.add_flag(
        parser, "csv", Path, None, "the same as a table, one row per face"
    )
    flags.add_flag(
        parser,
        "batch_size",
        flags.Number(int, 1),
        32,
        "faces per batch of the network",
    )
    flags.add_flag(
        parser,
        "max_search",
        flags.Number(float, 0, 1000),
        detect.MEGAPIXELS,
        "megapixels to which a large photo is scaled at most to search for "
        "small faces; more finds smaller ones and takes longer",
    )
    output.add_switch(
        parser, "crops", "each image is the crop of one face: detect none"
    )
    loading.add_flag(parser)
    detect.add_flag(parser)
    return parser


def main(argv=None):
    args = parser().parse_args(argv)
    if args.crops and args.detector_model:
        raise UserError("--crops detects nothing; omit --detector_model")
    if args.images:
        paths = inputs.find(args.images)
        if others := inputs.skipped(args.images):
            print(f"left out: {others}", file=sys.stderr)
    else:
        paths = [inputs.portrait()]
        print(
            "no image given: the input is the sample portrait, Grace Hopper "
            "(US Navy, public domain)"
        )
    output.check(args, [args.json, args.csv], paths)
    predictor = loading.load(args.weights)
    detector = None
    if not args.crops:
        detector = detect.open(args.detector_model, megapixels=args.max_search)
    targets = output.OutputPaths(args.output, args.overwrite, paths)
    on_interrupt("stopped: the results are complete up to here")
    images = _predicted(paths, predictor, detector, args.batch_size)
    with tempfile.TemporaryFile(buffering=0) as file:
        found, failed = records.Records(file), []
        try:
            for path, picture, predictions in images:
                try:
                    record = _annotated(
                        path, picture, predictions, targets, args
                    )
                except UserError as error:
                    failed.append(str(error))
                    name = output.printable(path)
                    record = {"file": name, "error": failed[-1]}
                found.add(record)
        finally:
            if failed:
                print(f"{len(failed)} of {len(paths)} failed:", file=sys.stderr)
                for reason in failed:
                    print(f"  {reason}", file=sys.stderr)
            if found:
                _write_results(args, predictor, detector, found)
    if failed:
        sys.exit(1)


def _annotated(path, picture, predictions, targets, args):
    """Write, print and show the results of an image.

    Returns:
        the record of the image for the JSON.

    Raises:
        UserError: the image was not read, or the copy cannot be written.
    """
    if isinstance(picture, UserError):
        raise picture
    copy = draw.annotate(picture.pixels, predictions, args.min_confidence)
    target = targets.new(path.stem, _suffix(path))
    output.write_image(target, copy)
    _report(path, picture, predictions, target)
    if args.show:
        args.show = not output.show(copy, str(target), wait=True)
    return _record(path, picture, predictions, target, args.min_confidence)


def _predicted(paths, predictor, detector, batch_size):
    """Yield (path, Picture or UserError, list of Prediction) in order.

    Threads read images and detect faces, a few images ahead; without a
    detector, each image is a face. The images wait until their faces fill a
    batch or their pixels exceed HELD.
    """

    def search(path):
        try:
            picture = inputs.read(path)
        except UserError as error:
            return path, error, [], []
        pixels = picture.pixels
        if detector is None:
            return path, picture, [whole(pixels)], [predictor.resized(pixels)]
        faces = detector(pixels)
        crops = [predictor.crop(pixels, face) for face in faces]
        return path, picture, faces, crops

    waiting, faces, held = [], 0, 0
    for item in _ahead(search, paths):
        waiting.append(item)
        faces += len(item[2])
        if not isinstance(item[1], UserError):
            held += item[1].pixels[..., 0].size
        if faces >= batch_size or held > HELD:
            yield from _flush(waiting, predictor, batch_size)
            waiting, faces, held = [], 0, 0
    yield from _flush(waiting, predictor, batch_size)


def _ahead(function, paths):
    """map() in threads, at most AHEAD images and HELD pixels ahead."""
    with ThreadPoolExecutor(AHEAD) as pool, warnings.catch_warnings():
        # Pillow warns of invalid EXIF data, of half the size that it refuses
        # and the like. Set here, as all threads share these filters.
        warnings.simplefilter("ignore")
        pending, held = [], 0
        for path in paths:
            size = inputs.size(path)
            while pending and (len(pending) > AHEAD or held + size > HELD):
                future, done = pending.pop(0)
                held -= done
                yield future.result()
            pending.append((pool.submit(function, path), size))
            held += size
        for future, _ in pending:
            yield future.result()


def _flush(waiting, predictor, batch_size):
    """Predict the faces of the waiting images, and yield the images."""
    crops = [crop for *_, some in waiting for crop in some]
    found = []
    for start in range(0, len(crops), batch_size):
        batch = crops[start : start + batch_size]
        probabilities = predictor.probabilities(batch)
        found += [
            {task: rows[i] for task, rows in probabilities.items()}
            for i in range(len(batch))
        ]
    found = iter(found)
    for path, picture, faces, _ in waiting:
        yield (
            path,
            picture,
            [
                predictor.prediction(face, next(found), number)
                for number, face in enumerate(faces, start=1)
            ],
        )


def _suffix(path):
    is_jpeg = path.suffix.lower() in (".jpg", ".jpeg", ".jpe", ".jfif")
    return ".jpg" if is_jpeg else ".png"


def _report(path, picture, predictions, target):
    note = f" ({picture.note})" if picture.note else ""
    count = output.count(len(predictions))
    print(printable(f"{path}{note}: {count} -> {target}"))
    for found in predictions:
        years = found.age_years
        about = "" if years is None else f", about {years:.0f} years"
        print(f"  {found.number}: {found.text()}{about}")


def _record(path, picture, predictions, target, least):
    """The record of an image for the JSON."""
    height, width = picture.pixels.shape[:2]
    return {
        "file": output.printable(path),
        "annotated": output.printable(target),
        "width": width,
        "height": height,
        "note": picture.note,
        "faces": [output.record(p, least) for p in predictions],
    }


def _write_results(args, predictor, detector, found):
    try:
        if args.json:
            head = {
                "weights": predictor.name,
                "detector": detector.name if detector else None,
                "min_confidence": args.min_confidence,
            }
            records.write_json(args.json, head, found)
    finally:
        if args.csv:
            columns = output.columns(predictor.tasks, bool(predictor.ages))
            records.write_csv(args.csv, columns, found)


def command():
    """The command `samtl`."""
    run_script(main)

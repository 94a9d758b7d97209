"""Output of both demos: file names, images, records and windows."""

import argparse
import io
import os
import sys
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from samtl.common import files, flags, isolation, pictures
from samtl.common.errors import UserError
from samtl.common.text import counted
from samtl.faces.prediction import Prediction, has_yaw

ESCAPE = 27
# Bytes. File systems allow names of 255, and temporary names are longer.
LONGEST_STEM = 200
JPEG_QUALITY = 95
LARGEST_WINDOW = 1000  # pixels of the longer side of a new window
PATIENCE = 30  # seconds for the first window
FURTHER = ("yaw", "age_years")  # of a prediction, where it has them
NO_WINDOWS = (
    "--show needs an OpenCV with windows; install opencv-python, not "
    "opencv-python-headless"
)
_opened = set()  # titles of open windows


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that both demos share."""
    flags.add_flag(
        parser,
        "output",
        Path,
        Path("demo_output"),
        "folder for the annotated copies",
    )
    add_switch(
        parser,
        "overwrite",
        "replace files of the same name instead of adding a number to the name",
    )
    flags.add_flag(
        parser,
        "min_confidence",
        flags.Number(float, 0, 1),
        0.5,
        "classes with a lower probability are marked as unsure",
    )
    add_switch(
        parser, "show", "also show the result in a window; Escape closes it"
    )


def add_switch(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    """Declare --name without a value, so that an image's name may follow it."""
    parser.add_argument(f"--{name}", action="store_true", help=text)


def check(
    args: argparse.Namespace,
    results: Iterable[Path | None],
    inputs: Iterable[Path] = (),
) -> None:
    """Check that the output can be written, before any work is done.

    Args:
        args: with the attributes of `add_flags`.
        results: paths of further output files; None is skipped.
        inputs: paths of the input files.

    Raises:
        UserError: a folder is not writable, a result exists already, is an
            input or occurs twice, or --show cannot open a window.
    """
    _check_folder(args.output, f"to --output={args.output}")
    given = [path for path in results if path and not files.is_stream(path)]
    places = [os.path.realpath(path) for path in given]
    for path in given:
        _check_folder(path.parent, path.absolute())
        if path.is_dir():
            raise UserError(f"{path} is a directory; name a file in it")
        if places.count(os.path.realpath(path)) > 1:
            raise UserError(f"{path} is named twice; name two files")
        if any(_is_same(path, other) for other in inputs):
            raise UserError(f"{path} is an input; name another file")
        if path.is_file() and not args.overwrite:
            raise UserError(
                f"{path} exists; choose another name, or replace it with "
                "--overwrite"
            )
    if args.show:
        _check_window()


def _check_folder(folder, name):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            f"cannot write {name}: {error.strerror}; choose a writable folder"
        ) from error


def _is_same(one, other):
    # Unlike Path's methods, these do not raise on names that are too long.
    there = os.path.exists(one) and os.path.exists(other)
    return there and os.path.samefile(one, other)


def _check_window():
    is_x11 = sys.platform not in ("darwin", "win32")
    if is_x11 and not any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))):
        raise UserError(
            "--show needs a display, and there is none; omit --show"
        )
    try:
        # If the display does not answer, Qt ends the process.
        is_open = isolation.call(_open_window, seconds=PATIENCE)
    except ChildProcessError as error:
        raise UserError(
            "--show cannot open a window: the display does not answer; omit "
            "--show"
        ) from error
    if not is_open:
        raise UserError(NO_WINDOWS)


def _open_window():
    try:
        cv2.namedWindow("faces")
        cv2.destroyAllWindows()
    except cv2.error:
        return False
    return True


class OutputPaths:
    """Unique paths of output files in a folder."""

    def __init__(
        self, folder: Path, may_overwrite: bool, inputs: Iterable[Path] = ()
    ):
        """Paths for the output files of a run.

        Args:
            folder: of all paths.
            may_overwrite: whether the path of an existing file is allowed.
            inputs: files that are never overwritten, also not through a link.
        """
        self._folder = folder
        self._may_overwrite = may_overwrite
        self._given = set(map(os.path.realpath, inputs))

    def new(self, stem: str, suffix: str) -> Path:
        """<stem>_faces<suffix>, with a number if that path is taken."""
        while len(os.fsencode(stem)) > LONGEST_STEM:
            stem = stem[:-1]
        number = 1
        while True:
            count = "" if number == 1 else f"_{number}"
            path = self._folder / f"{stem}_faces{count}{suffix}"
            place = os.path.realpath(path)
            is_free = self._may_overwrite or not os.path.lexists(path)
            if is_free and place not in self._given:
                self._given.add(place)
                return path
            number += 1

    def reserve(self, stem: str, suffix: str) -> Path:
        """As `new`, and creates an empty file if there is none.

        The empty file keeps other programs from using the path.
        """
        while True:
            path = self.new(stem, suffix)
            try:
                path.open("xb").close()
                return path
            except FileExistsError:
                if self._may_overwrite:
                    return path


def write_image(path: Path, image: np.ndarray) -> None:
    """Write uint8 [H, W, 3], sRGB, as .jpg or .png.

    Raises:
        UserError: it cannot be written.
    """
    if path.suffix == ".jpg":
        options = {"format": "JPEG", "quality": JPEG_QUALITY}
    else:
        options = {"format": "PNG", "compress_level": 1}
    data = io.BytesIO()
    try:
        Image.fromarray(image).save(
            data, **options, icc_profile=pictures.srgb_profile()
        )
    except OSError as error:
        height, width = image.shape[:2]
        raise UserError(
            f"cannot write {path}: {width} x {height} pixels are too many for "
            "its format; make a smaller copy of the image"
        ) from error
    with files.write(path) as temporary:
        temporary.write_bytes(data.getbuffer())


def show(image: np.ndarray, title: str, wait: bool) -> bool:
    """Show an image in a window.

    Args:
        image: uint8 [H, W, 3], RGB.
        title: of the window; every title has a window of its own.
        wait: True: until a key is pressed. False: for a moment.

    Returns:
        bool: whether Escape was pressed.

    Raises:
        UserError: OpenCV was built without windows.
    """
    height, width = image.shape[:2]
    scale = min(1, LARGEST_WINDOW / max(height, width))
    try:
        if title not in _opened:  # keeps the size that the user chose
            size = round(scale * width), round(scale * height)
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            cv2.resizeWindow(title, *size)
            _opened.add(title)
        cv2.imshow(title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(0 if wait else 1)
    except cv2.error as error:
        raise UserError(NO_WINDOWS) from error
    if wait:
        cv2.destroyWindow(title)
        _opened.remove(title)
    return key == ESCAPE


def printable(path: str | Path) -> str:
    """A path as text that is valid UTF-8."""
    return str(path).encode(errors="backslashreplace").decode()


def count(faces: int) -> str:
    """A number of faces as text, as in "2 faces"."""
    return counted(faces, "face") if faces else "no face"


def record(prediction: Prediction, least: float) -> dict:
    """A Prediction as a dict for JSON.

    Args:
        prediction: Prediction.
        least: confidence in 0..1 below which a label is unsure.

    Returns:
        {"face": number, "box": [left, top, right, bottom] and "landmarks":
        five [x, y], see `Face`, in pixels, "score": detection score,
        "labels": {task: {"label", "confidence",
        "unsure", "probabilities": {class: probability}}}}, and "yaw" in
        degrees and "age_years" if the prediction has them.
    """
    labels = {}
    for task, probabilities in prediction.labels.items():
        label, confidence = prediction.best(task)
        labels[task] = {
            "label": label,
            "confidence": round(confidence, 4),
            "unsure": confidence < least,
            "probabilities": {
                name: round(share, 4) for name, share in probabilities.items()
            },
        }
    found = {
        "face": prediction.number,
        "box": [round(float(side), 1) for side in prediction.face.box],
        "landmarks": prediction.face.landmarks.astype(float).round(1).tolist(),
        "score": round(float(prediction.face.score), 4),
        "labels": labels,
    }
    for name in FURTHER:
        value = getattr(prediction, name)
        if value is not None:
            found[name] = round(value, 1)
    return found


def columns(
    tasks: dict[str, Collection[str]], has_age_years: bool = False
) -> list[str]:
    """Names of the CSV columns of `row`.

    Args:
        tasks: {task: class names}.
        has_age_years: whether the predictions have it.
    """
    names = ["face", "left", "top", "right", "bottom", "score"]
    for task, classes in tasks.items():
        names += [task, f"{task}_confidence", f"{task}_unsure"]
        names += [f"{task}_{name}" for name in classes]
    names += ["yaw"] if has_yaw(tasks) else []
    return [*names, "age_years"] if has_age_years else names


def row(face: dict) -> dict:
    """The result of `record` as {CSV column: value}."""
    sides = zip(("left", "top", "right", "bottom"), face["box"], strict=True)
    values = {"face": face["face"], **dict(sides), "score": face["score"]}
    for task, entry in face["labels"].items():
        values[task] = entry["label"]
        values[f"{task}_confidence"] = entry["confidence"]
        values[f"{task}_unsure"] = int(entry["unsure"])
        for name, share in entry["probabilities"].items():
            values[f"{task}_{name}"] = share
    return values | {name: face[name] for name in FURTHER if name in face}

"""Pictures for the image demo: which files, and their pixels."""

import contextlib
import glob
import importlib.util
import io
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from samtl.common.errors import UserError, reason

# Photos of phones, which Pillow cannot read; a folder's are not skipped unseen.
HEIC = (".heic", ".heif")
SUFFIXES = {
    *(".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg"),
    *(".png", ".ppm", ".tif", ".tiff", ".webp", *HEIC),
}
WILDCARDS = set("*?[")
REDUCED = 8  # how many times smaller a huge JPEG is decoded


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        pixels: uint8 [H, W, 3], RGB, upright.
        note: "", or what a reader should know about how it was read.
    """

    pixels: np.ndarray
    note: str


def portrait():
    """The file of the sample: Grace Hopper, official US Navy portrait.

    It is in the public domain and comes with matplotlib, which is looked up
    without importing it.

    Raises:
        UserError: matplotlib's sample data is not there.
    """
    package = importlib.util.find_spec("matplotlib")
    if package is not None:
        folder = Path(package.origin).parent / "mpl-data" / "sample_data"
        path = folder / "grace_hopper.jpg"
        if path.is_file():
            return path
    raise UserError(
        "the sample portrait is not there: pip install matplotlib, or name an "
        "image"
    )


def find(words):
    """Image files that the user means.

    Args:
        words: files, folders (their images, without those in subfolders) and
            patterns such as "photos/**/*.jpg".

    Returns:
        list of Path, each file once, by whatever name, in the order of the
        words, sorted within a folder or pattern. A file that is named but not
        there is among them: reading it fails with a reason.

    Raises:
        UserError: a folder or a pattern holds no image.
    """
    found = {}
    for word in words:
        path = Path(word)
        if path.is_dir():
            paths = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES]
        elif WILDCARDS.intersection(str(word)) and not path.exists():
            paths = map(Path, _matches(str(word)))
        else:
            paths = [path]
        files = sorted(p for p in paths if p == path or p.is_file())
        if not files:
            raise UserError(
                f"no image in {word}; name files, a folder or a pattern such "
                "as 'photos/*.jpg'"
            )
        for file in files:
            found.setdefault(os.path.realpath(file), file)
    return list(found.values())


def _matches(pattern):
    """What a pattern matches, or else one whose brackets are in names."""
    literal = pattern.replace("[", "[[]")
    return glob.glob(pattern, recursive=True) or glob.glob(
        literal, recursive=True
    )


def read(path):
    """Decode an image of any kind that Pillow knows.

    The EXIF orientation is applied, transparency is laid on white, 16 bits
    become 8, of an animation the first frame is taken. A JPEG too large for
    Pillow (179 megapixels) is decoded at an eighth of its size. The path may
    lead to a pipe.

    Returns:
        Picture.

    Raises:
        UserError: the file is missing, empty, not an image, broken or too
            large.
    """
    path = Path(path)
    try:
        with _opened(path) as file:
            if not file.read(1):
                raise UserError(f"{path} is empty; get the file again")
            try:
                return _decoded(file)
            except Image.DecompressionBombError as error:
                return _read_huge(path, file, error)
    except UnidentifiedImageError as error:
        why = "is not an image; its content decides, not its name"
        if path.suffix.lower() in HEIC:
            why = "is HEIC, which Pillow cannot read; convert it to JPEG"
        raise UserError(f"{path} {why}") from error
    except UserError:
        raise
    # Pillow's decoders fail on broken files in every way there is.
    except Exception as error:
        raise UserError(
            f"cannot read {path}: {reason(error)}; get the file again"
        ) from error


def size(path):
    """Pixels of an image as its header says, 0 where that says nothing."""
    # Opening is reading no more than the header, and refuses too many pixels.
    with contextlib.suppress(Exception):
        if Path(path).is_file():
            with Image.open(path) as image:
                return image.width * image.height
    return 0


def _opened(path):
    """A file or, as images are not read in one go, what is in a pipe."""
    return path.open("rb") if path.is_file() else io.BytesIO(path.read_bytes())


def _decoded(file):
    with Image.open(file) as image:
        frames = getattr(image, "n_frames", 1)
        note = f"first of {frames} frames" if frames > 1 else ""
        image.load()  # pixels that are broken fail here
        upright = image
        # Of PNG and WebP, Pillow does not bear EXIF data that are broken.
        with contextlib.suppress(Exception):
            upright = ImageOps.exif_transpose(image)
        return Picture(_eight_bits(upright), note)


def _eight_bits(image):
    """A Pillow image of any mode as uint8 [H, W, 3], RGB."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float32)
        values = np.nan_to_num(values, posinf=0, neginf=0)
        # Integers are 16-bit ones in all formats that cameras write.
        top = 65535 if image.mode.startswith("I") else max(values.max(), 1e-9)
        gray = np.clip(values * (255 / top), 0, 255).round().astype(np.uint8)
        return cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def _read_huge(path, file, reason):
    file.seek(0)
    data = file.read()
    pixels = None
    if data.startswith(b"\xff\xd8\xff"):
        # libjpeg computes the small image directly: no large one is held.
        with contextlib.suppress(cv2.error):
            pixels = cv2.imdecode(
                np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_COLOR_8
            )
    if pixels is None:
        limit = round(2 * Image.MAX_IMAGE_PIXELS / 1e6)
        raise UserError(
            f"{path} has more than {limit} megapixels; make a smaller copy"
        ) from reason
    pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return Picture(pixels, f"read at 1/{REDUCED} of its size")

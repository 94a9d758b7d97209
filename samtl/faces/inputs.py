"""Image files of the image demo, and their pixels."""

import contextlib
import glob
import importlib.util
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from samtl.common.errors import UserError, reason

# Photos of phones, which Pillow cannot read: an error instead of a silent skip.
HEIC = (".heic", ".heif")
SUFFIXES = {
    *(".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg"),
    *(".png", ".ppm", ".tif", ".tiff", ".webp", *HEIC),
}
WILDCARDS = set("*?[")
REDUCED = 8  # factor by which a huge JPEG is reduced


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        pixels: uint8 [H, W, 3], RGB, upright.
        note: a remark on how it was decoded, or "".
    """

    pixels: np.ndarray
    note: str


def portrait() -> Path:
    """The sample image: Grace Hopper, official US Navy portrait.

    It is in the public domain and part of matplotlib, whose folder is found
    without an import.

    Raises:
        UserError: matplotlib's sample data is missing.
    """
    package = importlib.util.find_spec("matplotlib")
    if package is not None:
        folder = Path(package.origin).parent / "mpl-data" / "sample_data"
        path = folder / "grace_hopper.jpg"
        if path.is_file():
            return path
    raise UserError(
        "the sample portrait is missing: pip install matplotlib, or name an "
        "image"
    )


def find(words: Iterable[str]) -> list[Path]:
    """The image files for the words of a command line.

    Args:
        words: files, folders (their images, without those in subfolders) and
            patterns such as "photos/**/*.jpg".

    Returns:
        list of Path in the order of the words, sorted within a folder or
        pattern. A file with several names is in it once. A named file that
        does not exist is in it too, so that `read` reports it.

    Raises:
        UserError: a folder or a pattern contains no image.
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
    """Matches of a pattern; if there are none, with brackets as literals."""
    literal = pattern.replace("[", "[[]")
    return glob.glob(pattern, recursive=True) or glob.glob(
        literal, recursive=True
    )


def read(path: str | Path) -> Picture:
    """Decode an image of any format that Pillow supports.

    The EXIF orientation is applied. The background of transparent images is
    white. 16 bits become 8. The result for an animation is its first frame. A
    JPEG too large for Pillow (179 megapixels) is decoded at 1/8 of its size.
    The path may be a pipe.

    Returns:
        Picture.

    Raises:
        UserError: the file is missing, empty, damaged, too large or not an
            image.
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
        why = "is not an image; the content decides, not the name"
        if path.suffix.lower() in HEIC:
            why = "is HEIC, which Pillow cannot read; convert it to JPEG"
        raise UserError(f"{path} {why}") from error
    except UserError:
        raise
    # On damaged files, Pillow's decoders raise exceptions of any type.
    except Exception as error:
        raise UserError(
            f"cannot read {path}: {reason(error)}; get the file again"
        ) from error


def size(path: str | Path) -> int:
    """Number of pixels according to the header; 0 if it cannot be read."""
    # open() reads the header only, and refuses too many pixels.
    with contextlib.suppress(Exception):
        if Path(path).is_file():
            with Image.open(path) as image:
                return image.width * image.height
    return 0


def _opened(path):
    """An open file. A pipe is copied, as decoders need to seek."""
    return path.open("rb") if path.is_file() else io.BytesIO(path.read_bytes())


def _decoded(file):
    with Image.open(file) as image:
        frames = getattr(image, "n_frames", 1)
        note = f"first of {frames} frames" if frames > 1 else ""
        image.load()  # raises on damaged pixels
        upright = image
        # Pillow raises on invalid EXIF data of PNG and WebP.
        with contextlib.suppress(Exception):
            upright = ImageOps.exif_transpose(image)
        return Picture(_eight_bits(upright), note)


def _eight_bits(image):
    """A Pillow image of any mode as uint8 [H, W, 3], RGB."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float32)
        values = np.nan_to_num(values, posinf=0, neginf=0)
        # In all formats of cameras, these integers have 16 bits.
        top = 65535 if image.mode.startswith("I") else max(values.max(), 1e-9)
        gray = np.clip(values * (255 / top), 0, 255).round().astype(np.uint8)
        return cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def _read_huge(path, file, error):
    """A JPEG at 1/8 of its size; `error` is Pillow's."""
    file.seek(0)
    data = file.read()
    pixels = None
    if data.startswith(b"\xff\xd8\xff"):
        # libjpeg decodes to the reduced size, without the full image in memory.
        with contextlib.suppress(cv2.error):
            pixels = cv2.imdecode(
                np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_COLOR_8
            )
    if pixels is None:
        limit = round(2 * Image.MAX_IMAGE_PIXELS / 1e6)
        raise UserError(
            f"{path} has more than {limit} megapixels; make a smaller copy"
        ) from error
    pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return Picture(pixels, f"read at 1/{REDUCED} of its size")

"""Image files of the image demo, and their pixels."""

import contextlib
import glob
import importlib
import importlib.util
import io
import os
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from samtl.common import pictures
from samtl.common.errors import UserError, reason
from samtl.common.pictures import open_image

SUFFIXES = {
    *(".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg"),
    *(".jpg", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif"),
    *(".tiff", ".webp"),
}
# Formats that Pillow reads if such a package is installed: {suffix: (package,
# its module, the module's function that registers it)}.
_HEIF = ("pillow-heif", "pillow_heif", "register_heif_opener")
PLUGINS = {
    **dict.fromkeys((".heic", ".heif", ".hif"), _HEIF),
    ".jxl": ("pillow-jxl-plugin", "pillow_jxl", None),
}
# Photos that Pillow cannot read.
RAW = {
    *(".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".psd", ".raf"),
    *(".raw", ".rw2", ".srw"),
}
PHOTOS = SUFFIXES.union(PLUGINS, RAW)  # also those that are not read
# First bytes of formats.
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
JPEG, JXL = b"\xff\xd8\xff", (b"\xff\x0a", b"\0\0\0\x0cJXL ")
USUAL = (JPEG, b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*", b"RIFF")
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


def find(
    words: Iterable[str],
    kind: str = "image",
    suffixes: Collection[str] | None = None,
) -> list[Path]:
    """The files for the words of a command line.

    Args:
        words: files, folders (their images, without those in subfolders) and
            patterns such as "photos/**/*.jpg".
        kind: of the files, for messages.
        suffixes: of the files that are taken from folders, in lower case;
            None: those of the images that `read` supports.

    Returns:
        list of Path in the order of the words, sorted within a folder or
        pattern. A file with several names is in it once. A named file that
        does not exist is in it too, so that `read` reports it. The files that
        macOS adds, such as `._photo.jpg`, are in it only if they are named.

    Raises:
        UserError: a folder or a pattern contains no such file.
    """
    suffixes = suffixes or SUFFIXES.union(filter(_has_plugin, PLUGINS))
    found = {}
    for word in words:
        path = Path(word)
        if path.is_dir():
            paths = [p for p in path.iterdir() if p.suffix.lower() in suffixes]
        elif WILDCARDS.intersection(str(word)) and not path.exists():
            paths = map(Path, _matches(str(word)))
        else:
            paths = [path]
        files = sorted(
            p for p in paths if p == path or (p.is_file() and not is_apples(p))
        )
        if not files:
            others = skipped([word]) if kind == "image" else ""
            raise UserError(
                f"no {kind} in {word}{others and f' but {others}'}; name "
                "files, a folder or a pattern such as 'photos/*.jpg'"
            )
        for file in files:
            found.setdefault(os.path.realpath(file), file)
    return list(found.values())


def is_apples(path: Path) -> bool:
    """Whether macOS added a file for its own use, as in its archives."""
    return path.name.startswith("._") or "__MACOSX" in path.parts


def skipped(words: Iterable[str]) -> str:
    """How many photos of the folders in `words` `find` leaves out, and why.

    Returns:
        such as "2 .cr3 (convert them to JPEG)"; "" if there are none.
    """
    counts = Counter(
        path.suffix.lower()
        for folder in filter(os.path.isdir, words)
        for path in Path(folder).iterdir()
        if not is_apples(path)
    )
    return ", ".join(
        f"{counts[suffix]} {suffix} ({_cure(suffix)})"
        for suffix in sorted(counts)
        if is_unreadable(Path(f"photo{suffix}"))
    )


def is_unreadable(path: Path) -> bool:
    """Whether a file's suffix is that of photos that `read` cannot read."""
    suffix = path.suffix.lower()
    return suffix in RAW or (suffix in PLUGINS and not _has_plugin(suffix))


def _has_plugin(suffix):
    return importlib.util.find_spec(PLUGINS[suffix][1]) is not None


def _cure(suffix):
    if suffix in PLUGINS:
        return f"pip install {PLUGINS[suffix][0]}, or convert to JPEG"
    return "convert to JPEG"


def _matches(pattern):
    """Matches of a pattern; if there are none, with brackets as literals."""
    literal = pattern.replace("[", "[[]")
    return glob.glob(pattern, recursive=True) or glob.glob(
        literal, recursive=True
    )


def read(path: str | Path) -> Picture:
    """Decode an image of one of `pictures.FORMATS`.

    The EXIF orientation is applied, and the colour profile, see
    `pictures.simple`. The result for an animation is its first frame. A JPEG
    too large for Pillow (179 megapixels) is decoded at 1/8 of its size. The
    path may be a pipe.

    Returns:
        Picture.

    Raises:
        UserError: the file is missing, empty, damaged, too large or not an
            image.
    """
    path = Path(path)
    # Path makes one slash of two.
    if str(path).startswith(("http:/", "https:/")) and not path.exists():
        raise UserError(f"{path} is an address; download it and name the file")
    try:
        with _opened(path) as file:
            start = file.read(12)
            if not start:
                raise UserError(f"{path} is empty; get the file again")
            suffix = _true_suffix(path, start)
            _register(suffix)
            try:
                return _decoded(file)
            except Image.DecompressionBombError as error:
                return _read_huge(path, file, error)
    except UnidentifiedImageError as error:
        raise UserError(f"{path} {_foreign(suffix, start)}") from error
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
            with open_image(path) as image:
                return image.width * image.height
    return 0


def _true_suffix(path, start):
    """The suffix of PLUGINS by a file's first bytes, or else that of its name.

    The photos of iPhones are often HEIC, whatever their name says.
    """
    if start[4:8] == b"ftyp" and start[8:] in HEIC_BRANDS:
        return ".heic"
    if start.startswith(JXL):
        return ".jxl"
    return path.suffix.lower()


def _foreign(suffix, start):
    """Why Pillow cannot identify a file, and the cure."""
    if suffix in RAW.union(PLUGINS):
        return f"has a format that Pillow cannot read: {_cure(suffix)}"
    if start.startswith(USUAL):
        return (
            "is damaged, or of a kind that Pillow cannot read; get the file "
            "again, or convert it to JPEG"
        )
    *names, last = pictures.known_formats()
    return (
        f"is not an image ({', '.join(names)} or {last}); the content decides, "
        "not the name"
    )


def _register(suffix):
    """Teach Pillow the format of a suffix, if its package is installed."""
    if suffix in PLUGINS and _has_plugin(suffix):
        _, name, function = PLUGINS[suffix]
        module = importlib.import_module(name)
        if function:
            getattr(module, function)()


def _opened(path):
    """An open file. A pipe is copied, as decoders need to seek."""
    return path.open("rb") if path.is_file() else io.BytesIO(path.read_bytes())


def _decoded(file):
    with open_image(file) as image:
        frames = getattr(image, "n_frames", 1)
        note = f"first of {frames} frames" if frames > 1 else ""
        return Picture(_upright(image, file), note)


def _upright(image, file):
    """The pixels of an image that was opened from a file, uint8 [H, W, 3]."""
    pictures.load(image, file)  # raises on damaged pixels
    upright = image
    # Pillow raises on invalid EXIF data of PNG and WebP.
    with contextlib.suppress(Exception):
        upright = ImageOps.exif_transpose(image)
    return np.array(pictures.simple(upright).convert("RGB"))


def _read_huge(path, file, error):
    """A JPEG at 1/8 of its size; `error` is Pillow's."""
    file.seek(0)
    is_jpeg = file.read(3) == JPEG
    file.seek(0)
    if not is_jpeg:
        limit = round(2 * Image.MAX_IMAGE_PIXELS / 1e6)
        raise UserError(
            f"{path} has more than {limit} megapixels; make a smaller copy"
        ) from error
    # This class has no limit. libjpeg decodes to the reduced size, without the
    # full image in memory.
    with JpegImageFile(file) as image:
        image.draft(image.mode, [side // REDUCED for side in image.size])
        pixels = _upright(image, file)
    return Picture(pixels, f"read at 1/{REDUCED} of its size")

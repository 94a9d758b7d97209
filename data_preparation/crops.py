"""From a photo and a box to the file of a crop."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
from joblib import Parallel, delayed
from PIL import Image
from rich.progress import track

from utils.errors import UserError

JPEG_QUALITY = 95
# Boxes wider or higher than so many images are taken for mistakes.
LARGEST_BOX = 8
DEGENERATE = "degenerate box"
OUTSIDE = "box outside the photo"


def grow(box, margin):
    """Grow a box around its middle, to whole pixels.

    Args:
        box: (left, top, right, bottom) in pixels, right and bottom exclusive;
            int or float.
        margin: added on each side, as a share of the box's longer side.

    Returns:
        The same as int, at least 1 pixel wide and high.
    """
    left, top, right, bottom = box
    more = 2 * margin * max(right - left, bottom - top)
    width = max(1, round(right - left + more))
    height = max(1, round(bottom - top + more))
    left = round((left + right - width) / 2)
    top = round((top + bottom - height) / 2)
    return left, top, left + width, top + height


def crop(image, box, is_padded=False):
    """Cut a box out of an image that it overlaps.

    Args:
        image: uint8 [H, W] or [H, W, C].
        box: (left, top, right, bottom) in pixels, right and bottom exclusive;
            int, may reach beyond the image.
        is_padded: outside the image, its edge pixels repeat; without, the box
            is clipped to the image.

    Returns:
        uint8 [h, w] or [h, w, C]; padded, h = bottom - top, w = right - left.
    """
    left, top, right, bottom = box
    height, width = image.shape[:2]
    inside = image[max(top, 0) : bottom, max(left, 0) : right]
    if not is_padded:
        return inside
    return cv2.copyMakeBorder(
        inside,
        max(-top, 0),
        max(bottom - height, 0),
        max(-left, 0),
        max(right - width, 0),
        cv2.BORDER_REPLICATE,
    )


def cut(faces, folder, margin=0.0, size=None, is_gray=False, is_padded=False):
    """Write the crop of every face, on all cores.

    Args:
        faces: DataFrame with the columns `source`, an image file or uint8
            pixels [H, W]; `box`, see `grow`, or None for the whole image; and
            `crop`, the file to write, relative to `folder`.
        margin: around the box, see `grow`.
        size: crops with a longer side are reduced to this many pixels.
        is_gray: one channel instead of three.
        is_padded: see `crop`.

    Returns:
        (digests, reasons), each a list of N str: a hash of the crop's pixels,
        and why there is no crop; one of the two is empty.
    """
    options = margin, size, is_gray, is_padded
    results = Parallel(n_jobs=-1, prefer="threads", return_as="generator")(
        delayed(_cut)(face.source, face.box, folder / face.crop, *options)
        for face in faces.itertuples()
    )
    title = f"cropping {len(faces)} faces"
    results = list(track(results, title, total=len(faces)))
    return [digest for digest, _ in results], [why for _, why in results]


def _cut(source, box, target, margin, size, is_gray, is_padded):
    image = source
    if isinstance(source, Path):
        if not source.is_file():
            return "", "image missing"
        image = _decode(source, "L" if is_gray else "RGB")
        if image is None:
            return "", "image unreadable"
    if box is not None:
        reason = _flaw(box, image)
        if reason:
            return "", reason
        image = crop(image, grow(box, margin), is_padded)
    longest = max(image.shape[:2])
    if size is not None and longest > size:
        scale = size / longest
        image = cv2.resize(
            image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
        )
    _save(target, image)
    digest = hashlib.sha256(str(image.shape).encode())
    digest.update(np.ascontiguousarray(image))
    return digest.hexdigest(), ""


def _flaw(box, image):
    """Why a box cannot be cut: it is empty or its middle is off the image.

    A box many times as large as the image is a mistake too, and padding to it
    would fill the memory.
    """
    left, top, right, bottom = box
    height, width = image.shape[:2]
    if not (right - left >= 1 and bottom - top >= 1):
        return DEGENERATE
    is_on = (
        right - left <= LARGEST_BOX * width
        and bottom - top <= LARGEST_BOX * height
        and 0 <= left + right < 2 * width
        and 0 <= top + bottom < 2 * height
    )
    return "" if is_on else OUTSIDE


def _decode(path, mode):
    """Pixels of an image file as stored, or None where it is broken.

    Pillow, because it refuses a truncated file, which OpenCV fills with gray,
    and does not turn the image, to which boxes and landmarks refer.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert(mode))
    except (OSError, ValueError, SyntaxError, EOFError):
        return None


def _save(target, image):
    # The staging folder as a whole appears or not, so that no single file
    # needs to be written atomically.
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        Image.fromarray(image).save(target, quality=JPEG_QUALITY)
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror}; free some disk space"
        ) from error

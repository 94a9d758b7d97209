"""Cut crops out of photos and write them to files."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from joblib import Parallel, delayed
from PIL import Image
from rich.progress import track

from data_preparation.duplicates import digest, perceptual_hash
from samtl.common import pictures
from samtl.common.errors import UserError
from samtl.common.pictures import open_image
from samtl.common.text import counted
from samtl.distributed import cluster
from samtl.faces import inputs

JPEG_QUALITY = 95
# Boxes more than this many times as wide or high as the image are mistakes.
LARGEST_BOX = 8
MISSING = "image missing"
UNREADABLE = "image unreadable"
DEGENERATE = "degenerate box"
OUTSIDE = "box outside the photo"
# Faces in a batch; up to FEW batches, one process is enough.
BATCH, FEW = 32, 8


class Crop(NamedTuple):
    """Result for one face: a crop's file, or the reason for none.

    Attributes:
        digest: hash of the crop's pixels.
        hash: see `duplicates.perceptual_hash`.
        size: of the file, bytes.
        reason: "" where there is a crop.
    """

    digest: str
    hash: int
    size: int
    reason: str


@dataclass(frozen=True)
class Recipe:
    """Parameters of the cropping.

    Attributes:
        margin: around the box, see `grow`.
        size: largest side of a crop in pixels; larger crops are reduced.
        is_gray: one channel instead of three.
        is_padded: see `crop`.
        is_upright: turned upright by EXIF, on white, and in 8 bits, see
            `samtl.faces.inputs.read`; for images without boxes.
        detector: finds the box, see `samtl.faces.detect`. Of several faces,
            it takes the one with the largest overlap with the dataset's box,
            or without a box the one with the best score.
    """

    margin: float = 0.0
    size: int | None = None
    is_gray: bool = False
    is_padded: bool = False
    is_upright: bool = False
    detector: Callable | None = None


def grow(box, margin):
    """Grow a box around its centre, to whole pixels.

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


def middle(image, share):
    """The box around an image's centre.

    Args:
        image: uint8 [H, W] or [H, W, C].
        share: of the image's width and height, 0..1.

    Returns:
        (left, top, right, bottom) in pixels, float.
    """
    height, width = image.shape[:2]
    x, y = width * (1 - share) / 2, height * (1 - share) / 2
    return x, y, width - x, height - y


def crop(image, box, is_padded=False):
    """Cut a box out of an image that it overlaps.

    Args:
        image: uint8 [H, W] or [H, W, C].
        box: (left, top, right, bottom) in pixels, right and bottom exclusive;
            int, may reach beyond the image.
        is_padded: repeat the edge pixels outside the image; otherwise, clip
            the box to the image.

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


def cut(faces, folder, recipe, jobs=0, scheduler=None):
    """Write the crop of every face, on all cores, with a progress bar.

    Args:
        faces: DataFrame with the columns `source`, `box` and `crop` of
            `common`.
        folder: for the crops.
        recipe: Recipe.
        jobs: processes or threads; 0 is one a core.
        scheduler: address of a Dask cluster that crops instead, see
            `cluster.connect`.

    Yields:
        dicts {crop: Crop}; together, they contain every face.

    Raises:
        UserError: a crop cannot be written, or the cluster cannot be used.
    """
    if faces.empty:  # a stopped preparation had all
        return
    rows = list(zip(faces["source"], faces["box"], faces["crop"], strict=True))
    batches = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
    if scheduler:
        results = _cut_on_cluster(batches, folder, recipe, scheduler)
    else:
        results = _cut_locally(batches, folder, recipe, jobs)
    title = f"cropping {counted(len(rows), 'image')}"
    yield from track(results, title, total=len(batches))


def _cut_locally(batches, folder, recipe, jobs):
    # Threads would wait for Python's interpreter lock on small crops, so use
    # processes, unless the work is too little for their start. Detection
    # releases the lock: threads, which share the one detector.
    parallel = Parallel(
        n_jobs=(jobs or -1) if len(batches) > FEW else 1,
        prefer="threads" if recipe.detector else "processes",
        return_as="generator",
    )
    return parallel(
        delayed(_cut_batch)(batch, folder, recipe, os.getpid())
        for batch in batches
    )


def _cut_on_cluster(batches, folder, recipe, scheduler):
    with cluster.connect(scheduler) as client:
        tasks = (
            (_absolute(batch), folder.absolute(), recipe) for batch in batches
        )
        ended = cluster.results(
            client, _cut_batch, tasks, lambda threads: 2 * sum(threads.values())
        )
        for _, done, error in ended:
            if error is not None:
                raise UserError(cluster.explain(error)) from error
            yield done


def _absolute(batch):
    """Absolute paths, for workers with another working directory."""
    return [
        (source.absolute() if isinstance(source, Path) else source, *others)
        for source, *others in batch
    ]


def _cut_batch(batch, folder, recipe, master=None):
    # One core a process; OpenCV would start further threads.
    cv2.setNumThreads(1)
    done = {}
    for source, box, name in batch:
        if master and master not in (os.getpid(), os.getppid()):
            # The run was killed; a new run may be writing the same files.
            os._exit(1)
        done[name] = _cut_one(source, box, folder / name, recipe)
    return done


def _cut_one(source, box, target, recipe):
    try:
        image = _open(source, recipe)
        box = _chosen(image, box, recipe.detector)
    except _UnusableError as error:
        return Crop("", 0, 0, str(error))
    if box is not None:
        image = crop(image, grow(box, recipe.margin), recipe.is_padded)
    longest = max(image.shape[:2])
    if recipe.size is not None and longest > recipe.size:
        height, width = image.shape[:2]
        scale = recipe.size / longest
        size = [max(1, round(scale * side)) for side in (width, height)]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    hashed = perceptual_hash(image)
    return Crop(digest(image), hashed, _save(target, image), "")


class _UnusableError(Exception):
    """The reason why a face has no crop."""


def _open(source, recipe):
    if not isinstance(source, Path):
        return source
    if not source.is_file():
        raise _UnusableError(MISSING)
    if recipe.is_upright:
        try:
            return inputs.read(source).pixels
        except UserError as error:
            raise _UnusableError(UNREADABLE) from error
    image = decode(source, "L" if recipe.is_gray else "RGB")
    if image is None:
        raise _UnusableError(UNREADABLE)
    return image


def _chosen(image, box, detector):
    """The dataset's box or, with a detector, the box of the detected face."""
    if isinstance(box, float):
        box = middle(image, box)
    if box is not None:
        _check(box, image)
    if detector is None:
        return box
    boxes = [face.box for face in detector(image)]
    if box is not None:
        # A neighbour's face may touch the box: require that one centre lies in
        # the other box. Either one, because some datasets' boxes are loose.
        boxes = [f for f in boxes if _centred(f, box) or _centred(box, f)]
        boxes = sorted(boxes, key=lambda found: -overlap(found, box))
    if not boxes:
        raise _UnusableError("no face found")
    _check(boxes[0], image)
    return boxes[0]


def _centred(box, within):
    """Whether a box's centre lies in another box."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return within[0] <= x <= within[2] and within[1] <= y <= within[3]


def overlap(one, other):
    """Intersection over union of two boxes, 0..1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0, width) * max(0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def _check(box, image):
    """Refuse a box that is empty or has its centre outside the image.

    A box many times as large as the image is a mistake too, and padding to it
    would fill the memory.
    """
    left, top, right, bottom = box
    height, width = image.shape[:2]
    if not (right - left >= 1 and bottom - top >= 1):
        raise _UnusableError(DEGENERATE)
    is_on = (
        right - left <= LARGEST_BOX * width
        and bottom - top <= LARGEST_BOX * height
        and 0 <= left + right < 2 * width
        and 0 <= top + bottom < 2 * height
    )
    if not is_on:
        raise _UnusableError(OUTSIDE)


def decode(path, mode):
    """Pixels of an image file, not rotated, or None where it is broken.

    Pillow, because it refuses truncated files, which OpenCV fills with gray,
    and ignores EXIF orientation: boxes refer to the stored pixels. Colours
    are in sRGB, see `pictures.simple`.
    """
    try:
        with path.open("rb") as file, open_image(file) as image:
            pictures.load(image, file)
            return np.asarray(pictures.simple(image).convert(mode))
    # Pillow's decoders raise any kind of exception on broken files.
    except Exception:
        return None


def _save(target, image):
    """Write an image whole or not at all; returns its bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # The same name in every run, so that leftovers of a killed run are
    # replaced.
    temporary = target.with_name(f".{target.name}")
    try:
        Image.fromarray(image).save(temporary, quality=JPEG_QUALITY)
        size = temporary.stat().st_size
        temporary.replace(target)
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror}; free some disk space"
        ) from error
    return size

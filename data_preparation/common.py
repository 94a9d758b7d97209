"""What preparing any dataset of photos takes: crops, splits and a summary."""

import contextlib
import hashlib
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.model_selection import StratifiedGroupKFold

from utils import flags, tables
from utils.errors import UserError

# Of exact duplicates, the copy in the first of these splits stays.
PRIORITY = ("test", "validation", "train")
DUPLICATE = "duplicate in another split"
JPEG_QUALITY = 95
# Boxes wider or higher than so many images are taken for mistakes.
LARGEST_BOX = 8


def add_arguments(parser):
    """The flags of every dataset that is prepared from downloaded files."""
    parser.add_argument(
        "--source",
        type=Path,
        required=True,
        metavar="PATH",
        help="folder of the downloaded files, as shown above",
    )
    text = "folder that the prepared dataset goes to"
    flags.add_flag(parser, "data_dir", Path, Path("data"), text)
    text = "replace the dataset if it is already prepared"
    flags.add_flag(parser, "overwrite", flags.boolean, False, text)


@contextlib.contextmanager
def staged(name, args):
    """Yield a new folder for crops that vanishes unless `publish` keeps it.

    An existing prepared dataset is not touched before `publish`.

    Raises:
        UserError: --source is no folder, the dataset is prepared already and
            --overwrite is not given, or --data_dir cannot be written.
    """
    if not args.source.is_dir():
        raise UserError(
            f"--source={args.source} is no folder; give the one that holds "
            f"the files of {name}"
        )
    if name in tables.prepared(args.data_dir) and not args.overwrite:
        raise UserError(
            f"{name} is already prepared in {args.data_dir}; give --overwrite "
            "to replace it"
        )
    folder = args.data_dir / "db" / f".{name}.partial"
    # A killed run leaves its folder behind.
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror}; choose another "
            "--data_dir"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def crop(image, box):
    """Cut a box out of an image; outside it, its edge pixels repeat.

    Args:
        image: uint8 [H, W] or [H, W, C].
        box: (left, top, right, bottom) in pixels, right and bottom exclusive;
            int, may reach beyond the image but must overlap it.

    Returns:
        uint8 [bottom - top, right - left] or with C.
    """
    left, top, right, bottom = box
    height, width = image.shape[:2]
    inside = image[max(top, 0) : bottom, max(left, 0) : right]
    return cv2.copyMakeBorder(
        inside,
        max(-top, 0),
        max(bottom - height, 0),
        max(-left, 0),
        max(right - width, 0),
        cv2.BORDER_REPLICATE,
    )


def square(points, margin):
    """The square around points, with margin, as a box for `crop`.

    Its side is the larger of the points' width and height, so that a face in
    profile, whose landmarks lie close together in x, gets the crop that the
    same face gets from the front.

    Args:
        points: float [P, 2], x and y in pixels.
        margin: added on each side, as a share of that width or height.

    Returns:
        (left, top, right, bottom), int.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    side = max(1, round(float((high - low).max()) * (1 + 2 * margin)))
    left, top = np.rint((low + high - side) / 2).astype(int).tolist()
    return left, top, left + side, top + side


def cut(faces, folder, is_gray=False, size=None):
    """Write the crop of every face, on all cores.

    Args:
        faces: DataFrame with the columns `source`, an image file or uint8
            pixels [H, W]; `box`, see `crop`; and `crop`, the file to write,
            relative to `folder`.
        is_gray: one channel instead of three.
        size: crops with a longer side are reduced to this many pixels.

    Returns:
        (digests, reasons), each a list of N str: a hash of the crop's pixels,
        and why there is no crop; one of the two is empty.
    """
    # Threads suffice: OpenCV, Pillow and hashlib release the lock.
    results = Parallel(n_jobs=-1, prefer="threads", return_as="generator")(
        delayed(_cut)(face.source, face.box, folder / face.crop, is_gray, size)
        for face in faces.itertuples()
    )
    title = f"cropping {len(faces)} faces"
    results = list(track(results, title, total=len(faces)))
    return [digest for digest, _ in results], [why for _, why in results]


def _cut(source, box, target, is_gray, size):
    image = source
    if isinstance(source, Path):
        if not source.is_file():
            return "", "image missing"
        image = _decode(source, "L" if is_gray else "RGB")
        if image is None:
            return "", "image unreadable"
    if not _is_on(box, image):
        return "", "face outside the image"
    image = crop(image, box)
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


def _is_on(box, image):
    """Whether the box has pixels and its centre lies on the image.

    A box many times as large as the image is a mistake too, and padding to it
    would fill the memory.
    """
    left, top, right, bottom = box
    height, width = image.shape[:2]
    return (
        0 < right - left <= LARGEST_BOX * width
        and 0 < bottom - top <= LARGEST_BOX * height
        and 0 <= left + right < 2 * width
        and 0 <= top + bottom < 2 * height
    )


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


def straddling(digests, splits):
    """Which rows repeat an image of a split with higher priority, bool [N].

    Args:
        digests, splits: str [N] each.
    """
    rank = pd.Series(splits).map(PRIORITY.index)
    first = rank.groupby(pd.Series(digests)).transform("min")
    return (rank > first).to_numpy()


def validation_rows(labels, groups, folds, seed):
    """Choose one of `folds` parts, stratified by label, groups kept whole.

    Args:
        labels: int [N].
        groups: [N]; rows with the same value stay together.
        folds: the chosen part is about 1 / folds of the rows.
        seed: of the shuffle.

    Returns:
        int [M], positions of the chosen rows, ascending.

    Raises:
        UserError: there are too few rows for that many parts.
    """
    largest = max(Counter(labels).values(), default=0)
    if largest < folds or len(set(groups)) < folds:
        raise UserError(
            f"{len(labels)} usable training rows are too few to set 1 in "
            f"{folds} aside for validation; is --source complete?"
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return next(splitter.split(labels, labels, groups))[1]


class Dropped(Counter):
    """How many rows are left out: {(split, reason): number}."""

    def keep(self, rows, reasons):
        """Count the rows that have a reason; return the others."""
        reasons = np.asarray(reasons, dtype=object)
        is_out = reasons != ""
        self.update(zip(rows["split"][is_out], reasons[is_out], strict=True))
        return rows[~is_out].reset_index(drop=True)

    def by_split(self):
        """The same as nested dicts: {split: {reason: number}}."""
        return {
            split: {
                reason: number
                for (where, reason), number in sorted(self.items())
                if where == split
            }
            for split in tables.SPLITS
        }


def publish(name, faces, columns, tasks, folder, args, dropped, facts):
    """Move the crops into place, write the table and print the summary.

    Args:
        name: of the dataset.
        faces: DataFrame of the kept rows: `crop`, `digest`, `split`, one
            column per task, and `columns`.
        columns: names of further columns to write.
        tasks: the dataset's Task objects.
        folder: what `staged` yielded.
        args: with data_dir and source.
        dropped: Dropped.
        facts: what else the JSON says.

    Raises:
        UserError: a split has no row left, or a file cannot be written.
    """
    is_copy = straddling(faces["digest"], faces["split"])
    for unused in faces["crop"][is_copy]:
        (folder / unused).unlink()
    faces = dropped.keep(faces, np.where(is_copy, DUPLICATE, ""))
    for split in tables.SPLITS:
        if not (faces["split"] == split).any():
            why = ", ".join(
                f"{number} {reason}"
                for reason, number in dropped.by_split()[split].items()
            )
            raise UserError(
                f"no usable face of {name} for {split} in {args.source} "
                f"(dropped: {why or 'none'}); is it complete?"
            )
    faces = faces.assign(path=f"db/{name}/" + faces["crop"])
    _replace(name, folder, args.data_dir)
    names = [task.name for task in tasks]
    tables.write(
        name,
        faces[["path", "split", *names, *columns]],
        tasks,
        args.data_dir,
        {**facts, "dropped": dropped.by_split()},
    )
    summarise(name, faces, tasks, dropped)
    path = args.data_dir / "db" / f"{name}.csv"
    Console().print(f"wrote {path}", highlight=False, soft_wrap=True)


def _replace(name, folder, data_dir):
    """Put the new crops in place of the old ones."""
    final = data_dir / "db" / name
    try:
        # The old table goes first: it must never stand over other crops.
        for suffix in (".json", ".csv", ".truth.csv"):
            final.with_suffix(suffix).unlink(missing_ok=True)
        if final.exists():
            shutil.rmtree(final)
        folder.replace(final)
    except OSError as error:
        raise UserError(
            f"cannot replace {final}: {error.strerror}; remove it by hand"
        ) from error


def summarise(name, faces, tasks, dropped):
    """Print rows kept per class and dropped per reason, for each split."""
    table = Table(title=name)
    table.add_column("faces")
    for title in (*tables.SPLITS, "total"):
        table.add_column(title, justify="right")

    def add(title, numbers, **options):
        cells = [f"{number:,}" for number in (*numbers, sum(numbers))]
        table.add_row(title, *cells, **options)

    kept = tables.counts(faces, tasks)
    rows = [kept[split]["rows"] for split in tables.SPLITS]
    add("kept", rows, style="bold", end_section=True)
    for task in tasks:
        for label in task.classes:
            numbers = [kept[s][task.name][label] for s in tables.SPLITS]
            is_last = label == task.classes[-1]
            add(f"{task.name}: {label}", numbers, end_section=is_last)
    lost = dropped.by_split()
    for reason in sorted({reason for _, reason in dropped}):
        numbers = [lost[split].get(reason, 0) for split in tables.SPLITS]
        add(f"dropped: {reason}", numbers)
    Console().print(table)

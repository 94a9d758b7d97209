"""Pixels of a dataset: decoding, a decoded cache on disk, warping."""

import contextlib
import hashlib
import io
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from samtl.common import files, locks
from samtl.common.errors import UserError
from samtl.common.pictures import open_image
from samtl.data.checks import SPLITS, Paths
from samtl.data.tables import Table
from samtl.data.tasks import ordered

DECODERS = min(8, os.cpu_count() or 1)
AT_ONCE = 256  # images decoded before they are written to the cache
_END_MARKERS = {b"\x89PNG": b"IEND", b"\xff\xd8\xff": b"\xff\xd9"}


def read(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Decode one image file and resize it.

    Args:
        path: image file in any format that OpenCV reads.
        shape: (height, width, channels); 1 channel is gray, 3 are RGB.

    Returns:
        uint8 [height, width, channels] in 0..255.

    Raises:
        UserError: the file is missing, truncated, not an image or too large.
    """
    height, width, channels = shape
    image = decode(path, channels)
    if image.shape[:2] != (height, width):
        shrinks = image.shape[0] > height
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        image = cv2.resize(image, (width, height), interpolation=interpolation)
    return image.reshape(shape)


def decode(path: Path, channels: int) -> np.ndarray:
    """Decode one image file, turned upright by its EXIF.

    Args:
        path: image file in any format that OpenCV reads.
        channels: 1 for gray, 3 for RGB.

    Returns:
        uint8 [H, W] or [H, W, 3] in 0..255.

    Raises:
        UserError: the file is missing, truncated, not an image or too large.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; prepare the dataset again"
        ) from error
    for start, end in _END_MARKERS.items():
        # OpenCV fills what a truncated file lacks with gray, silently.
        is_cut = data.startswith(start) and end not in data[-4096:]
        # Some cameras write more than that behind the end.
        if is_cut and not _is_whole(data):
            raise UserError(
                f"{path} is truncated; prepare the dataset again or remove "
                "its row from the CSV"
            )
    flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
    image = None
    # OpenCV raises for more pixels than its limit, see samtl/__init__.py.
    with contextlib.suppress(cv2.error):
        if data:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if image is None:
        raise UserError(
            f"{path} is not an image that OpenCV can decode, or larger than "
            "179 megapixels; prepare the dataset again or remove its row from "
            "the CSV"
        )
    return image


def _is_whole(data):
    """Whether Pillow, slower than OpenCV but strict, decodes an image."""
    try:
        with open_image(io.BytesIO(data)) as image:
            image.load()
    # Pillow's decoders fail on broken files in every way there is.
    except Exception:
        return False
    return True


class Decoder:
    """Decodes on demand: `decoder[indices]` is uint8 [B, H, W, C]."""

    def __init__(self, paths: Sequence[Path], shape: tuple[int, int, int]):
        self.paths = paths
        self.shape = shape
        self._pool = ThreadPoolExecutor(DECODERS)

    def __getitem__(self, indices):
        paths = [self.paths[index] for index in indices]
        decoded = self._pool.map(lambda path: read(path, self.shape), paths)
        found = np.empty((len(paths), *self.shape), np.uint8)
        for place, image in enumerate(decoded):
            found[place] = image
        return found


@dataclass(frozen=True)
class Split:
    """One split of a dataset together with its pixels.

    Attributes:
        table: the N rows of the split.
        pixels: the whole dataset's images; `pixels[indices]` is uint8
            [B, H, W, C].
        indices: int64 [N], where the rows stand in `pixels`.
    """

    table: Table
    pixels: np.ndarray | Decoder
    indices: np.ndarray

    def __len__(self):
        return len(self.indices)

    def take(self, positions: np.ndarray) -> "Split":
        """The rows at these positions, int [M], numbered from 0."""
        table = self.table.take(positions)
        return Split(table, self.pixels, self.indices[positions])

    def images(self, rows: np.ndarray) -> np.ndarray:
        """Images of the given rows, uint8 [B, H, W, C]."""
        return np.asarray(self.pixels[self.indices[rows]])

    def batches(
        self,
        batch_size: int,
        rows: np.ndarray | None = None,
        shard: slice = slice(None),
    ) -> Iterator[np.ndarray]:
        """Yield the images of `rows` (default: all) in order, in batches.

        Of each batch only the places `shard` are read.
        """
        rows = np.arange(len(self)) if rows is None else rows
        for start in range(0, len(rows), batch_size):
            yield self.images(rows[start : start + batch_size][shard])


def open_splits(
    table: Table,
    shape: tuple[int, int, int],
    cache_gb: float = 4.0,
    limit: int = 0,
    seed: int = 0,
) -> dict[str, Split]:
    """Open a dataset's pixels and cut it into its three splits.

    Args:
        table: the whole dataset.
        shape: (height, width, channels) of the network's input.
        cache_gb: the decoded images are kept in a memory-mapped file when
            they take at most this many GB, else decoded on demand.
        limit: use at most this many rows for training, and as many for
            validation (0: all), the same ones for the same seed, whichever
            labels count. The test rows are always all.
        seed: draws the rows that `limit` keeps.

    Returns:
        dict with a Split for each of "train", "validation" and "test".
    """
    pixels = _open(table, shape, cache_gb)
    names = table.rows["split"].to_numpy()
    splits = {}
    for name in SPLITS:
        indices = np.flatnonzero(names == name)
        rows = table.split(name)
        if name != "test" and 0 < limit < len(indices):
            kept = _stratified(rows, limit, seed)
            indices = indices[kept]
            rows = rows.take(kept)
        splits[name] = Split(rows, pixels, indices)
    return splits


def _stratified(table, limit, seed):
    """Positions of `limit` rows, every class in its proportion or once.

    The classes are those of the first task that the dataset is labelled for,
    counting or not: all experiments on it keep the same rows. Rows without a
    label are a class of their own.
    """
    labels = np.zeros(len(table))
    for task in ordered([*table.tasks, *table.hidden])[:1]:
        labels = table.labels(task)
    order = np.random.default_rng(seed).permutation(len(table))
    # Ranking each row within its class spreads the classes evenly.
    rank = np.empty(len(table))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank[members] = np.arange(len(members)) / len(members)
    return np.sort(np.lexsort((order, rank))[:limit])


def _open(table, shape, cache_gb):
    """The dataset's pixels: memory-mapped where they fit, else a Decoder."""
    paths = table.paths
    shapes = (len(paths), *shape)
    count = math.prod(shapes)
    if count > cache_gb * 1e9:
        return Decoder(paths, shape)
    folder = table.data_dir / "cache"
    size = "x".join(map(str, shape))
    path = folder / f"{table.name}-{size}-{fingerprint(paths)}.pixels"
    if not _has_size(path, count):
        stem = f"{table.name}-{size}-"
        with locks.held(folder / f".{stem}lock", None):
            # Unless another process has decoded them meanwhile.
            if not _has_size(path, count):
                for stale in folder.glob(f"{stem}*"):
                    stale.unlink(missing_ok=True)
                files.sweep(folder, stem)
                with files.write(path) as temporary:
                    title = f"decoding {table.name}"
                    _decode_all(temporary, paths, shape, title)
    return np.memmap(path, np.uint8, "r", shape=shapes)


def _has_size(path, count):
    return path.exists() and path.stat().st_size == count


def _decode_all(target, paths, shape, description):
    decoder = Decoder(paths, shape)
    # Not to mapped memory: on a full disk, that would end in a crash.
    with target.open("wb") as file:
        for start in track(range(0, len(paths), AT_ONCE), description):
            stop = min(start + AT_ONCE, len(paths))
            file.write(decoder[range(start, stop)])


def fingerprint(paths: Paths) -> str:
    """Changes when any file is replaced: names, sizes and times.

    The folder does not count, as it may have several names, or move.
    """
    digest = hashlib.sha256()
    for name, path in zip(paths.names, paths.words(), strict=True):
        status = os.stat(path)
        digest.update(
            f"{name}|{status.st_size}|{status.st_mtime_ns}\n".encode()
        )
    return digest.hexdigest()[:12]

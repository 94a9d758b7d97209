"""Zip archives of arrays, from Keras and NumPy or from anybody."""

import math
import zipfile
from pathlib import Path

import numpy as np

from samtl.common.errors import UserError

HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def check(path: Path) -> None:
    """Refuse an archive that would grow when it is unpacked.

    Keras and NumPy store arrays in archives as they are. A packed member may
    also be larger than it claims.

    Raises:
        UserError: a member is packed, or its content is larger than the file.
        zipfile.BadZipFile: it is not a zip archive.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    size = sum(entry.file_size for entry in entries)
    is_packed = any(
        entry.compress_type != zipfile.ZIP_STORED
        or entry.file_size != entry.compress_size
        for entry in entries
    )
    if is_packed or size > path.stat().st_size:
        raise UserError(
            f"{path} would unpack to {size:,} bytes or more, from fewer; Keras "
            "and NumPy write no such file: get it again"
        )


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by their names, no larger than the file.

    Raises:
        UserError: as `check`.
        OSError, ValueError, LookupError, ... : it is damaged.
    """
    check(path)
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as file:
                read_header = HEADERS[np.lib.format.read_magic(file)]
                shape, _, dtype = read_header(file)
            # NumPy makes room for all of them before it reads the first.
            if math.prod(shape) * dtype.itemsize > entry.file_size:
                raise ValueError(f"{entry.filename} claims more than it has")
    with np.load(path, allow_pickle=False) as saved:
        return dict(saved)

"""Where the images of a user's own set are, and where their crops go."""

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path

from data_preparation.crops import MISSING
from samtl.common.text import CONTROL
from samtl.faces import inputs

NO_PATH = "no path"
ABSOLUTE = "absolute path"
OUTSIDE = "outside the source folder"
HIDDEN = "hidden file"
LONG = "file name too long"
ODD = "control character in the path"
FORMAT = "format that Pillow cannot read, convert it to JPEG"
LONGEST_NAME = 200  # bytes
# What crops are written as; images of other formats become PNG.
WRITTEN = (".png", ".jpg", ".jpeg")


def finder(source: Path) -> Callable[[str], tuple[str, str]]:
    """The function that finds an image in a source folder.

    Args:
        source: Path.

    Returns:
        function from str, a path as a user writes it, to (path relative to
        the folder, reason): reason is "" where there is a file that may be
        read. A path that leaves the folder, also by a link, may not.
    """
    root = os.path.join(os.path.realpath(source), "")

    def is_inside(path):
        return os.path.join(os.path.realpath(path), "").startswith(root)

    is_folder_inside = functools.cache(is_inside)

    def find(text):
        path = os.path.normpath(text)
        if not os.path.isfile(os.path.join(source, path)):
            # As Windows writes it.
            path = os.path.normpath(text.replace("\\", "/"))
        name, full = os.path.basename(path), os.path.join(source, path)
        if not text:
            reason = NO_PATH
        elif os.path.isabs(path) or re.match(r"[A-Za-z]:[\\/]", text):
            reason = ABSOLUTE
        elif path.split(os.sep)[0] == "..":
            reason = OUTSIDE
        elif not os.path.isfile(full):
            reason = MISSING
        elif not is_folder_inside(os.path.dirname(full)) or (
            os.path.islink(full) and not is_inside(full)
        ):
            reason = OUTSIDE
        elif name.startswith("."):
            reason = HIDDEN
        elif CONTROL.search(path):
            reason = ODD
        elif len(os.fsencode(name)) > LONGEST_NAME:
            reason = LONG
        elif inputs.is_unreadable(Path(name)):
            reason = FORMAT
        else:
            reason = ""
        return path, reason

    return find


def crop_names(paths: list[str]) -> list[str]:
    """Files of the crops: the paths, with .png where they are not PNG or JPEG.

    Args:
        paths: list of str.

    Returns:
        list of str, different ones for different paths.
    """
    taken, names = set(paths), {}
    for path in paths:
        name = path
        while not name.lower().endswith(WRITTEN) or (
            name != path and name in taken
        ):
            name += ".png"
        names[path] = name
    return [names[path] for path in paths]

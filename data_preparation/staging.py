"""Where a set comes from, and its crops on their way into place.

While a set is prepared, `db/.<name>.partial` holds the crops that are done and
a journal of them, so that a run goes on where one that was killed stopped.
"""

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path

from data_preparation.crops import Crop
from utils import tables
from utils.errors import UserError

# Flags that do not change what is written.
INERT = ("source", "data_dir", "overwrite", "jobs", "detector_model")


def origin(faces, args, detector):
    """What decides a prepared set, JSON-able.

    Args:
        faces: DataFrame, see `common`.
        args: of the dataset.
        detector: name of the face detector, None without.

    Returns:
        dict: flags, and hashes of the rows read from the label files
        ("labels") and of the sizes and times of the image files ("images").
    """
    used = {k: v for k, v in sorted(vars(args).items()) if k not in INERT}
    labels, images = hashlib.sha256(), hashlib.sha256()
    for column in faces.columns.drop("source"):
        text = "\n".join([column, *map(str, faces[column])])
        # File names may hold bytes that are no text.
        labels.update(text.encode(errors="surrogateescape"))
    root = str(args.source)
    stamps = {}
    for source in faces["source"][faces["reason"] == ""]:
        if not isinstance(source, Path):
            images.update(source)
            continue
        path = str(source)
        if path not in stamps:
            text = f"{path.removeprefix(root)} {_stamp(path)}\n"
            stamps[path] = text.encode(errors="surrogateescape")
        images.update(stamps[path])
    return {
        "flags": {**used, "detector": detector},
        "labels": labels.hexdigest(),
        "images": images.hexdigest(),
    }


def _stamp(path):
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # a name with a null character
        return "missing"
    return f"{status.st_size} {status.st_mtime_ns}"


def is_up_to_date(name, args, now):
    """Whether a set stands prepared from the same origin.

    Args:
        name: of the dataset.
        args: with data_dir and overwrite.
        now: what `origin` returns.

    Raises:
        UserError: it is prepared from another origin, or crops are missing,
            and --overwrite is not given; says what is different.
    """
    if args.overwrite or name not in tables.prepared(args.data_dir):
        return False
    path = args.data_dir / "db" / f"{name}.json"
    description = {}
    # A JSON that cannot be read tells as little as one without an origin.
    with contextlib.suppress(OSError, ValueError):
        description = json.loads(path.read_text(encoding="utf-8"))
    before = description.get("origin")
    crops = args.data_dir / "db" / name
    there = sum(len(files) for _, _, files in os.walk(crops))
    kept = sum(part["rows"] for part in description.get("counts", {}).values())
    different = _differences(before, now)
    if before and there != kept:
        different.append(f"{there} of {kept} crops are there")
    if not different:
        return True
    raise UserError(
        f"{name} is already prepared in {args.data_dir}, but "
        f"{', '.join(different)}; give --overwrite to replace it"
    )


def _differences(before, now):
    if not before:
        return ["its JSON does not say from what"]
    different = []
    for flag in sorted({*before["flags"], *now["flags"]}):
        old, new = before["flags"].get(flag), now["flags"].get(flag)
        if old != new:
            different.append(f"--{flag} was {old} and is {new}")
    for what in ("labels", "images"):
        if before[what] != now[what]:
            different.append(f"the {what} in --source have changed")
    return different


class Staging:
    """The folder of a set in the making.

    Attributes:
        crops: folder for the crops.
        done: {crop: Crop} of the faces that need no more work.
    """

    def __init__(self, name, args, now):
        """Open the folder that a killed run left, or a new one.

        Args:
            name: of the dataset.
            args: with data_dir.
            now: what `origin` returns; crops from another origin are removed.

        Raises:
            UserError: --data_dir cannot be written.
        """
        self._folder = args.data_dir / "db" / f".{name}.partial"
        self._journal = self._folder / "journal"
        self.crops = self._folder / "crops"
        try:
            self.done = self._read(now)
            if not self.done:
                self.remove()
                self.crops.mkdir(parents=True)
            # Written anew, because a killed run may leave half a line.
            lines = [json.dumps(now), *map(_line, self.done.items())]
            self._journal.write_text("".join(f"{line}\n" for line in lines))
        except OSError as error:
            raise UserError(
                f"cannot write {self._folder}: {error.strerror}; choose "
                "another --data_dir"
            ) from error

    def _read(self, now):
        try:
            lines = self._journal.read_text().splitlines(keepends=True)
            whole = [json.loads(line) for line in lines if line.endswith("\n")]
        except (FileNotFoundError, ValueError):
            return {}
        if whole[:1] != [now]:
            return {}
        done = {name: Crop(*crop) for name, *crop in whole[1:]}
        return {k: crop for k, crop in done.items() if self._has(k, crop)}

    def _has(self, name, crop):
        try:
            return bool(crop.reason) or (
                os.stat(self.crops / name).st_size == crop.size
            )
        except FileNotFoundError:
            return False

    def note(self, done):
        """Write down faces that are done, {crop: Crop}.

        Raises:
            UserError: the disk is full.
        """
        self.done |= done
        try:
            with self._journal.open("a") as file:
                file.writelines(f"{_line(item)}\n" for item in done.items())
        except OSError as error:
            raise UserError(
                f"cannot write {self._journal}: {error.strerror}; free some "
                "disk space"
            ) from error

    def remove(self):
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _line(item):
    name, crop = item
    return json.dumps([name, *crop])

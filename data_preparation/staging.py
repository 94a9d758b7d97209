"""Where a set comes from, and its crops on their way into place.

While a set is prepared, `db/.<name>.partial` holds the crops that are done and
a journal of them, so that a run goes on where one that was killed stopped. As
soon as they take the place of the old set, it holds a mark, by which a later
run knows that pictures without a table are no user's.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import zlib
from pathlib import Path

from data_preparation.crops import Crop
from samtl.common import files
from samtl.common.errors import UserError
from samtl.data import tables

# What stands beside the folder of a set, in the order of removal.
TABLES = (".json", ".csv", ".truth.csv", ".dropped.csv")
MARK = "publishing"
# Flags that do not change what is written.
INERT = (
    "source",
    "data_dir",
    "overwrite",
    "jobs",
    "scheduler",
    "detector_model",
)


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
    stamps = {}
    for source in faces["source"][faces["reason"] == ""]:
        if not isinstance(source, Path):
            images.update(source)
            continue
        path = str(source)
        if path not in stamps:
            place = os.path.relpath(path, args.source)
            text = f"{os.sep}{place} {_stamp(path)}\n"
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
        UserError: it is prepared from another origin, or crops or its JSON are
            missing, and --overwrite is not given; says what is different.
    """
    if args.overwrite:
        return False
    if name not in tables.prepared(args.data_dir):
        require_json(name, args.data_dir)
        return False
    path = args.data_dir / "db" / f"{name}.json"
    crops = args.data_dir / "db" / name
    # Not .DS_Store and the like.
    there = sum(
        not name.startswith(".")
        for _, _, names in os.walk(crops)
        for name in names
    )
    try:
        description = files.read_json(path)
        kept = sum(part["rows"] for part in description["counts"].values())
        different = _differences(description["origin"], now)
        if there != kept:
            different.append(f"{there} of {kept} crops are there")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        different = ["its JSON does not say from what"]
    if not different:
        return True
    raise UserError(
        f"{name} is already prepared in {args.data_dir}, but "
        f"{', '.join(different)}; give --overwrite to replace it"
    )


def _differences(before, now):
    different = []
    for flag in sorted({*before["flags"], *now["flags"]}):
        old, new = before["flags"].get(flag), now["flags"].get(flag)
        if old != new:
            different.append(f"--{flag} was {old} and is {new}")
    # Flags may decide splits and which rows are used, and so change the rest.
    return different or [
        f"the {what} in --source have changed"
        for what in now
        if what != "flags" and before[what] != now[what]
    ]


def partial(name, data_dir):
    """The folder of a set in the making."""
    return Path(data_dir, "db", f".{name}.partial")


@contextlib.contextmanager
def lock(name, data_dir, is_patient=False):
    """Keep other preparations of a set away.

    Args:
        name: of the dataset.
        data_dir: the folder that gets it.
        is_patient: wait until no other one is running.

    Raises:
        UserError: another one is running, or --data_dir cannot be written.
    """
    path = Path(data_dir, "db", f".{name}.lock")
    mode = fcntl.LOCK_EX if is_patient else fcntl.LOCK_EX | fcntl.LOCK_NB
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise UserError(
            f"cannot write {path.parent}: {error.strerror}; choose another "
            "--data_dir"
        ) from error
    with file:
        try:
            fcntl.flock(file, mode)
        except BlockingIOError as error:
            raise UserError(
                f"another preparation of {name} is running in {data_dir}; wait "
                "until it ends, or choose another --data_dir"
            ) from error
        except OSError:
            pass  # Some network file systems have no locks.
        yield
        # Only now: those who wait after a failure must wait at one file.
        path.unlink(missing_ok=True)


def require_json(name, data_dir):
    """Refuse to replace a table that no preparation has finished.

    Raises:
        UserError: there is a table without a JSON, and it is not what a killed
            run leaves.
    """
    table = Path(data_dir, "db", f"{name}.csv")
    known = table.with_suffix(".json"), partial(name, data_dir) / MARK
    if table.exists() and not any(path.exists() for path in known):
        raise UserError(
            f"{table} is there, but not the JSON that a prepared set has; move "
            f"it and {table.with_suffix('')} elsewhere, or prepare {name} with "
            "--overwrite to replace both"
        )


def require_own(name, data_dir, source=None):
    """Refuse to replace pictures that no preparation has put there.

    Args:
        name: of the dataset.
        data_dir: the folder whose `db/<name>` is to be replaced.
        source: folder of the downloaded files.

    Raises:
        UserError: `db/<name>` is a link, holds `source`, or holds files of
            which neither a table nor a killed run knows.
    """
    final = data_dir / "db" / name
    move = "move it elsewhere, or choose another --data_dir"
    if final.is_symlink():
        raise UserError(f"{final} is a link, which is not followed; {move}")
    if source and source.resolve().is_relative_to(final.resolve()):
        raise UserError(
            f"--source={source} is in {final}, which is to be replaced; {move}"
        )
    marks = [final.with_suffix(end) for end in TABLES]
    marks.append(partial(name, data_dir) / MARK)
    is_ours = any(mark.exists() for mark in marks)
    if not is_ours and final.exists() and any(final.iterdir()):
        raise UserError(
            f"{final} holds files, but there is no table of them, and no "
            f"preparation of {name} that was stopped; {move}"
        )


def replace(final, folder):
    """Put a folder of pictures in place of a set's old one.

    Args:
        final: `db/<name>`.
        folder: in the one that `partial` names.

    Raises:
        UserError: the old one cannot be removed.
    """
    try:
        (folder.parent / MARK).touch()
        # The old table goes first: it must never stand over other pictures.
        for suffix in TABLES:
            final.with_suffix(suffix).unlink(missing_ok=True)
        if final.exists():
            shutil.rmtree(final)
        folder.replace(final)
    except OSError as error:
        raise UserError(
            f"cannot replace {final}: {error.strerror}; remove it by hand"
        ) from error


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
        self._folder = partial(name, args.data_dir)
        self._journal = self._folder / "journal"
        self.crops = self._folder / "crops"
        try:
            self.done = self._read(now)
            if not self.done:
                shutil.rmtree(self.crops, ignore_errors=True)
                self.crops.mkdir(parents=True)
            # Written anew, because a killed run may leave half a line.
            lines = [_line(now), *map(_entry, self.done.items())]
            self._journal.write_text("".join(lines))
        except OSError as error:
            raise UserError(
                f"cannot write {self._folder}: {error.strerror}; choose "
                "another --data_dir"
            ) from error

    def _read(self, now):
        try:
            lines = self._journal.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return {}
        whole = [json.loads(line[9:]) for line in lines if _is_whole(line)]
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
                file.writelines(map(_entry, done.items()))
        except OSError as error:
            raise UserError(
                f"cannot write {self._journal}: {error.strerror}; free some "
                "disk space"
            ) from error

    def remove(self):
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _entry(item):
    name, crop = item
    return _line([name, *crop])


def _line(value):
    """A line of the journal: eight digits of checksum, JSON."""
    text = json.dumps(value)
    return f"{zlib.crc32(text.encode()):08x} {text}\n"


def _is_whole(line):
    return line[:9] == f"{zlib.crc32(line[9:].encode()):08x} "

"""Origin of a prepared set, and the folder for its unfinished crops.

During preparation, `db/.<name>.partial` holds the finished crops and a journal
of them, so that the next run resumes a killed one. Before the crops replace the
old set, a mark is written into that folder. By the mark, a later run recognises
pictures without a table as its own and not as a user's.
"""

import hashlib
import json
import os
import shutil
import zlib
from pathlib import Path

from data_preparation.crops import Crop
from samtl.common import files, locks
from samtl.common.errors import UserError
from samtl.data import tables

# Suffixes of the files beside a set's folder, in the order of removal.
TABLES = (".json", ".csv", ".truth.csv", ".dropped.csv")
MARK = "publishing"
# Flags that do not change what is written.
INERT = (
    "name",
    "csv",
    "no_crop",
    "source",
    "data_dir",
    "overwrite",
    "jobs",
    "scheduler",
    "detector_model",
)


def origin(faces, args, detector):
    """Everything that determines a prepared set, as JSON values.

    Args:
        faces: DataFrame, see `common`.
        args: of the dataset.
        detector: name of the face detector, or None.

    Returns:
        dict: flags, and hashes of the rows read from the label files
        ("labels") and of the sizes and times of the image files ("images").
    """
    used = {k: v for k, v in sorted(vars(args).items()) if k not in INERT}
    labels, images = hashlib.sha256(), hashlib.sha256()
    for column in faces.columns.drop("source"):
        text = "\n".join([column, *map(str, faces[column])])
        # File names may hold bytes that are not valid UTF-8.
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
    """Whether a set is prepared from the same origin.

    Args:
        name: of the dataset.
        args: with data_dir and overwrite.
        now: result of `origin`.

    Raises:
        UserError: it is prepared from another origin, or crops or its JSON are
            missing, and --overwrite is not given; the message lists the
            differences.
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
        different = ["its JSON does not name its origin"]
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
    # Flags decide about splits and rows: report their consequences only if
    # no flag has changed.
    return different or [
        f"the {what} in --source have changed"
        for what in now
        if what != "flags" and before[what] != now[what]
    ]


def partial(name, data_dir):
    """The folder of an unfinished set."""
    return Path(data_dir, "db", f".{name}.partial")


def lock(name, data_dir, is_patient=False):
    """A context that excludes other preparations of the same set.

    Args:
        name: of the dataset.
        data_dir: folder of the prepared sets.
        is_patient: wait for the end of another one.

    Raises:
        UserError: another one is running, or --data_dir cannot be written.
    """
    busy = f"another preparation of {name} is running in {data_dir}"
    return locks.held(
        Path(data_dir, "db", f".{name}.lock"),
        None if is_patient else busy,
        "wait until it ends, or choose another --data_dir",
    )


def require_json(name, data_dir):
    """Refuse to replace a table that is not from a finished preparation.

    Raises:
        UserError: there is a table without a JSON, and it is not from a killed
            run.
    """
    table = Path(data_dir, "db", f"{name}.csv")
    known = table.with_suffix(".json"), partial(name, data_dir) / MARK
    if table.exists() and not any(path.exists() for path in known):
        raise UserError(
            f"{table} exists, but not the JSON that a prepared set has; move "
            f"it and {table.with_suffix('')} elsewhere, or prepare {name} with "
            "--overwrite to replace both"
        )


def require_own(name, data_dir, source=None):
    """Refuse to replace pictures that are not from a preparation.

    Args:
        name: of the dataset.
        data_dir: Path; its `db/<name>` will be replaced.
        source: folder of the downloaded files.

    Raises:
        UserError: `db/<name>` is a link, contains `source`, or contains files
            that belong neither to a table nor to a killed run.
    """
    final = data_dir / "db" / name
    move = "move it elsewhere, or choose another --data_dir"
    if final.is_symlink():
        raise UserError(f"{final} is a symbolic link; {move}")
    if source and source.resolve().is_relative_to(final.resolve()):
        raise UserError(
            f"--source={source} is in {final}, which would be replaced; {move}"
        )
    marks = [final.with_suffix(end) for end in TABLES]
    marks.append(partial(name, data_dir) / MARK)
    is_ours = any(mark.exists() for mark in marks)
    if not is_ours and final.exists() and any(final.iterdir()):
        raise UserError(
            f"{final} holds files, but there is no table of them, and no "
            f"stopped preparation of {name}; {move}"
        )


def replace(final, folder):
    """Replace a set's folder of pictures by a new one.

    Args:
        final: `db/<name>`.
        folder: new pictures, a subfolder of `partial`.

    Raises:
        UserError: the old one cannot be removed.
    """
    files.sweep(final.parent, f"{final.name}.")
    try:
        (folder.parent / MARK).touch()
        # Remove the old table first: it must never describe other pictures.
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
    """Finished crops of an unfinished set, and a journal of them.

    Attributes:
        crops: folder for the crops.
        done: {crop: Crop} of the finished faces.
    """

    def __init__(self, name, args, now):
        """Open the folder of a killed run, or a new one.

        Args:
            name: of the dataset.
            args: with data_dir.
            now: result of `origin`; crops from another origin are removed.

        Raises:
            UserError: --data_dir cannot be written.
        """
        self._folder = partial(name, args.data_dir)
        self._journal = self._folder / "journal"
        self.crops = self._folder / "crops"
        try:
            self.done = self._read_journal(now)
            if not self.done:
                shutil.rmtree(self.crops, ignore_errors=True)
                self.crops.mkdir(parents=True)
            # Rewritten, because a killed run may leave half a line.
            lines = [_line(now), *map(_entry, self.done.items())]
            self._journal.write_text("".join(lines))
        except OSError as error:
            raise UserError(
                f"cannot write {self._folder}: {error.strerror}; choose "
                "another --data_dir"
            ) from error

    def _read_journal(self, now):
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
        """Record finished faces, {crop: Crop}, in the journal.

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

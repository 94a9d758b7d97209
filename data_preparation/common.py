"""What preparing any dataset of photos takes, from its rows to its table.

A dataset's module parses the owners' label files into a DataFrame, one row a
face, and hands it to `build`. Its columns:

    source   Path of the image file, or uint8 pixels [H, W]
    name     the row's name in messages and in <name>.dropped.csv
    crop     file to write, relative to the dataset's folder
    box      (left, top, right, bottom) in pixels, right and bottom exclusive,
             before the margin; None: the whole image
    split    "train", "validation" or "test"; "" where the owners give none
    group    rows with the same value must stay in one split
    <task>   class index, one column a task; anything where there is a reason
    reason   "", or why the row cannot be used

and whatever other columns the table shall have.
"""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from data_preparation import crops, splits
from utils import flags, tables
from utils.errors import UserError
from utils.tasks import Task

# Of exact duplicates, the copy in the first of these splits stays.
PRIORITY = ("test", "validation", "train")
DUPLICATE = "duplicate in another split"
REPEATED = "listed twice"
# Dropped before it had a split.
UNSPLIT = "no split"
# Flags that do not change what is written.
INERT = ("source", "data_dir", "overwrite", "jobs")


@dataclass(frozen=True)
class Dataset:
    """What a dataset is.

    Attributes:
        name: of its files and in commands.
        title: labels and size, one line.
        url: where to get it; "" where there is nothing to get.
        tasks: its Tasks; splits are stratified by the first.
        citation: the paper to cite.
        terms: of use, one line.
    """

    name: str
    title: str
    url: str
    tasks: tuple[Task, ...]
    citation: str
    terms: str


def add_arguments(parser, margin=None):
    """The flags of every dataset that is prepared from downloaded files.

    Args:
        parser: of the dataset.
        margin: default of --margin, around the box of `faces`. None leaves
            out the flags of photos: sets of small faces with fixed splits.
    """
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
    text = "processes to crop with; 0 is one a core"
    flags.add_flag(parser, "jobs", flags.Number(int, 0, 1024), 0, text)
    if margin is None:
        parser.set_defaults(margin=0.0, size=None, seed=0)
        return
    text = (
        "space around the box on each side, as a share of the box's longer side"
    )
    flags.add_flag(parser, "margin", flags.Number(float, 0, 2), margin, text)
    text = "largest width and height of a crop, in pixels"
    flags.add_flag(parser, "size", flags.Number(int, 16, 4096), 128, text)
    text = "seed of the splits that are drawn"
    seeds = flags.Number(int, 0, 2**32 - 1)
    flags.add_flag(parser, "seed", seeds, 0, text)


def build(
    dataset, faces, args, layout, columns=(), is_gray=False, is_padded=False
):
    """Write the crops, `db/<name>.csv` and its JSON, and print a summary.

    Args:
        dataset: Dataset.
        faces: DataFrame as described above.
        args: of `add_arguments`.
        layout: the files that were read, in words, for the JSON.
        columns: further columns of the table.
        is_gray: crops have one channel instead of three.
        is_padded: a box that leaves the photo is filled up by repeating the
            photo's edge pixels, so that every crop shows the whole box;
            without, it is clipped to the photo.

    Raises:
        UserError: --source is no folder, a split has no usable face, the
            dataset is prepared already and --overwrite is not given, or a
            file cannot be written.
    """
    with _staged(dataset.name, args) as folder:
        dropped = Dropped()
        faces = dropped.keep(faces, faces["reason"])
        is_repeated = faces["crop"].duplicated()
        faces = dropped.keep(faces, np.where(is_repeated, REPEATED, ""))
        faces["digest"], reasons = crops.cut(
            faces, folder, args.margin, args.size, is_gray, is_padded
        )
        faces = dropped.keep(faces, reasons)
        faces["split"] = splits.fill(
            faces["split"],
            faces[dataset.tasks[0].name],
            faces["group"],
            args.seed,
        )
        is_copy = straddling(faces["digest"], faces["split"])
        for unused in faces["crop"][is_copy]:
            (folder / unused).unlink()
        faces = dropped.keep(faces, np.where(is_copy, DUPLICATE, ""))
        _publish(dataset, faces, columns, folder, args, dropped, layout)


@contextlib.contextmanager
def _staged(name, args):
    """Yield a new folder for crops, gone at the end unless it was moved.

    Raises:
        UserError: --source is no folder, the dataset is prepared already and
            --overwrite is not given, or --data_dir cannot be written.
    """
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


def straddling(digests, splits):
    """Which rows repeat an image of a split with higher priority, bool [N].

    Args:
        digests, splits: str [N] each.
    """
    rank = pd.Series(splits).map(PRIORITY.index)
    first = rank.groupby(pd.Series(digests)).transform("min")
    return (rank > first).to_numpy()


class Dropped:
    """The rows that are left out.

    Attributes:
        rows: DataFrame with `name`, `split` ("" before it had one), `reason`.
    """

    def __init__(self):
        self.rows = pd.DataFrame(columns=["name", "split", "reason"])

    def keep(self, faces, reasons):
        """Note the faces that have a reason; return the others."""
        faces = faces.assign(reason=np.asarray(reasons, dtype=object))
        is_out = faces["reason"] != ""
        lost = faces.loc[is_out, list(self.rows)]
        self.rows = pd.concat([self.rows, lost], ignore_index=True)
        return faces[~is_out].reset_index(drop=True)

    def by_split(self):
        """Counts as nested dicts: {split: {reason: number}}."""
        result = {split: {} for split in tables.SPLITS}
        where = self.rows["split"].replace("", UNSPLIT)
        counts = self.rows.groupby([where, "reason"]).size()
        for (split, reason), number in counts.items():
            result.setdefault(split, {})[reason] = int(number)
        return result


def _publish(dataset, faces, columns, folder, args, dropped, layout):
    """Move the crops into place, write the table and print the summary."""
    name = dataset.name
    lost = dropped.by_split()
    for split in tables.SPLITS:
        if not (faces["split"] == split).any():
            why = ", ".join(f"{lost[split][r]} {r}" for r in lost[split])
            raise UserError(
                f"no usable face of {name} for {split} in {args.source} "
                f"(dropped: {why or 'none'}); is it complete?"
            )
    faces = faces.assign(path=f"db/{name}/" + faces["crop"])
    _replace(name, folder, args.data_dir)
    names = [task.name for task in dataset.tasks]
    facts = {
        "source": layout,
        "flags": {k: v for k, v in vars(args).items() if k not in INERT},
        "split_seed": args.seed,
        "citation": dataset.citation,
        "terms": dataset.terms,
        "dropped": lost,
    }
    rows = faces[["path", "split", *names, *columns]]
    tables.write(name, rows, dataset.tasks, args.data_dir, facts)
    summarise(name, faces, dataset.tasks, lost)
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
    """Print rows kept per class and dropped per reason, for each split.

    Args:
        name: of the dataset.
        faces: DataFrame of the kept rows.
        tasks: the dataset's Task objects.
        dropped: {split: {reason: number}}.
    """
    columns = [*tables.SPLITS, *(s for s in dropped if s not in tables.SPLITS)]
    table = Table(title=name)
    table.add_column("faces")
    for title in (*columns, "total"):
        table.add_column(title, justify="right")

    def add(title, numbers, **options):
        numbers = [numbers.get(column, 0) for column in columns]
        cells = [f"{number:,}" for number in (*numbers, sum(numbers))]
        table.add_row(title, *cells, **options)

    kept = tables.counts(faces, tasks)
    rows = {split: kept[split]["rows"] for split in kept}
    add("kept", rows, style="bold", end_section=True)
    for task in tasks:
        for label in task.classes:
            numbers = {split: kept[split][task.name][label] for split in kept}
            is_last = label == task.classes[-1]
            add(f"{task.name}: {label}", numbers, end_section=is_last)
    for reason in sorted({r for lost in dropped.values() for r in lost}):
        numbers = {s: lost.get(reason, 0) for s, lost in dropped.items()}
        add(f"dropped: {reason}", numbers)
    Console().print(table)

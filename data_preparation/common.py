"""Preparation that all datasets of photos share: from rows to a table.

A dataset's module parses the published label files into a DataFrame, one row
a face, and passes it to `build`. Its columns:

    source   Path of the image file, or uint8 pixels [H, W]
    name     the row's name in messages and in <name>.dropped.csv
    crop     file to write, relative to the dataset's folder
    box      (left, top, right, bottom) in pixels, right and bottom exclusive,
             before the margin; None: the whole image; a float: the centre of
             the image, with this share of its width and height
    split    "train", "validation" or "test"; "" where there is no official one
    group    rows with the same value must stay in one split
    <task>   class index, one column a task, -1 where the label is missing; any
             value where there is a reason
    reason   "", or the reason why the row is dropped

and any other columns of the table.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_preparation import crops, duplicates, splits, staging
from data_preparation.dropped import Dropped
from samtl.common import files, flags
from samtl.common.errors import REPEAT, UserError, on_interrupt
from samtl.common.text import counted, printable
from samtl.data import tables
from samtl.data.tasks import Task
from samtl.distributed import cluster
from samtl.faces import detect

DUPLICATE = "duplicate in another split"
REPEATED = "listed twice"
CONTRADICTED = "listed twice, with another label"
ODD_NAME = "file name is not UTF-8"


@dataclass(frozen=True)
class Dataset:
    """Description of a dataset.

    Attributes:
        name: of its files and in commands.
        title: labels and size, one line.
        url: of the download; "" where nothing has to be downloaded.
        tasks: its Tasks; splits that are not official are stratified by the
            first, which every face is then labelled for.
        citation: the paper to cite.
        terms: terms of use, one line.
        is_gray: crops have one channel instead of three.
        is_padded: a box beyond the photo is padded with the photo's edge
            pixels, so that every crop shows the whole box; otherwise, the
            box is clipped to the photo.
        partial: further Tasks, whose labels may be missing. They decide about
            neither rows nor splits. A task without a training face of every
            class is left out.
        prepared_with: the words behind `python -m data_preparation` of a set
            of the user's own; empty for a published set. A set of one's own
            may have any size, and labels of all its tasks may be missing. Its
            images are turned upright, as they have no boxes.
    """

    name: str
    title: str
    url: str
    tasks: tuple[Task, ...]
    citation: str
    terms: str
    is_gray: bool = False
    is_padded: bool = False
    partial: tuple[Task, ...] = ()
    prepared_with: tuple[str, ...] = ()

    @property
    def is_own(self):
        """Whether it is a set of the user's own."""
        return bool(self.prepared_with)


def add_arguments(parser, margin=None):
    """The flags of every dataset that is prepared from downloaded files.

    Args:
        parser: argparse parser of the dataset.
        margin: default of --margin, around the box of `faces`. None: no
            flags for photos, for sets of small faces with official splits.
    """
    parser.add_argument(
        "--source",
        type=Path,
        required=True,
        metavar="PATH",
        help="folder of the downloaded files, as shown above",
    )
    text = "folder of the prepared dataset"
    flags.add_flag(parser, "data_dir", Path, Path("data"), text)
    text = "replace the dataset if it is already prepared"
    flags.add_flag(parser, "overwrite", flags.boolean, False, text)
    text = "processes to crop with; 0 is one a core"
    flags.add_flag(parser, "jobs", flags.Number(int, 0, 1024), 0, text)
    cluster.add_flag(parser, "the cropping")
    if margin is None:
        parser.set_defaults(margin=0.0, size=None, detector=False, seed=0)
        return
    text = (
        "space around the box on each side, as a share of the box's longer side"
    )
    flags.add_flag(parser, "margin", flags.Number(float, 0, 2), margin, text)
    text = "largest width and height of a crop, in pixels"
    flags.add_flag(parser, "size", flags.Number(int, 16, 4096), 128, text)
    text = (
        "crop the detected face, at the box if the set has one, instead of "
        "the set's own box or image"
    )
    flags.add_flag(parser, "detector", flags.boolean, False, text)
    detect.add_flag(parser)
    text = "random seed of the splits"
    seeds = flags.Number(int, 0, 2**32 - 1)
    flags.add_flag(parser, "seed", seeds, 0, text)


@dataclass(frozen=True)
class Prepared:
    """A cropped and split dataset, ready to be published.

    Attributes:
        faces: DataFrame of the kept rows, with `path`.
        dropped: Dropped, the other rows.
        columns: names of further columns of the table.
        facts: dict, entries of the JSON, see `tables.write`.
    """

    faces: pd.DataFrame
    dropped: Dropped
    columns: tuple[str, ...]
    facts: dict


def build(dataset, faces, args, layout, columns=()):
    """Write the crops, `db/<name>.csv` and its JSON, and print a summary.

    Resumes a killed run, and does nothing if the set is up to date.

    Args:
        dataset: Dataset.
        faces: DataFrame as described above.
        args: of `add_arguments`.
        layout: str, the files that were read, for the JSON.
        columns: names of further columns of the table.

    Raises:
        UserError: a split has no usable face, the dataset is prepared from
            other files or flags and --overwrite is not given, its folder
            holds other files, another preparation of it is running, or a file
            cannot be written.
    """
    detector = detect.open(args.detector_model) if args.detector else None
    origin = staging.origin(faces, args, detector and detector.name)
    if staging.is_up_to_date(dataset.name, args, origin):
        say(f"{dataset.name} is up to date in {args.data_dir}")
        return
    recipe = crops.Recipe(
        args.margin,
        args.size,
        dataset.is_gray,
        dataset.is_padded,
        dataset.is_own,
        detector,
    )
    with staging.lock(dataset.name, args.data_dir):
        # Another process may have prepared it meanwhile.
        if staging.is_up_to_date(dataset.name, args, origin):
            return
        staging.require_own(dataset.name, args.data_dir, args.source)
        work = staging.Staging(dataset.name, args, origin)
        on_interrupt(REPEAT)
        faces, dropped = _crop(dataset, faces, args, recipe, work)
        complete = _with_all_classes(dataset.partial, faces)
        dataset = replace(dataset, partial=complete)
        facts = {
            "source": layout,
            "split_seed": args.seed,
            "citation": dataset.citation,
            "terms": dataset.terms,
            "dropped": dropped.by_split(),
            "near_duplicates": duplicates.report(faces),
            "origin": origin,
        }
        if dataset.is_own:
            facts["prepared_with"] = list(dataset.prepared_with)
        prepared = Prepared(faces, dropped, tuple(columns), facts)
        _publish(dataset, prepared, work, args.data_dir)
        work.remove()
        on_interrupt()


def _crop(dataset, faces, args, recipe, work):
    """Crop and split the faces; returns (kept faces, Dropped)."""
    official = set(faces["split"])
    dropped = Dropped()
    faces = dropped.keep(faces, faces["reason"])
    is_text = [_is_text(name) for name in faces["crop"]]
    faces = dropped.keep(faces, np.where(is_text, "", ODD_NAME))
    faces = dropped.keep(faces, _repetition(faces, dataset.tasks))
    faces = dropped.keep(*_cut(faces, work, recipe, args))
    faces["split"] = _drawn(dataset, faces, official, args.seed)
    is_copy = duplicates.straddling(faces["digest"], faces["split"])
    for unused in faces["crop"][is_copy]:
        (work.crops / unused).unlink()
    faces = dropped.keep(faces, np.where(is_copy, DUPLICATE, ""))
    _require_splits(faces, dropped, dataset, args.source)
    faces["path"] = f"db/{dataset.name}/" + faces["crop"]
    return faces, dropped


def _drawn(dataset, faces, official, seed):
    """Splits of all faces, those drawn that are not official."""
    names = [task.name for task in dataset.tasks]
    if dataset.is_own and not names:
        return "train"
    if dataset.is_own:
        labels = faces[names].to_numpy()
        # So that no copy is lost.
        groups = duplicates.joined(faces["group"], faces["digest"])
        draw = splits.draw_balanced
    else:
        labels, groups = faces[names[0]], faces["group"]
        draw = splits.draw_missing
    return draw(faces["split"], official, labels, groups, seed)


def _with_all_classes(tasks, faces):
    """Those of the tasks that have a training face of every class, a tuple."""
    train, found = faces[faces["split"] == "train"], []
    for task in tasks:
        empty = sorted({*range(len(task))} - {*train[task.name]})
        if empty:
            names = ", ".join(task.classes[index] for index in empty)
            say(f"{task.name} is left out: no training face of class {names}")
        else:
            found.append(task)
    return tuple(found)


def _is_text(name):
    # File names may hold any bytes; tables hold text.
    return name == name.encode(errors="ignore").decode()


def _repetition(faces, tasks):
    """Reason for a face that an earlier row lists already, else ""."""
    labels = faces[[task.name for task in tasks]]
    differs = labels != labels.groupby(faces["crop"]).transform("first")
    why = np.where(differs.any(axis=1), CONTRADICTED, REPEATED)
    return np.where(faces["crop"].duplicated(), why, "")


def _cut(faces, work, recipe, args):
    """Crop the faces that have no crop yet; returns (faces, reasons)."""
    left = faces[~faces["crop"].isin(work.done.keys())]
    if len(left) < len(faces):
        say(f"resuming after {counted(len(faces) - len(left), 'image')}")
    cut = crops.cut(left, work.crops, recipe, args.jobs, args.scheduler)
    for done in cut:
        work.note(done)
    made = [work.done[name] for name in faces["crop"]]
    faces = faces.assign(
        digest=[crop.digest for crop in made],
        hash=np.array([crop.hash for crop in made], dtype=np.uint64),
    )
    return faces, [crop.reason for crop in made]


def _require_splits(faces, dropped, dataset, source):
    """Refuse a set without a split, and one's own without a class to train."""
    # An unlabelled pool is for training only.
    for split in tables.SPLITS if dataset.tasks else ("train",):
        part = faces[faces["split"] == split]
        what, where = "", f"{dataset.name} for {split} in {source}"
        if part.empty:
            what = f"no usable image of {where}"
        elif dataset.is_own and split == "train":
            what = _without_class(part, dataset.tasks, where)
        if what:
            cure = "is it complete?"
            if dataset.is_own and part.empty:
                cure = f"add images, or rows with the split {split}"
            elif dataset.is_own:
                cure = "add images, or leave a class out with --classes"
            why = dropped.reasons(split)
            raise UserError(f"{what} (dropped: {why or 'none'}); {cure}")


def _without_class(faces, tasks, where):
    """What to say about a class without a label or vote, or ""."""
    for task in tasks:
        for index, label in enumerate(task.classes):
            votes = faces.get(f"{task.name}_{label}", pd.Series(dtype=float))
            if not ((faces[task.name] == index).any() or (votes > 0).any()):
                return f"no usable image with {task.name} {label} of {where}"
    return ""


def _publish(dataset, prepared, work, data_dir):
    """Replace the old crops and table with the new ones; print a summary."""
    name, faces, facts = dataset.name, prepared.faces, prepared.facts
    final = data_dir / "db" / name
    staging.replace(final, work.crops)
    with files.write(final.with_suffix(".dropped.csv")) as temporary:
        prepared.dropped.rows.to_csv(
            temporary,
            index=False,
            lineterminator="\n",
            errors="backslashreplace",
        )
    names, further = (
        [task.name for task in tasks]
        for tasks in (dataset.tasks, dataset.partial)
    )
    rows = faces[["path", "split", *names, *prepared.columns, *further]]
    tasks = dataset.tasks + dataset.partial
    tables.write(name, rows, tasks, data_dir, facts)
    summarise(name, faces, tasks, facts["dropped"])
    near = facts["near_duplicates"]
    say(
        f"near-duplicates: {counted(near['within_splits'], 'pair')} within a "
        f"split, {near['across_splits']:,} across splits"
    )
    for pair in near["examples"]:
        say(f"  {pair[0]} ~ {pair[1]}")
    say(f"wrote {final.with_suffix('.csv')}")


def say(text):
    """Print a line without markup, line breaks or control characters."""
    Console().print(Text(printable(text)), soft_wrap=True)


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
    table.add_column("images")
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
            add(f"{task.name}: {label}", numbers)
        missing = {s: rows[s] - sum(kept[s][task.name].values()) for s in kept}
        if any(missing.values()):
            add(f"{task.name}: no label", missing)
        table.add_section()
    for reason in sorted({r for lost in dropped.values() for r in lost}):
        numbers = {s: lost.get(reason, 0) for s, lost in dropped.items()}
        add(f"dropped: {reason}", numbers)
    # Names of classes may contain markup.
    Console(markup=False, emoji=False).print(table)

"""Images of your own: a folder for each class, or a CSV of labels.

Source folder, one of

    no/1.jpg  yes/2.jpg ...          a folder for each class (--task)
    train/no/1.jpg  test/yes/2.jpg   the same with splits
    1.jpg  2.jpg ...                 images without labels
    labels.csv  photos/1.jpg ...     a table (--csv)

The table has a column `path`, relative to the source folder, and a column for
each task. Its cells are class names or numbers, and empty where the label is
unknown. Further columns, all of them optional:

    split             train, validation or test; else the splits are drawn
    subject           the person; a person's images stay in one split
    smile_no smile_yes smile_weight
                      votes for each class of smile, and their weight, 0..1
    yaw pitch roll age_years ...
                      facts, and measurements with decimals

Images may show anything, not only faces. A path that leaves the source folder
is dropped, as are broken images; the summary counts them.
"""

import argparse
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd

from data_preparation import common, labels, places, raw, spreadsheet
from data_preparation.columns import normal
from samtl.common import flags
from samtl.common.errors import UserError
from samtl.common.text import CONTROL, counted
from samtl.data.tasks import NAME, TAKEN
from samtl.faces import inputs

EXAMPLES = """examples:
  python -m data_preparation own digits --source digits --task digit --no_flip
      digits/0/*.png to digits/9/*.png; a mirror image of 3 is not a digit
  python -m data_preparation own digits --source digits --task digit \\
      --classes 1 7 --no_flip
      two of the classes, in this order
  python -m data_preparation own smiles --source photos --csv labels.csv
      every column of photos/labels.csv is a task
  python -m data_preparation own smiles --source photos --csv labels.csv \\
      --tasks smile --classes smile:no,yes --detector
      one column, the order of its classes, and crops of the faces
  python -m data_preparation own album --source album
      images without labels, to train on pseudo labels
"""
SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
COMMANDS = ("own", "check", "annotate")  # of data_preparation
NO_FOLDER = "not in a class folder"
EXCLUDED = "class is not in --classes"
LONGEST_NAME = 80  # letters of a path in the list of dropped rows


def main(argv: list[str], taken: list[str]) -> None:
    """Prepare the set that the command line describes.

    Args:
        argv: words behind `python -m data_preparation own`.
        taken: names of the published sets.

    Raises:
        UserError: a flag, the table or the folder cannot be used, or as
            `common.build`.
    """
    parser = flags.parser(__doc__, EXAMPLES)
    parser.prog = "python -m data_preparation own"
    add_arguments(parser)
    args = parser.parse_args(argv)
    _require_sound(args, taken)
    prepare(args, ("own", *map(_as_text, argv)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    text = "of the prepared set: letters a to z, digits, _ and -"
    parser.add_argument("name", type=str, help=text)
    text = (
        "name of the task of the class folders, or of the only column of "
        "labels in --csv"
    )
    flags.add_flag(parser, "task", task_name, None, text)
    text = "table of labels, a path as given or in --source"
    flags.add_flag(parser, "csv", Path, None, text)
    text = "columns of --csv that are tasks (default: all that can be)"
    flags.add_flag(parser, "tasks", task_name, None, text, many=True)
    text = (
        "classes in the order of their numbers, as in no yes or, for several "
        "tasks, smile:no,yes pose:left,right; others are left out (default: "
        "all, sorted)"
    )
    flags.add_flag(parser, "classes", _word, None, text, many=True)
    parser.add_argument(
        "--no_flip",
        nargs="*",
        type=task_name,
        metavar="NAME",
        help=(
            "tasks whose labels a mirror image breaks, as those of digits and "
            "letters; without a name all tasks (default: none)"
        ),
    )
    text = "label a row without a label by more than half of its votes"
    flags.add_flag(parser, "majority", flags.boolean, False, text)
    text = "take images in subfolders without labels"
    flags.add_flag(parser, "unlabelled", flags.boolean, False, text)
    text = "keep the whole image; so it is without --detector"
    flags.add_flag(parser, "no_crop", flags.boolean, False, text)
    common.add_arguments(parser, margin=0.0)


def task_name(text: str) -> str:
    """A task's name."""
    name = normal(text)
    if not NAME.fullmatch(name) or name in TAKEN:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a task's name: letters a to z, digits and _, "
            f"and not {', '.join(TAKEN)}"
        )
    return name


def _word(text):
    return text


_word.metavar = "CLASS"


def _as_text(word):
    # File names may hold any bytes; the JSON holds text.
    return word.encode(errors="backslashreplace").decode()


def _require_sound(args, taken):
    """Refuse flags that contradict each other."""
    name, problem = args.name, ""
    is_word = re.fullmatch(r"[a-z][a-z0-9_-]{0,99}", name)
    if name in (*taken, *COMMANDS) or not is_word:
        problem = (
            f"{name!r} cannot be the name of a set of your own; give a "
            "lower-case word of letters a to z, digits, _ and - that is not "
            f"one of {', '.join(taken)}"
        )
    elif not args.source.is_dir():
        problem = (
            f"--source={args.source} is not a directory; give the one that "
            "holds the images"
        )
    elif args.detector and args.no_crop:
        problem = "--detector crops and --no_crop does not; give one of them"
    elif args.tasks and not args.csv:
        problem = "--tasks chooses columns of a table; give --csv, or --task"
    elif args.task and args.tasks:
        problem = "--task names the only task; give --task or --tasks"
    elif args.unlabelled and (args.task or args.csv):
        problem = "--unlabelled takes no labels; leave out --task and --csv"
    if problem:
        raise UserError(problem)


def prepare(args: argparse.Namespace, words: tuple[str, ...]) -> None:
    """Write db/NAME.csv, its JSON and its images.

    Args:
        args: of `add_arguments`.
        words: tuple of str behind `python -m data_preparation`.

    Raises:
        UserError: the table or the folder cannot be used, or as
            `common.build`.
    """
    sheet = read_table(args) if args.csv else read_folder(args)
    faces, found = read(sheet, args)
    dataset = common.Dataset(
        name=args.name,
        title="images of your own",
        url="",
        tasks=found.tasks,
        citation="",
        terms="",
        prepared_with=words,
    )
    tasks = {task.name for task in found.tasks}
    columns = [name for name in found.columns if name not in tasks]
    if "subject" in faces:
        columns.append("subject")
    layout = _as_text(args.csv.name) if args.csv else "folders"
    common.build(dataset, faces, args, layout, columns)
    place = ""
    if args.data_dir != Path("data"):
        place = f" --data_dir={shlex.quote(str(args.data_dir))}"
    command = f"python -m data_preparation check {args.name}{place}"
    common.say(f"check it: {command}")
    for task in found.tasks:
        words = f"--dataset={args.name} --task_type={task.name}{place}"
        common.say(f"train {task.name}: python STL_general_train.py {words}")


def read_table(args: argparse.Namespace) -> spreadsheet.Sheet:
    """Read --csv, with the name of its only column of labels in --task.

    Returns:
        spreadsheet.Sheet.

    Raises:
        UserError: it cannot be read, or has no column `path` or --task.
    """
    inside = args.source / args.csv
    sheet = spreadsheet.read(inside if inside.is_file() else args.csv)
    columns = {normal(heading): heading for heading in sheet.columns}
    if "path" not in columns:
        raise UserError(
            f"{sheet.path} has no column path but "
            f"{', '.join(sheet.columns)[:200]}; rename the column of the image "
            f"files, which are relative to {args.source}"
        )
    if not sheet.rows:
        raise UserError(f"{sheet.path} has no row below its headings; add some")
    if args.task and not any(
        name == args.task or name.startswith(f"{args.task}_")
        for name in columns
    ):
        label = _only_label(sheet, args.task)
        renamed = {
            args.task if heading == label else heading: cells
            for heading, cells in sheet.columns.items()
        }
        sheet = spreadsheet.Sheet(sheet.path, renamed, sheet.rows)
    return sheet


def _only_label(sheet, task):
    """The heading of the only column that can be a task."""
    table = labels.Columns(sheet)
    names = [n for n in table.candidates() if not table.is_measurement(n)]
    if len(names) != 1:
        raise UserError(
            f"{sheet.path} has no column {task} but "
            f"{', '.join(names)[:200] or 'path'}; correct --task, or rename "
            "the column of the labels"
        )
    return next(h for h in sheet.columns if normal(h) == names[0])


def read_folder(args: argparse.Namespace) -> spreadsheet.Sheet:
    """Find the images, and with --task the classes of their folders.

    Returns:
        spreadsheet.Sheet with `path` and perhaps `split` and the task.

    Raises:
        UserError: there is no image, or folders and --task do not agree.
    """
    source = args.source
    paths = [
        path.relative_to(source)
        for path in raw.images(source, args.data_dir, inputs.PHOTOS)
    ]
    paths = [p for p in paths if not any(s.startswith(".") for s in p.parts)]
    folders = {path.parts[0] for path in paths if len(path.parts) > 1}
    columns = {"path": [str(path) for path in paths]}
    shown = ", ".join(sorted(folders))[:200]
    if not paths:
        problem = f"holds no image but {raw.found(source)}; give another one"
    elif args.task and not folders:
        problem = f"has no folders of classes for --task={args.task}"
    elif folders and not (args.task or args.unlabelled):
        problem = (
            f"has the folders {shown}; if they are classes, name what they "
            "tell with --task, else give --unlabelled"
        )
    else:
        problem = ""
    if problem:
        raise UserError(f"--source={source} {problem}")
    if args.task:
        # Folders of splits, with those of classes in them.
        depth = int(all(folder.lower() in SPLITS for folder in folders))
        if depth:
            columns["split"] = [path.parts[0] for path in paths]
        columns[args.task] = [
            path.parts[depth].strip() if len(path.parts) > depth + 1 else ""
            for path in paths
        ]
    return spreadsheet.Sheet(source, columns, [])


def read(
    sheet: spreadsheet.Sheet, args: argparse.Namespace
) -> tuple[pd.DataFrame, labels.Labels]:
    """Read the labels of the images that are there.

    Args:
        sheet: spreadsheet.Sheet.
        args: of `add_arguments`.

    Returns:
        (DataFrame as described in `common`, labels.Labels).

    Raises:
        UserError: no image is there, or a column or a cell cannot be used.
    """
    paths = sheet.column("path")
    find = places.finder(args.source)
    rows = pd.DataFrame(map(find, paths), columns=["path", "reason"])
    if args.task and not args.csv:
        is_astray = np.array([not cell for cell in sheet.column(args.task)])
        rows.loc[is_astray & (rows["reason"] == ""), "reason"] = NO_FOLDER
    good = np.flatnonzero(rows["reason"] == "")
    if not len(good):
        raise UserError(
            f"{sheet.path}: none of {counted(len(rows), 'image')} can be used, "
            f"the first is {spreadsheet.shown(paths[0])} "
            f"({rows['reason'][0]}); write paths relative to {args.source}"
        )
    part = sheet.take(good)
    found = labels.read(part, wanted(args))
    texts = {"split": _splits(part), "subject": _subjects(part)}
    texts = {name: column for name, column in texts.items() if column}
    if not found.tasks:
        texts["split"] = ["train"] * len(good)
    known = pd.DataFrame(found.columns | texts, index=good)
    rows = rows.join(known.reindex(rows.index))
    rows[list(texts)] = rows[list(texts)].fillna("")
    for task in found.tasks:
        rows[task.name] = rows[task.name].fillna(-1).astype(np.int64)
    rows.loc[good[found.is_excluded], "reason"] = EXCLUDED
    rows["split"] = rows.get("split", "")
    rows["name"] = [CONTROL.sub("?", path[:LONGEST_NAME]) for path in paths]
    rows["source"] = [args.source / path for path in rows["path"]]
    rows["crop"] = places.crop_names(rows["path"].tolist())
    rows["box"] = None
    rows["group"] = "image " + rows["path"]
    if "subject" in rows:
        is_known = rows["subject"] != ""
        rows.loc[is_known, "group"] = "subject " + rows["subject"]
    return rows.drop(columns="path"), found


def _splits(sheet):
    """Split of each row, "" where the cell is empty; None without a column."""
    cells = sheet.column("split")
    for index, cell in enumerate(cells or ()):
        if cell and cell.lower() not in SPLITS:
            sheet.refuse(
                index,
                f"split is {spreadsheet.shown(cell)}",
                "write train, validation or test, or leave the cell empty",
            )
    return cells and [SPLITS.get(cell.lower(), "") for cell in cells]


def _subjects(sheet):
    cells = sheet.column("subject")
    return cells and [CONTROL.sub(" ", cell) for cell in cells]


def wanted(args: argparse.Namespace) -> labels.Wanted:
    """What the flags ask for.

    Raises:
        UserError: --classes is not a list of different names.
    """
    return labels.Wanted(
        tasks=tuple(args.tasks or ([args.task] if args.task else ())),
        classes=labels.parse_classes(args.classes or ()),
        no_flip=() if args.no_flip is None else tuple(args.no_flip or [""]),
        is_majority=args.majority,
    )

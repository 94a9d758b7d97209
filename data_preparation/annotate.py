"""Merge votes of a model, a tool or a crowd into a prepared set.

The CSV has a column `image` (or `path`) and a column for each class of a task,
`<task>_<class>`, with probabilities: gender_female, gender_male. A row is
found by its image's name as in the set's own lists, with or without folder and
extension. Votes go to images that have no label of the task; they train with
--votes, and are never scored.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from data_preparation import spreadsheet, staging
from samtl.common import files, flags
from samtl.common.errors import UserError
from samtl.common.text import counted
from samtl.data import tables
from samtl.data.checks import SHARE_TOLERANCE, share_columns
from samtl.data.tasks import AGE, GENDER, NAME, POSE, Task

EXAMPLES = """examples:
  python -m data_preparation annotate ferplus --votes ferplus.csv \\
      --tasks gender age --weight 0.5 --made_by "faceres" --licence MIT
      gender and age of FER+ faces by a network, at half the weight of labels
"""
KNOWN = {
    task.name: task
    for task in (Task("gender", GENDER), Task("age", AGE), Task("pose", POSE))
}
# What follows the name: extensions, and the number of a face.
ENDING = re.compile(r"((?:\.chip)?\.(?:jpe?g|png|bmp|webp))+( \d+)?$", re.I)


def main(argv: list[str]) -> None:
    """Read the command line of `annotate`, merge, and say what was merged."""
    parser = flags.parser(__doc__, EXAMPLES)
    parser.prog = "python -m data_preparation annotate"
    parser.add_argument("name", type=flags.dataset, help="the prepared set")
    parser.add_argument(
        "--votes", type=Path, required=True, metavar="FILE", help="the CSV"
    )
    text = "tasks to take from it (default: all that it has classes of)"
    flags.add_flag(parser, "tasks", flags.task, None, text, many=True)
    text = "weight of a vote in training, beside 1 of a label"
    flags.add_flag(parser, "weight", flags.Number(float, 0, 1), 0.5, text)
    text = "who made the votes, for the set's description"
    parser.add_argument("--made_by", default="", metavar="TEXT", help=text)
    text = "their licence, for the set's description"
    parser.add_argument("--licence", default="", metavar="TEXT", help=text)
    text = "replace votes that are there"
    flags.add_flag(parser, "overwrite", flags.boolean, False, text)
    text = "folder of the prepared sets"
    flags.add_flag(parser, "data_dir", Path, Path("data"), text)
    args = parser.parse_args(argv)
    with staging.lock(args.name, args.data_dir):
        for task, count in annotate(args).items():
            images = counted(count, "image")
            message = f"{args.name}: votes of {task} on {images}"
            Console().print(message, soft_wrap=True, highlight=False)


def annotate(args) -> dict[str, int]:
    """Merge the votes; returns how many images got some: {task: count}.

    Raises:
        UserError: the file or the set cannot be read, a task has no columns,
            other classes, or votes already, or no image of the set is named.
    """
    table = tables.read(args.name, args.data_dir)
    sheet = spreadsheet.read(args.votes)
    names = sheet.column("image") or sheet.column("path")
    if names is None:
        raise UserError(
            f"{args.votes} has no column image; name the images in one"
        )
    places = _places(table, names, args.votes)
    tasks = [_task(sheet, name, table) for name in _names(sheet, args, table)]
    rows, counts = table.rows, {}
    for task in tasks:
        shares = _shares(sheet, task)
        merged, count = _merged(rows, task, shares, places, args)
        if count:
            rows = rows.assign(**merged)
        counts[task.name] = count
    path = tables.csv_path(args.name, args.data_dir)
    facts = files.read_json(path.with_suffix(".json"))
    facts = {k: v for k, v in facts.items() if k not in ("tasks", "counts")}
    facts["annotations"] = [
        *facts.get("annotations", []),
        {
            "file": args.votes.name,
            "sha256": files.sha256(args.votes),
            "weight": args.weight,
            "made_by": args.made_by,
            "licence": args.licence,
            "images": counts,
        },
    ]
    every = table.tasks | {t.name: t for t in tasks if counts[t.name]}
    tables.write(args.name, rows, list(every.values()), args.data_dir, facts)
    return counts


def key(name: str) -> str:
    """An image's name without extension and with plain slashes.

    `folder\\a.jpg 0`, as ExpW names its faces, is folder/a_0.
    """
    number = ENDING.search(name)
    stem = ENDING.sub("", name.replace("\\", "/"))
    return stem + (f"_{number[2].strip()}" if number and number[2] else "")


def _places(table, names, votes):
    """Row of the table for each vote, int [V]; -1 where there is none."""
    start = f"db/{table.name}/"
    known = [key(p.removeprefix(start)) for p in table.rows["path"]]
    whole = pd.Series(range(len(known)), index=known)
    last = whole.set_axis([name.rsplit("/", 1)[-1] for name in known])
    last = last[~last.index.duplicated(keep=False)]
    keys = pd.Series([key(name) for name in names])
    found = keys.map(whole[~whole.index.duplicated(keep=False)])
    found = found.fillna(keys.str.rsplit("/", n=1).str[-1].map(last))
    places = found.fillna(-1).astype(int).to_numpy()
    if not (places >= 0).any():
        raise UserError(
            f"{votes} names no image of {table.name}: {names[0]!r} is not like "
            f"{table.rows['path'][0]!r}"
        )
    return places


def _names(sheet, args, table):
    """Names of the tasks to take."""
    if args.tasks:
        return list(dict.fromkeys(args.tasks))
    found = dict.fromkeys(
        name.split("_")[0] for name in sheet.columns if "_" in name
    )
    known = {**KNOWN, **table.tasks}
    return [name for name in found if name in known]


def _task(sheet, name, table):
    """The Task of the votes' columns."""
    columns = [c for c in sheet.columns if c.startswith(f"{name}_")]
    known = table.tasks.get(name) or KNOWN.get(name)
    if known is None and NAME.fullmatch(name):
        known = Task(name, tuple(c.removeprefix(f"{name}_") for c in columns))
    missing = [c for c in share_columns(known) if c not in sheet.columns]
    if missing or len(known) < 2:
        raise UserError(
            f"{sheet.path} has no column {', '.join(missing) or name}; give a "
            f"column for every class of {name}, or choose others with --tasks"
        )
    return known


def _shares(sheet, task):
    """Votes of a task, float [V, C]; rows of NaN where cells are empty."""
    columns = share_columns(task)
    cells = pd.DataFrame({c: sheet.columns[c] for c in columns})
    shares = cells.replace("", np.nan).apply(pd.to_numeric, errors="coerce")
    total = shares.sum(axis=1, skipna=False)
    # Figures of few decimals add up to 1 roughly.
    is_good = (shares >= 0).all(axis=1) & (
        (total - 1).abs() <= max(SHARE_TOLERANCE, 0.01)
    )
    bad = ~(is_good | (cells == "").all(axis=1))
    if bad.any():
        sheet.refuse(
            int(bad.to_numpy().argmax()),
            f"the votes of {task.name} are not a distribution",
            "write numbers of at least 0 that sum to 1, or leave all empty",
        )
    return shares.div(total, axis=0).to_numpy()


def _merged(rows, task, shares, places, args):
    """({column: values} of the table, number of images that got votes)."""
    columns, weight = share_columns(task), f"{task.name}_weight"
    given = np.full((len(rows), len(task)), np.nan)
    used = places >= 0
    given[places[used]] = shares[used]
    labels = rows.get(task.name, pd.Series(tables.UNKNOWN, index=rows.index))
    free = (labels == tables.UNKNOWN).to_numpy() & ~np.isnan(given[:, 0])
    before = rows.reindex(columns=columns).to_numpy(float)
    weights = rows.get(weight, pd.Series(np.nan, index=rows.index))
    is_voted = ~np.isnan(before[:, 0]) & free
    if is_voted.any() and not args.overwrite:
        raise UserError(
            f"votes of {task.name} are there for "
            f"{counted(is_voted.sum(), 'image')} of {args.name}; give "
            "--overwrite to replace them"
        )
    merged = np.where(free[:, None], given, before).round(6)
    merged = dict(zip(columns, merged.T, strict=True))
    weights = weights.mask(free, args.weight)
    return {task.name: labels, **merged, weight: weights}, int(free.sum())

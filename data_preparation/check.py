"""Report on a prepared set: class balance, image sizes, duplicates, identities.

Writes into data/db/NAME.check/:

    report.json               every number that is printed
    unreadable.csv            images that cannot be decoded
    duplicates.csv            pairs of exact duplicates and near-duplicates
    subjects.csv              people who appear in more than one split
    suspects.csv              with --weights: labels that differ from the
                              network's confident predictions
    sheet_<task>_<class>.png  random images of each class
    sheet_unlabelled.png      random images without any label or vote
    sheet_<task>_suspects.png

A finding is a result: the exit code is 0 whenever the set can be read.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import track
from rich.table import Table

from data_preparation import common, crops, duplicates, health
from samtl.common import files, flags
from samtl.common.errors import UserError
from samtl.common.text import counted
from samtl.data import images, tables
from samtl.inference import loading
from samtl.runs import plots

REPORT = "report.json"
WRITTEN = (
    REPORT,
    "unreadable.csv",
    "duplicates.csv",
    "subjects.csv",
    "suspects.csv",
    "sheet_*.png",
)
SHOWN, COLUMNS = 48, 12  # images of a contact sheet, and in one row of it
CAPTION = 14  # letters that fit below an image
LONGEST_WORD = 40  # letters of a class in a file's name
# Images in a batch, for a process and for the network.
BATCH = 256


class ImageFacts(NamedTuple):
    """Facts about an image file; digest is "" where it cannot be decoded.

    Attributes:
        width, height: pixels.
        digest, hash: of `duplicates`.
    """

    width: int
    height: int
    digest: str
    hash: int


def main(argv):
    """Check the set that the command line names."""
    parser = flags.parser(__doc__, None)
    parser.prog = "python -m data_preparation check"
    add_arguments(parser)
    check(parser.parse_args(argv))


def add_arguments(parser):
    """The flags of the check."""
    parser.add_argument("name", type=flags.dataset, help="the prepared set")
    text = "folder of the prepared set"
    flags.add_flag(parser, "data_dir", Path, Path("data"), text)
    text = "folder of the report (default: NAME.check beside the set's table)"
    flags.add_flag(parser, "out", Path, None, text)
    text = "replace the report that is there"
    flags.add_flag(parser, "overwrite", flags.boolean, False, text)
    text = (
        "trained network that finds suspicious labels, .onnx or .keras, such "
        "as a run's best.onnx (default: no such search)"
    )
    flags.add_flag(parser, "weights", Path, None, text)
    text = "smallest probability of a confident prediction"
    share = flags.Number(float, 0, 1)
    flags.add_flag(parser, "confidence", share, 0.9, text)


def check(args):
    """Check one prepared set, print the findings and write the report.

    Args:
        args: of `add_arguments`.

    Raises:
        UserError: the set, or --weights, cannot be read, or the report cannot
            be written.
    """
    table = tables.read(args.name, args.data_dir)
    predictor = loading.load(args.weights) if args.weights else None
    if predictor:
        _require_common_task(table, predictor, args.weights)
    out = args.out or args.data_dir / "db" / f"{args.name}.check"
    _make_room(out, args.overwrite)
    facts = pd.DataFrame(_inspect(table.paths), columns=ImageFacts._fields)
    is_readable = (facts["digest"] != "").to_numpy()
    readable = table.take(np.flatnonzero(is_readable))
    rows = pd.concat([table.rows, facts], axis=1)
    found = {
        "unreadable": rows.loc[~is_readable, ["path", "split"]],
        "duplicates": health.find_copies(rows[is_readable], list(table.tasks)),
        "subjects": health.straddling_subjects(table.rows),
    }
    sizes = facts[is_readable]
    report = {
        "name": table.name,
        "counts": tables.counts(table.rows, table.tasks.values()),
        "labels": health.count_labels(table),
        "imbalance": health.imbalance(table),
        "images": {
            "unreadable": len(found["unreadable"]),
            "width": health.spread(sizes["width"]),
            "height": health.spread(sizes["height"]),
        },
        "copies": health.summarise_copies(found["duplicates"]),
        "subjects": health.summarise_subjects(table.rows, found["subjects"]),
    }
    if predictor:
        report["network"], found["suspects"] = _find_suspects(
            readable, predictor, args
        )
    # First, so that --overwrite accepts an interrupted report.
    files.write_json(out / REPORT, report)
    for name, frame in found.items():
        _write_csv(out / f"{name}.csv", frame)
    draw_classes(readable, out)
    if predictor:
        draw_suspects(table, found["suspects"], predictor.name, out)
    common.summarise(table.name, table.rows, table.tasks.values(), {})
    _print(report, out)


def draw_classes(table, out):
    """Draw a contact sheet of every class, of random rows with a fixed seed.

    Also one of the rows without any label or vote.

    Args:
        table: `tables.Table` without unreadable images.
        out: folder.
    """
    is_unlabelled = np.ones(len(table), bool)
    for task in table.tasks.values():
        labels = table.labels(task.name)
        is_unlabelled &= ~table.has_target(task.name)
        for index, label in enumerate(task.classes):
            word = re.sub(r"\W+", "_", label)[:LONGEST_WORD]
            path = out / f"sheet_{task.name}_{index}_{word}.png"
            title = f"{task.name}: {label}"
            _draw_some(table, labels == index, path, title, index)
    path = out / "sheet_unlabelled.png"
    _draw_some(table, is_unlabelled, path, "no label", 0)


def _draw_some(table, is_member, path, title, seed):
    members, paths = np.flatnonzero(is_member), table.paths
    order = np.random.default_rng(seed).permutation(len(members))
    chosen = np.sort(members[order[:SHOWN]])
    captions = [
        f"{paths[row].stem[-CAPTION:]}\n{table.rows['split'][row]}"
        for row in chosen
    ]
    numbers = f"({len(chosen)} of {len(members):,})"
    title = f"{table.name}, {title} {numbers}"
    _draw(path, [paths[row] for row in chosen], captions, title)


def draw_suspects(table, suspects, network, out):
    """Draw a contact sheet of every task's most confident suspects.

    Args:
        table: `tables.Table`.
        suspects: DataFrame of `health.find_suspects`.
        network: name of the network.
        out: folder.
    """
    for task, disputed in suspects.groupby("task"):
        shown = disputed.head(SHOWN)
        _draw(
            out / f"sheet_{task}_suspects.png",
            [table.data_dir / path for path in shown["path"]],
            [
                f"label {face.label}\n{face.prediction} {face.confidence:.0%}"
                for face in shown.itertuples()
            ],
            f"{table.name}: labels of {task} that differ from {network} "
            f"({len(shown)} of {len(disputed):,})",
        )


def _find_suspects(table, predictor, args):
    """Predict; returns (entry of the report, suspects of all tasks)."""
    probabilities = _predict(predictor, table.paths)
    tasks, frames = {}, []
    for task in table.tasks:
        if task not in predictor.tasks:
            continue
        suspects, compared, share = health.find_suspects(
            table,
            task,
            probabilities[task],
            predictor.tasks[task],
            args.confidence,
        )
        frames.append(suspects)
        tasks[task] = {
            "compared": compared,
            "agreement": share,
            "suspects": len(suspects),
        }
    suspects = pd.concat(frames, ignore_index=True).sort_values(
        "confidence", ascending=False, kind="stable"
    )
    entry = {"weights": str(args.weights), "confidence": args.confidence}
    return {**entry, "tasks": tasks}, suspects


def _predict(predictor, paths):
    """{task: [N, C]} of all images, resized as for training."""
    decoder = images.Decoder(paths, predictor.shape)
    starts = range(0, len(paths), BATCH)
    # The empty part serves a set without a readable image.
    parts = [predictor.probabilities([])] + [
        predictor.probabilities(
            list(decoder[range(i, min(i + BATCH, len(paths)))])
        )
        for i in track(starts, f"predicting {counted(len(paths), 'face')}")
    ]
    return {
        task: np.concatenate([part[task] for part in parts])
        for task in predictor.tasks
    }


def _require_common_task(table, predictor, weights):
    if not set(table.tasks) & set(predictor.tasks):
        raise UserError(
            f"--weights={weights} predicts {', '.join(predictor.tasks)}, "
            f"{table.name} is labelled for "
            f"{', '.join(table.tasks) or 'nothing'}; give a network for its "
            "labels, or no --weights"
        )


def _make_room(out, is_overwriting):
    """Make the folder of the report; with --overwrite, remove an old one."""
    try:
        is_used = out.exists() and any(out.iterdir())
        if is_used and not (is_overwriting and (out / REPORT).exists()):
            raise UserError(
                f"{out} is not empty; give --overwrite if it is a report, or "
                "another folder as --out"
            )
        for pattern in WRITTEN:
            for stale in out.glob(pattern):
                stale.unlink()
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write {out}: {error.strerror}; choose another --out"
        ) from error


def _inspect(paths):
    """ImageFacts of every image, on all cores."""
    batches = [paths[i : i + BATCH] for i in range(0, len(paths), BATCH)]
    # For a few batches, the start of processes takes longer than the work.
    parallel = Parallel(
        n_jobs=-1 if len(batches) > crops.FEW else 1, return_as="generator"
    )
    results = parallel(delayed(_inspect_batch)(batch) for batch in batches)
    title = f"reading {counted(len(paths), 'image')}"
    return [
        facts
        for batch in track(results, title, total=len(batches))
        for facts in batch
    ]


def _inspect_batch(paths):
    decoded = map(_decode, paths)
    return [
        ImageFacts(0, 0, "", 0)
        if image is None
        else ImageFacts(
            image.shape[1],
            image.shape[0],
            duplicates.digest(image),
            duplicates.perceptual_hash(image),
        )
        for image in decoded
    ]


def _decode(path):
    """RGB pixels as in training, or None where it refuses the file."""
    try:
        return images.decode(path, 3)
    except UserError:
        return None


def _draw(path, sources, captions, title):
    if sources:
        pixels = [images.decode(source, 3) for source in sources]
        columns = min(COLUMNS, max(6, len(pixels)))
        plots.contact_sheet(path, pixels, captions, columns, (title,))


def _write_csv(path, rows):
    with files.write(path) as temporary:
        rows.to_csv(
            temporary, index=False, float_format="%.4f", lineterminator="\n"
        )


def _print(report, out):
    """Print the findings as a table."""
    table = Table(title="findings", title_justify="left")
    table.add_column("what")
    table.add_column("found")
    for task, numbers in report["labels"].items():
        if numbers["labelled"] < sum(numbers.values()):
            text = "{labelled:,} labelled, {voted:,} with votes alone"
            table.add_row(f"{task}: images", text.format(**numbers))
    for task, ratios in report["imbalance"].items():
        texts = [
            f"{split} {'-' if ratio is None else f'{ratio:.1f}'}"
            for split, ratio in ratios.items()
        ]
        table.add_row(f"{task}: largest class/smallest", ", ".join(texts))
    sizes = report["images"]
    table.add_row("unreadable images", f"{sizes['unreadable']:,}")
    for side in ("width", "height"):
        if sizes[side]:
            text = "{min} to {max}, median {median:.0f}".format(**sizes[side])
            table.add_row(f"image {side} (pixels)", text)
    for kind, name in (("exact", "exact copies"), ("near", "near copies")):
        text = (
            "{within_splits:,} within a split, {across_splits:,} across; "
            "labels of {labelled_differently:,} differ"
        )
        table.add_row(name, text.format(**report["copies"][kind]))
    people = report["subjects"]
    text = "{in_several_splits:,} of {subjects:,}".format(**people)
    if not people["rows_with_subject"]:
        text = "unknown: the set has no subjects"
    table.add_row("people in several splits", text)
    for task, entry in report.get("network", {"tasks": {}})["tasks"].items():
        share = entry["agreement"]
        text = "nothing to compare" if share is None else f"{share:.1%} agree"
        table.add_row(
            f"{task}: network and labels",
            f"{text}, {entry['suspects']:,} suspicious labels",
        )
    Console().print(table)
    common.say(f"wrote {out}")

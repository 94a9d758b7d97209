"""Make the weights that the demos read from a finished run.

    python -m samtl.release runs/ALTERNATIVE_EPGA/.../...-seed0

checks that best.onnx and best.keras of the run agree, and copies them to
weights/four_tasks.onnx and .keras. One temperature a task is fitted on the
validation images. Three more files are written: four_tasks.json (see
samtl/inference/loading.py), figures.md with the figures on test, and
MODEL_CARD.md. Other tasks than these four name the files and a folder of their
own, as in weights/emotion_pose/emotion_pose.onnx. Several runs may differ in
their seeds only. The one with the best validation accuracy is taken; the card
lists all.
"""

import argparse
import contextlib
import shutil
import tempfile
from pathlib import Path

import numpy as np

from samtl.cli import command_line
from samtl.common import files, flags, quiet, shipped
from samtl.common.errors import UserError, run_script
from samtl.common.text import counted
from samtl.data.tasks import mirrored
from samtl.faces import detect, inputs
from samtl.inference import loading
from samtl.release import ages, card, figures

NAME = "four_tasks"  # of the demos' network
KINDS = ("onnx", "keras")
CROPS, BATCH, TOLERANCE = 1000, 100, 1e-4
FILE_OF = {
    "tables_sha256": "a dataset's table",
    "classes": "a dataset's list of classes",
    "weights_sha256": "the file of --weights",
    "teachers": "a file of --teacher",
}
OWN_TO_A_RUN = (
    "seed",
    "images_fingerprint",
    "runs",
    "run_dir",
    "resume",
    *command_line.CHANGEABLE_ON_RESUME,
)


def parser() -> argparse.ArgumentParser:
    """The command-line interface of `python -m samtl.release`."""
    parser = command_line.parser(__doc__, None)
    parser.prog = "python -m samtl.release"
    text = "folders of finished runs, one a seed"
    parser.add_argument("run", type=Path, nargs="+", help=text)
    text = "folder of the prepared datasets"
    flags.add_flag(parser, "data_dir", Path, Path("data"), text)
    text = (
        "folder to write to (default: weights/ of this repository, or for "
        "other tasks than the demos' four, a folder in it)"
    )
    flags.add_flag(parser, "out", Path, None, text)
    text = "replace the files that are there"
    flags.add_flag(parser, "overwrite", flags.boolean, False, text)
    detect.add_flag(parser)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Release a run: see the module's docstring."""
    given = parser().parse_args(argv)
    # Keras takes seconds to load; --help and a wrong flag should not.
    quiet.load_keras()
    import keras

    from samtl import networks, pseudo_labels
    from samtl.cli.configuration import data_config
    from samtl.data.datasets import open_datasets
    from samtl.runs import run_folder
    from samtl.training.opening import require_tables

    seeds = compare_seeds(given.run)
    given.run = max(seeds, key=lambda seed: seed["validation"])["run"]
    written = _settle(given)
    there = [name for name in written if (given.out / name).exists()]
    if there and not given.overwrite:
        raise UserError(f"{given.out} has {there[0]}; give --overwrite")
    saved = run_folder.read_args(given.run)
    require_tables(given.run, saved, given.data_dir)
    args = command_line.completed(saved)
    args.data_dir = given.data_dir
    opened = open_datasets(
        data_config(args, given.tasks), networks.IMAGE_SHAPES[args.model]
    )
    datasets, tasks = opened.splits, opened.tasks
    agreement = agree(given.run, [parts["test"] for parts in datasets])
    network = keras.saving.load_model(given.run / "best.keras")
    sizes = command_line.batch_sizes(args).values()
    teacher = pseudo_labels.Teacher(network, sum(sizes) or args.batch_size)
    splits = [
        _predicted(teacher, datasets, tasks, split)
        for split in run_folder.SPLITS
    ]
    measured = [
        figures.Task(
            task.name,
            task.classes,
            *(figures.outputs(split, task.name) for split in splits),
        )
        for task in tasks
    ]
    means = ages.training_means([parts["train"].table for parts in datasets])
    # What is there is replaced when all that may fail is done.
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        _make(given, made, measured, agreement, means)
        facts = _facts(given, made, datasets) | {"seeds": seeds}
        facts["age_error"] = ages.error(measured, means, splits[1])
        _write(made / "figures.md", figures.write_up(measured))
        _write(made / "MODEL_CARD.md", card.write_up(measured, facts))
        # All are copied before the first takes its place.
        with contextlib.ExitStack() as stack:
            for name in written:
                writing = files.write(given.out / name)
                shutil.copyfile(made / name, stack.enter_context(writing))
    print(given.out)


def _settle(given):
    """Settle the files' name and their folder; returns what is written."""
    given.tasks = list(_read(given.run, "labels.json", "tasks"))
    given.name = file_name(given.tasks)
    place = "" if given.name == NAME else given.name
    given.out = given.out or shipped.WEIGHTS / place
    names = [f"{given.name}.{kind}" for kind in (*KINDS, "json")]
    return [*names, "figures.md", "MODEL_CARD.md"]


def file_name(tasks: list[str]) -> str:
    """What the files of a network are called, without suffix."""
    is_demos = set(tasks) == set(flags.TASK_NUMBERS.values())
    return NAME if is_demos else "_".join(tasks)


def compare_seeds(folders: list[Path]) -> list[dict]:
    """Accuracy of runs that differ in their seed only.

    Args:
        folders: of the runs.

    Returns:
        list of {"run": folder, "seed", "validation": accuracy averaged over
        the tasks, "test": {task: accuracy}}, as the runs report them, without
        mirror images.

    Raises:
        UserError: a run is not finished, differs in more than its seed, or
            has the seed of another.
    """
    from samtl.runs import run_folder

    found, first = [], None
    for folder in folders:
        if not (folder / "result.json").is_file():
            raise UserError(
                f"{folder} is not the folder of a finished run; wait until the "
                "run ends, or continue it with --resume"
            )
        arguments = run_folder.read_args(folder)
        seed = _read(folder, "args.json", "arguments", "seed")
        same = {k: v for k, v in arguments.items() if k not in OWN_TO_A_RUN}
        first = same if first is None else first
        differ = [
            name
            for name in sorted(first.keys() | same.keys())
            if first.get(name) != same.get(name)
        ]
        if differ:
            what = FILE_OF.get(differ[0], f"--{differ[0]}")
            raise UserError(
                f"{what} of {folder} is not that of {folders[0]}; give runs "
                "that differ in --seed only"
            )
        if seed in [run["seed"] for run in found]:
            raise UserError(
                f"{folder} has the seed of another run, {seed}; give one run "
                "a seed"
            )
        accuracies = _accuracies(folder)
        found.append(
            {
                "run": folder,
                "seed": seed,
                "validation": np.mean(list(accuracies["validation"].values())),
                "test": accuracies["test"],
            }
        )
    return found


def _accuracies(folder):
    """{split: {task: accuracy}} of a finished run, as its result.json says."""
    tasks = _read(folder, "result.json", "tasks")
    try:
        found = {
            split: {
                name: float(entry[split]["accuracy"])
                for name, entry in tasks.items()
            }
            for split in ("validation", "test")
        }
        values = [x for split in found.values() for x in split.values()]
        is_good = values and all(0 <= value <= 1 for value in values)
    except (AttributeError, LookupError, TypeError, ValueError):
        is_good = False
    if not is_good:
        raise UserError(
            f"{folder / 'result.json'} has no accuracies of tasks, from 0 to "
            "1; release another run"
        )
    return found


def agree(run, parts):
    """Compare the probabilities of a run's two files, on up to 1,000 crops.

    Args:
        run: folder with best.onnx and best.keras.
        parts: list of Splits, which give as many crops each.

    Returns:
        {"images": count, "largest_difference": over all tasks and classes}.

    Raises:
        UserError: a file is missing, or they differ by more than 1e-4.
    """
    for kind in KINDS:
        if not (run / f"best.{kind}").is_file():
            raise UserError(
                f"{run} has no best.{kind}; release a run that the TensorFlow "
                "backend has trained with onnx and tf2onnx installed"
            )
    networks = [loading.load(run / f"best.{kind}").run for kind in KINDS]
    share = -(-CROPS // len(parts))
    rows = [
        np.unique(np.linspace(0, len(part) - 1, share, dtype=int))
        for part in parts
    ]
    crops = np.concatenate(
        [part.images(some) for part, some in zip(parts, rows, strict=True)]
    )[:CROPS].astype(np.float32)
    gaps = []
    for start in range(0, len(crops), BATCH):
        batch = crops[start : start + BATCH]
        one, other = (network(batch) for network in networks)
        gaps += [np.abs(one[task] - other[task]).max() for task in one]
    # NumPy's maximum is NaN where one of them is.
    difference = float(np.max(gaps))
    count = counted(len(crops), "crop")
    print(f"ONNX and Keras on {count}: {difference:.1e} apart")
    # Not "greater": that is not so for NaN.
    if not difference <= TOLERANCE:
        raise UserError(
            f"best.onnx and best.keras of {run} are {difference:.1e} apart, "
            f"more than {TOLERANCE}; train with --precision=float32"
        )
    return {"images": len(crops), "largest_difference": difference}


def _predicted(teacher, datasets, tasks, split):
    """List of (Table, {task: logits [N, C]}), one a dataset.

    Logits as of the demos: averaged over an image and its mirror image.
    """
    found = []
    for parts in datasets:
        part, size = parts[split], teacher.batch_size
        plain = teacher.predict(part.batches(size))["logits"]
        flipped = teacher.predict(
            images[:, :, ::-1] for images in part.batches(size)
        )["logits"]
        logits = {
            task.name: (
                (
                    plain[task.name]
                    + flipped[task.name][:, mirrored(task.classes)]
                )
                / 2
                if task.can_flip
                else plain[task.name]
            )
            for task in tasks
        }
        found.append((part.table, logits))
    return found


def _facts(given, made, datasets):
    """Facts for the card about the files in `made`; see `card.write_up`."""
    description = _read(made, f"{given.name}.json")
    tables = [parts["train"].table for parts in datasets]
    descriptions = {
        table.name: _read(given.data_dir / "db", f"{table.name}.json")
        for table in tables
    }
    return {
        "name": given.name,
        "args": _read(given.run, "args.json"),
        "result": {
            name: _read(given.run, "result.json", name)
            for name in ("rounds", "best_round")
        },
        "input": description["input"]["shape"][1:],
        "size": (made / f"{given.name}.onnx").stat().st_size,
        "sha256": description["sha256"],
        "agreement": description["agreement"],
        "datasets": {
            table.name: {
                "labels": list(table.tasks),
                "images": len(parts["train"]),
                **descriptions[table.name],
            }
            for table, parts in zip(tables, datasets, strict=True)
        },
        "sample": _sample(given, made),
    }


def _sample(given, made):
    """The released network's prediction for the demos' sample portrait."""
    detector = detect.open(given.detector_model)
    predictor = loading.load(made / f"{given.name}.onnx")
    pixels = inputs.read(inputs.portrait()).pixels
    faces = detector(pixels)
    if not faces:
        return "no face found"
    found = predictor.probabilities([predictor.crop(pixels, faces[0])])
    first = {task: rows[0] for task, rows in found.items()}
    text = predictor.prediction(faces[0], first, 1).text()
    return f"{text} ({detector.name} found the face)"


def _write(path, text):
    with files.write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _read(folder, name, *keys):
    """What a JSON file has under a key, or all that it has."""
    try:
        found = files.read_json(folder / name)
        for key in keys:
            found = found[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot read {name} of {folder}: {error}; release another run"
        ) from error
    return found


def _make(given, made, measured, agreement, means):
    """The two networks and their description, in the folder `made`."""
    digests = {}
    for kind in KINDS:
        target = made / f"{given.name}.{kind}"
        shutil.copyfile(given.run / f"best.{kind}", target)
        digests[target.name] = files.sha256(target)
    facts = {
        "margin": loading.MARGIN,
        "temperatures": {task.name: task.temperature for task in measured},
        "sha256": digests,
        "agreement": agreement,
    }
    if means:
        facts["age_years"] = means
    labels = _read(given.run, "labels.json")
    files.write_json(made / f"{given.name}.json", labels | facts)


if __name__ == "__main__":
    run_script(main)

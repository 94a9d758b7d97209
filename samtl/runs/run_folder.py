"""The folder that a run leaves, and everything in it."""

import contextlib
import importlib
import importlib.metadata
import itertools
import platform
import resource
import shlex
import struct
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table as RichTable
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from samtl.common import files
from samtl.common.errors import UserError, reason
from samtl.runs import plots

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = (
    "keras",
    "numpy",
    "scipy",
    "scikit-learn",
    "POT",
    "pandas",
    "opencv-python",
)
SPLITS = ("validation", "test")


def create(root, script, datasets, method, seed, run_dir=None):
    """Make the folder of a new run.

    Args:
        root: the folder of all runs.
        script: its name without suffix.
        datasets: names of the datasets, in the order of the script.
        method: short name of the method.
        seed: of the run.
        run_dir: this folder instead of a new one below `root`.

    Returns:
        Path: root/script/<datasets joined by +>/<time>-<method>-seed<seed>,
        with -2, -3 ... where others began in the same second, or `run_dir`;
        it exists and is empty.

    Raises:
        UserError: the folder is in use or cannot be made.
    """
    moment = time.strftime("%Y%m%d-%H%M%S")
    name = f"{moment}-{method}-seed{seed}"
    run = Path(run_dir or Path(root, script, "+".join(datasets), name))
    try:
        if run_dir:
            run.mkdir(parents=True, exist_ok=True)
        else:
            run = _new_folder(run)
        is_empty = next(run.iterdir(), None) is None
    except OSError as error:
        raise UserError(
            f"cannot make the run folder {run}: {error.strerror}; choose "
            "another with --run_dir or --runs"
        ) from error
    if not is_empty:
        raise UserError(
            f"run folder {run} is not empty; choose another --run_dir, or "
            f"continue that run with --resume {shlex.quote(str(run))}"
        )
    return run


def _new_folder(path):
    """Make a folder that nobody else makes: `path`, or with -2, -3 ..."""
    # Alone, as it fails where a link leads nowhere, whatever the number.
    path.parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = path.with_name(f"{path.name}-{number}") if number > 1 else path
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder


def write_args(run, args):
    """Write args.json: what is needed to repeat the run.

    Args:
        run: folder of the run.
        args: the script's arguments, JSON-able but for paths.
    """
    # Imported here so that reading a run does not load a backend.
    from keras.config import backend

    name = backend()
    files.write_json(
        run / "args.json",
        {
            "arguments": {
                key: str(value) if isinstance(value, Path) else value
                for key, value in args.items()
            },
            "command": shlex.join(["python", *sys.argv]),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "commit": _commit(),
            "platform": platform.platform(),
            "backend": name,
            "versions": {
                "python": platform.python_version(),
                name: importlib.import_module(name).__version__,
                **{package: _version(package) for package in PACKAGES},
            },
        },
        is_sealed=True,
    )


def read_args(run):
    """The arguments that `write_args` wrote; paths are strings.

    Raises:
        UserError: the folder holds no run.
    """
    path = Path(run) / "args.json"
    try:
        return dict(files.read_json(path)["arguments"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{run} is not the folder of a run: it has no readable args.json "
            f"({error}); give the folder that the training script printed"
        ) from error


def origin(path):
    """Where a trained network comes from.

    Args:
        path: its file, in the folder of a run or elsewhere.

    Returns:
        {"sha256", "command", "commit"}; the last two are the run's, None
        outside one.
    """
    try:
        run = files.read_json(path.parent / "args.json")
        found = {name: run[name] for name in ("command", "commit")}
    except (OSError, ValueError, KeyError, TypeError):
        found = {"command": None, "commit": None}
    return {"sha256": files.sha256(path), **found}


def write_metrics(run, rows):
    """Write metrics.csv anew and add the new rounds to the TensorBoard log.

    Args:
        run: folder of the run.
        rows: one dict a round, from the first; numbers, and names as text.
    """
    with files.write(run / "metrics.csv") as path:
        pd.DataFrame(rows).to_csv(path, index=False, float_format="%.6g")
    log = run / "events.out.tfevents.metrics"
    try:
        _log(log, rows)
    except OSError as error:
        raise UserError(
            f"cannot write {log}: {error.strerror}; free some disk space and "
            "go on with --resume"
        ) from error


def write_predictions(run, split, predicted):
    """Write predictions_<task>_<split>.csv, one row an image.

    Columns: dataset, path, label, prediction (class names) and the
    probability of each class.

    Args:
        run: folder of the run.
        split: "validation" or "test".
        predicted: {task name: DataFrame} as `training.predictions` gives it.
    """
    for task, frame in predicted.items():
        classes = frame.columns[3:]
        best = frame[classes].to_numpy().argmax(axis=1)
        named = frame.assign(label=classes[frame["label"]])
        named.insert(3, "prediction", classes[best])
        with files.write(run / f"predictions_{task}_{split}.csv") as path:
            named.to_csv(path, index=False, float_format="%.6g")


def peak_memory():
    """The most memory that this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def write_result(run, result):
    """Write result.json and every confusion matrix as CSV and PNG.

    Args:
        run: folder of the run.
        result: JSON-able dict; its "tasks" are {task name: {"classes": names,
            "validation": dict of `evaluation.scores`, "test": another}}.
    """
    tasks = {}
    for name, entry in result["tasks"].items():
        tasks[name] = dict(entry)
        for split in SPLITS:
            scores = dict(entry[split])
            matrix = scores.pop("confusion")
            tasks[name][split] = scores
            _write_confusion(
                run / f"confusion_{name}_{split}",
                matrix,
                entry["classes"],
                f"{name}, {split}: {scores['accuracy']:.1%} right",
            )
    result = {**result, "tasks": tasks}
    files.write_json(run / "result.json", result, is_sealed=True)


def export(network, run, tasks):
    """Write best.onnx, image -> probabilities, and labels.json to read it.

    Where the converter is missing or fails, or the backend has none that is
    known to work, one warning says so and the run goes on: best.keras holds
    the same network.

    Args:
        network: model from `networks.build`.
        run: folder of the run.
        tasks: its Tasks.
    """
    try:
        with files.write(run / "best.onnx") as path:
            _export_onnx(network, path)
    # The converters of the backends fail in every way there is; hours of
    # training must not end without results over it.
    except Exception as error:
        print(
            f"warning: best.onnx was not written ({reason(error)}); the "
            "packages onnx and tf2onnx with the TensorFlow backend write it",
            file=sys.stderr,
        )
    height, width, channels = network.input_shape[1:]
    files.write_json(
        run / "labels.json",
        {
            "tasks": {task.name: list(task.classes) for task in tasks},
            "input": {
                "name": "image",
                "shape": ["batch", height, width, channels],
                "dtype": "float32",
                "range": [0, 255],
                "channels": "gray" if channels == 1 else "RGB",
            },
            "output": "softmax probabilities of each task, under its name",
            "normalisation": "inside the network: feed pixel values as read",
            "sha256": {
                path.name: files.sha256(path)
                for path in (run / "best.keras", run / "best.onnx")
                if path.exists()
            },
        },
        is_sealed=True,
    )


def print_results(result):
    """Print the scores, in percent, as tables.

    Args:
        result: as in `write_result`; "forgetting", where it is there, is from
            `evaluation.forgetting`.
    """
    tasks = result["tasks"]
    headings = {
        "accuracy": "accuracy",
        "macro_f1": "macro F1",
        "balanced_accuracy": "balanced",
        "one_off_accuracy": "1-off",
    }
    headings = {
        score: heading
        for score, heading in headings.items()
        if any(score in entry["test"] for entry in tasks.values())
    }
    table = _table("results (%)", ("task", "split"), (*headings.values(), "n"))
    for task, entry in tasks.items():
        for split in SPLITS:
            scores = entry[split]
            table.add_row(
                task if split == SPLITS[0] else "",
                split,
                *(_percent(scores.get(score)) for score in headings),
                f"{scores['count']:,}",
                end_section=split == SPLITS[-1],
            )
    console = Console()
    console.print(table)
    forgetting = {
        task: entry
        for task, entry in result.get("forgetting", {}).items()
        if entry["own"] and entry["others"]
    }
    if not forgetting:
        return
    table = _table(
        "validation accuracy (%) after rounds on own and other datasets",
        ("task",),
        ("own mean", "own best", "other mean", "other best", "forgotten"),
    )
    for task, entry in forgetting.items():
        values = [
            entry[who][what]
            for who in ("own", "others")
            for what in ("mean", "best")
        ]
        table.add_row(task, *map(_percent, (*values, entry["drop"])))
    console.print(table)


def _commit():
    """{"id", "dirty"} of the code, or None outside a git checkout."""
    if not (REPOSITORY / ".git").exists():
        return None
    try:
        head, status = (
            subprocess.run(
                ["git", "-C", REPOSITORY, *words],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"id": head.strip(), "dirty": bool(status.strip())}


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _log(path, rows):
    """Append to a TensorBoard log the rows that it does not have yet.

    The log is a header and one record a row, so that counting records tells
    what a resumed run has logged. A record that a killed run left incomplete
    is cut off. TensorBoard's EventFileWriter would load TensorFlow, under
    any backend, and starts a new file each time.
    """
    with path.open("a+b") as file:
        file.seek(0)
        logged, end = _count_records(file.read())
        file.truncate(end)
        writer = RecordWriter(file)
        if logged == 0:
            header = event_pb2.Event(file_version="brain.Event:2")
            writer.write(header.SerializeToString())
        for row in rows[max(0, logged - 1) :]:
            values = [
                summary_pb2.Summary.Value(tag=_tag(name), simple_value=value)
                for name, value in row.items()
                if name != "round" and isinstance(value, int | float)
            ]
            event = event_pb2.Event(
                wall_time=time.time(),
                step=row["round"],
                summary=summary_pb2.Summary(value=values),
            )
            writer.write(event.SerializeToString())


def _count_records(data):
    """(number of complete TFRecord records in bytes, where they end).

    A record: length (8 bytes), its checksum (4), content, checksum (4).
    """
    count = end = 0
    while end + 8 <= len(data):
        following = end + 16 + struct.unpack_from("<Q", data, end)[0]
        if following > len(data):
            break
        count, end = count + 1, following
    return count, end


def _tag(name):
    group, _, rest = name.partition("_")
    is_group = group in ("validation", "pseudo")
    return f"{group}/{rest}" if is_group else f"training/{name}"


def _write_confusion(stem, matrix, classes, title):
    frame = pd.DataFrame(
        matrix, index=pd.Index(classes, name="true"), columns=classes
    )
    with files.write(stem.with_suffix(".csv")) as path:
        frame.to_csv(path)
    plots.confusion(stem.with_suffix(".png"), matrix, classes, title)


def _export_onnx(network, path):
    # Imported here so that reading a run does not load a backend.
    import keras

    from samtl.networks import probabilities

    name = keras.backend.backend()
    if name != "tensorflow":
        # PyTorch's converter fails, and prints the whole network.
        raise NotImplementedError(f"the backend is {name}")
    model = probabilities(network)
    image = keras.InputSpec(
        shape=model.input_shape, dtype="float32", name="image"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's own affairs
        model.export(
            path, format="onnx", verbose=False, input_signature=[image]
        )


def _table(title, texts, numbers):
    table = RichTable(title=title, title_justify="left")
    for heading in texts:
        table.add_column(heading)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def _percent(value):
    return "" if value is None else f"{100 * value:.1f}"

"""Make the weights that the demos read from a finished run.

    python -m utils.release runs/ALTERNATIVE_EPGA/.../...-seed0

copies the run's network to weights/four_tasks.onnx and .keras, fits one
temperature a task on the validation images, and writes four_tasks.json (see
utils/faces/predict.py) and figures.md, the test figures of MODEL_CARD.md.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
from scipy.special import softmax

from utils import cli, files, flags
from utils.calibration import expected_calibration_error, temperature
from utils.errors import UserError, run_script

NAME = "four_tasks"
WEIGHTS = Path(__file__).resolve().parent.parent / "weights"


def parser():
    parser = cli.parser(__doc__, None)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    text = "folder of the prepared datasets"
    flags.add_flag(parser, "data_dir", Path, Path("data"), text)
    flags.add_flag(parser, "out", Path, WEIGHTS, "folder to write to")
    text = "replace the weights that are there"
    flags.add_flag(parser, "overwrite", flags.boolean, False, text)
    return parser


def main(argv=None):
    given = parser().parse_args(argv)
    # Keras takes seconds to load; --help and a wrong flag should not.
    import keras

    from utils import experiment, pseudo, runs

    if not (given.run / "result.json").is_file():
        raise UserError(f"{given.run} is not the folder of a finished run")
    if (given.out / f"{NAME}.json").exists() and not given.overwrite:
        raise UserError(f"{given.out} has weights; give --overwrite")
    args = argparse.Namespace(**runs.read_args(given.run))
    args.data_dir = given.data_dir
    tasks = list(json.loads((given.run / "labels.json").read_text())["tasks"])
    wanted = experiment.wanted_datasets(args, tasks)
    datasets, _ = experiment.open_datasets(args, wanted, tasks)
    network = keras.saving.load_model(given.run / "best.keras")
    teacher = pseudo.Teacher(network, args.batch_size)
    tempers, lines = {}, []
    for task in tasks:
        logits, labels, _ = _outputs(teacher, datasets, "validation", task)
        tempers[task] = temperature(logits, labels)
        outputs = _outputs(teacher, datasets, "test", task)
        lines += _figures(task, *outputs, tempers[task])
    _publish(given.run, given.out, tempers)
    text = "\n".join(lines)
    with files.write(given.out / "figures.md") as path:
        path.write_text(text, encoding="utf-8")
    print(text)
    print(given.out)


def _outputs(teacher, datasets, split, task):
    """(logits [N, C], labels [N], tables) of all images with the label."""
    logits, labels, tables = [], [], []
    for parts in datasets:
        part = parts[split]
        if task in part.table.tasks:
            found = teacher.predict(part.batches(teacher.batch_size))
            logits.append(found["logits"][task])
            labels.append(part.table.labels(task))
            tables.append(part.table)
    return np.concatenate(logits), np.concatenate(labels), tables


def _figures(task, logits, labels, tables, temper):
    """Markdown lines: accuracy, calibration and accuracy per group."""
    is_right = logits.argmax(axis=1) == labels
    before = expected_calibration_error(softmax(logits, 1), labels)
    after = expected_calibration_error(softmax(logits / temper, 1), labels)
    classes = tables[0].tasks[task].classes
    groups = {(task, c): labels == i for i, c in enumerate(classes)}
    for other in ("gender", "age"):
        if other != task and all(other in table.tasks for table in tables):
            values = np.concatenate([table.labels(other) for table in tables])
            names = tables[0].tasks[other].classes
            groups |= {(other, c): values == i for i, c in enumerate(names)}
    lines = [
        f"### {task}",
        "",
        f"{len(labels):,} test images, accuracy {is_right.mean():.1%}. "
        f"Expected calibration error {before:.1%}, with temperature "
        f"{temper:.2f} {after:.1%}.",
        "",
        "| group | images | accuracy |",
        "|---|---:|---:|",
    ]
    for (kind, name), rows in groups.items():
        share = f"{is_right[rows].mean():.1%}" if rows.any() else ""
        lines.append(f"| {kind}: {name} | {rows.sum():,} | {share} |")
    return [*lines, ""]


def _publish(run, out, tempers):
    labels = json.loads((run / "labels.json").read_text(encoding="utf-8"))
    digests = {}
    for kind in ("onnx", "keras"):
        target = out / f"{NAME}.{kind}"
        with files.write(target) as temporary:
            shutil.copyfile(run / f"best.{kind}", temporary)
        digests[target.name] = hashlib.sha256(target.read_bytes()).hexdigest()
    facts = {"margin": 0.7, "temperatures": tempers, "sha256": digests}
    files.write_json(out / f"{NAME}.json", labels | facts)


if __name__ == "__main__":
    run_script(main)

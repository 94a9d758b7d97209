"""What every training script does before and after training."""

import sys
from pathlib import Path

import keras

from samtl import networks
from samtl.cli import command_line
from samtl.common import files
from samtl.common.errors import UserError
from samtl.data import images, tables
from samtl.data.tasks import mirrored
from samtl.distributed import devices
from samtl.evaluation import scoring
from samtl.networks import weights
from samtl.runs import plots, run_folder
from samtl.training import loop


def open_datasets(args, wanted, tasks):
    """Read the datasets and open their pixels.

    A dataset's labels count for every one of the tasks, not only for those
    it is given for, unless --labels says otherwise.

    Args:
        args: the script's arguments (`samtl.cli.command_line`). A `batch_size` larger than
            the largest training set is lowered to it.
        wanted: from `command_line.wanted_datasets`.
        tasks: names of the experiment's tasks.

    Returns:
        (datasets, tasks): a list of {"train", "validation", "test"} Splits,
        and the list of Task.

    Raises:
        UserError: a dataset is missing or its files are bad, a task has no
            dataset, the datasets of a task disagree on its classes, these
            cannot be flipped, or the devices cannot share a batch.
    """
    keras.utils.set_random_seed(args.seed)
    command_line.check_datasets(args, wanted)
    limits = command_line.limits(args, wanted)
    read = [
        tables.read(name, args.data_dir, counting)
        for name, counting in _counting(args, wanted, tasks).items()
    ]
    found = _agreed(read)
    for name in args.class_weights or ():
        if name not in ("none", "balanced", *found):
            print(
                f"warning: --class_weights={name} changes nothing, as that "
                f"task is not trained; these are: {', '.join(found)}",
                file=sys.stderr,
            )
    if args.is_augmentation:
        _require_mirror_images(found.values())
    shape = networks.IMAGE_SHAPES[args.model]
    with devices.main_process_first():
        datasets = [
            images.open_splits(
                table, shape, args.cache_gb, limits[table.name], args.seed
            )
            for table in read
        ]
    largest = max(len(parts["train"]) for parts in datasets)
    args.batch_size = min(args.batch_size, largest)
    devices.check_batch_size(args.batch_size)
    return datasets, [found[name] for name in tables.ORDER if name in found]


def _counting(args, wanted, tasks):
    """{dataset name: names of the tasks whose labels count}."""
    chosen = {
        name: names.split(",")
        for name, names in command_line.by_dataset(args, "labels", wanted)
    }
    counting = {}
    for name, given in wanted.items():
        carried = tables.labelled_tasks(name, args.data_dir)
        counted = chosen.get(name, {*carried, *given})
        counting[name] = [task for task in tasks if task in counted]
        if not counting[name]:
            raise UserError(
                f"the labels of {name} that count ({', '.join(chosen[name])}) "
                f"are of none of {', '.join(tasks)}; change --labels"
            )
    for task in tasks:
        if not any(task in counted for counted in counting.values()):
            raise UserError(
                f"no labels of {task} in {' and '.join(wanted)}; give a "
                f"dataset that has them with --dataset_{task}"
            )
    return counting


def _agreed(read):
    """{name: Task} of all tables, which must agree on the classes."""
    first = {}
    for table in read:
        for name, task in table.tasks.items():
            other = first.setdefault(name, table)
            if task != other.tasks[name]:
                raise UserError(
                    f"{name} has {len(other.tasks[name])} classes in "
                    f"{other.name} ({', '.join(other.tasks[name].classes)}) "
                    f"but {len(task)} in {table.name} "
                    f"({', '.join(task.classes)}); train on datasets whose "
                    "classes agree"
                )
    return {name: table.tasks[name] for name, table in first.items()}


def _require_mirror_images(tasks):
    for task in tasks:
        try:
            mirrored(task.classes)
        except ValueError as error:
            raise UserError(
                f"--is_augmentation flips images, and {task.name} has {error}; "
                "name both sides alike in the datasets' JSON files, or train "
                "without --is_augmentation"
            ) from error


def open_run(args, script, wanted, method):
    """The run's folder: a new one with its args.json, or the resumed one.

    Raises:
        UserError: the folder exists, cannot be written, holds a run of another
            script or of other data, or is not seen by all processes.
    """
    script = Path(script).stem
    if args.resume:
        saved = run_folder.read_args(args.resume)
        started = saved.get("script", script)
        if started != script:
            raise UserError(
                f"{args.resume} is a run of {started}.py; resume it with that"
            )
        _require_same(args, saved)
        return args.resume
    run = ""
    if devices.is_main_process():
        run = run_folder.create(
            args.runs,
            script,
            list(wanted),
            method,
            args.seed,
            args.run_dir,
        )
        facts = {"method": method, "script": script}
        facts |= _started_from(args, wanted)
        run_folder.write_args(run, {**vars(args), **facts})
    run = Path(devices.broadcast(str(run)))
    if not (run / "args.json").exists():
        raise UserError(
            f"process {args.process_id} does not see {run}, the run folder of "
            "process 0; choose a --run_dir on a disk that all machines share"
        )
    print(f"{method} on {' and '.join(wanted)}, run folder {run}")
    return run


def _started_from(args, wanted):
    """What a run starts from: tables, classes, weights and teachers."""
    source = weights.source(args.model, args.weights)
    return {
        "tables_sha256": {
            name: files.sha256(tables.csv_path(name, args.data_dir))
            for name in wanted
        },
        "classes": {name: _classes(name, args.data_dir) for name in wanted},
        "weights_sha256": source and files.sha256(source),
        "teachers": {
            path: run_folder.origin(Path(path))
            for path in getattr(args, "teacher", None) or ()
        },
    }


def _require_same(args, saved):
    """Refuse to go on with other data, or to begin with other weights."""
    require_tables(args.resume, saved, args.data_dir)
    if (args.resume / loop.STATE).exists():
        return
    source = weights.source(args.model, args.weights)
    digest = source and source.is_file() and files.sha256(source)
    if saved.get("weights_sha256") not in (None, digest):
        raise UserError(
            f"the weights that {args.resume} began with have changed or are "
            "gone; put them back or start a new run"
        )


def require_tables(run, saved, data_dir):
    """Refuse tables that are no longer those that a run began with.

    Args:
        run: its folder, for messages.
        saved: its arguments, from `run_folder.read_args`.
        data_dir: folder of the prepared datasets.

    Raises:
        UserError: one is another.
    """
    for name, digest in saved.get("tables_sha256", {}).items():
        path = tables.csv_path(name, data_dir)
        if path.is_file() and files.sha256(path) != digest:
            raise UserError(
                f"{path} has changed since {run} began; put the old one back "
                "or start a new run"
            )
    for name, classes in saved.get("classes", {}).items():
        if _classes(name, data_dir) != classes:
            path = tables.csv_path(name, data_dir).with_suffix(".json")
            raise UserError(
                f"the classes in {path} have changed since {run} began; put "
                "the old ones back or start a new run"
            )


def _classes(name, data_dir):
    found = tables.labelled_tasks(name, data_dir)
    return {task.name: list(task.classes) for task in found.values()}


def build_network(args, tasks, label_embeddings=False):
    """The network that the flags describe, trained weights loaded.

    Those of a resumed run come with its state.
    """
    precision = args.precision
    if precision == "auto":
        precision = networks.default_precision(args.model)
    network = networks.build(
        args.model,
        tasks,
        is_dropout=args.is_dropout,
        is_bn=args.is_bn,
        weights_decay=args.weights_decay,
        cross_stitch=getattr(args, "cross_stitch", False),
        label_embeddings=label_embeddings,
        precision=precision,
    )
    if not args.resume or not (args.resume / loop.STATE).exists():
        print(weights.pretrained(network, args.model, args.weights))
    return network


def report(network, teacher, datasets, plan, rows, run):
    """Test the best network once; write and print the results.

    Of several processes, one does the writing.

    Args:
        network: the best network, as `loop.fit` leaves it.
        teacher: `pseudo.Teacher` of it.
        datasets, plan, run: as in `loop.fit`.
        rows: the metrics that `loop.fit` returned.
    """
    teacher.update(network)
    scores = {}
    predicted = {
        split: loop.predictions(teacher, plan.tasks, datasets, split)
        for split in run_folder.SPLITS
    }
    if not devices.release():
        return
    for split, found in predicted.items():
        run_folder.write_predictions(run, split, found)
        scores[split] = {
            name: loop.score(name, frame) for name, frame in found.items()
        }
    trained = sum(row["train_seconds"] for row in rows)
    images_seen = sum(
        row["images_per_second"] * row["train_seconds"] for row in rows
    )
    best = max(rows, key=lambda row: row["validation_score"])
    result = {
        "rounds": len(rows),
        "best_round": best["round"],
        "seconds": sum(row["seconds"] for row in rows),
        "pseudo_seconds": sum(row["pseudo_seconds"] for row in rows),
        "images_per_second": images_seen / trained,
        "peak_memory_mib": run_folder.peak_memory(),
        "tasks": {
            task.name: {
                "classes": list(task.classes),
                **{split: scores[split][task.name] for split in scores},
            }
            for task in plan.tasks
        },
        "forgetting": scoring.forgetting(
            rows,
            {
                parts["train"].table.name: set(parts["train"].table.tasks)
                for parts in datasets
            },
        ),
    }
    plots.curves(run / "curves.png", rows)
    run_folder.export(network, run, plan.tasks)
    # The result is written last: a run that has one is finished, and needs
    # the state for resuming no more (half a gigabyte with VGG-16).
    run_folder.write_result(run, result)
    (run / loop.STATE).unlink()
    run_folder.print_results(result)
    print(run)

"""What every training script does before and after training."""

from pathlib import Path

import keras

from utils import evaluation, images, networks, plots, runs, tables, training
from utils.errors import UserError
from utils.networks import weights


def wanted_datasets(args, tasks):
    """{dataset name: the tasks it is given for}, in the order of `tasks`."""
    wanted = {}
    for task in tasks:
        wanted.setdefault(getattr(args, f"dataset_{task}"), []).append(task)
    return wanted


def open_datasets(args, wanted):
    """Read the datasets and open their pixels.

    Args:
        args: the script's arguments (`utils.cli`). A `batch_size` larger than
            the largest training set is lowered to it.
        wanted: {dataset name: names of the tasks it must be labelled for},
            in the order of the turns.

    Returns:
        (datasets, tasks): a list of {"train", "validation", "test"} Parts,
        and the list of Task of all of them.

    Raises:
        UserError: a dataset is missing or its files are bad.
    """
    keras.utils.set_random_seed(args.seed)
    read = [
        tables.read(name, args.data_dir, tasks)
        for name, tasks in wanted.items()
    ]
    shape = networks.IMAGE_SHAPES[args.model]
    datasets = [
        images.split(table, shape, args.cache_gb, args.limit, args.seed)
        for table in read
    ]
    largest = max(len(parts["train"]) for parts in datasets)
    args.batch_size = min(args.batch_size, largest)
    tasks = {name: task for table in read for name, task in table.tasks.items()}
    return datasets, [tasks[name] for name in tables.ORDER if name in tasks]


def open_run(args, script, wanted, method):
    """The run's folder: a new one with its args.json, or the resumed one.

    Raises:
        UserError: the folder exists, cannot be written, or holds a run that
            is finished.
    """
    if args.resume:
        if (args.resume / "result.json").exists():
            raise UserError(
                f"{args.resume} is finished: its result.json is there; start "
                "a new run instead"
            )
        return args.resume
    run = runs.create(
        args.runs,
        Path(script).stem,
        list(wanted),
        method,
        args.seed,
        args.run_dir,
    )
    runs.write_args(run, {**vars(args), "method": method})
    print(f"{method} on {' and '.join(wanted)}, run folder {run}")
    return run


def build_network(args, tasks):
    """The network that the flags describe, trained weights loaded."""
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
        precision=precision,
    )
    print(weights.pretrained(network, args.model, args.weights))
    return network


def report(network, teacher, datasets, plan, rows, run):
    """Test the best network once; write and print the results.

    Args:
        network: the best network, as `training.fit` leaves it.
        teacher: `pseudo.Teacher` of it.
        datasets, plan, run: as in `training.fit`.
        rows: the metrics that `training.fit` returned.
    """
    teacher.update(network)
    scores = {
        split: training.evaluate(teacher, plan.tasks, datasets, split)
        for split in ("validation", "test")
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
        "tasks": {
            task.name: {
                "classes": list(task.classes),
                **{split: scores[split][task.name] for split in scores},
            }
            for task in plan.tasks
        },
        "forgetting": evaluation.forgetting(
            rows,
            {
                parts["train"].table.name: set(parts["train"].table.tasks)
                for parts in datasets
            },
        ),
    }
    plots.curves(run / "curves.png", rows)
    runs.export(network, run, plan.tasks)
    # The result is written last: a run that has one is finished, and needs
    # the state for resuming no more (half a gigabyte with VGG-16).
    runs.write_result(run, result)
    (run / training.STATE).unlink()
    runs.print_results(result)
    print(run)

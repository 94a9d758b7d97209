"""From a command line to the configuration of an experiment.

Below this, nothing knows of flags.
"""

from pathlib import Path

from samtl.cli.command_line import (
    DEVICE_FLAGS,
    batch_sizes,
    by_dataset,
    check_datasets,
    limits,
    of_dataset,
    wanted_datasets,
)
from samtl.cli.flag_groups import LOSS_LETTERS
from samtl.cli.methods import (
    Arguments,
    Family,
    method,
    method_name,
    regularisers,
)
from samtl.common import quiet
from samtl.common.errors import UserError

# Flags that have the names of `TrainingConfig`'s fields.
TRAINING = (
    "epoch",
    "learning_rate",
    "schedule",
    "ema_momentum",
    "patience",
    "is_freezing",
    "no_freezing_epoch",
    "bn_statistics",
    "figures_every",
    "seed",
)


def configure(args: Arguments, tasks: list[str], script: str):
    """The `training.config.Configuration` that a command line asks for.

    Loads Keras, which takes seconds.

    Args:
        args: from `command_line.parse`.
        tasks: names of the experiment's tasks.
        script: its path.

    Raises:
        UserError: a flag names a dataset that is not trained on.
    """
    quiet.load_keras()
    from samtl import networks
    from samtl.distributed.devices import DevicesConfig
    from samtl.training import config

    precision = args.precision
    if precision == "auto":
        precision = networks.default_precision(args.model)
    sizes = batch_sizes(args)
    name = method_name(args)
    if args.family == Family.SINGLE:
        stem = f"stl-{tasks[0]}"
        name = f"{stem}-{name}" if args.unlabelled else stem
    return config.Configuration(
        data=data_config(args, tasks),
        network=networks.NetworkConfig(
            args.model,
            is_dropout=args.is_dropout,
            is_bn=args.is_bn,
            weights_decay=args.weights_decay,
            cross_stitch=getattr(args, "cross_stitch", False),
            precision=precision,
        ),
        training=config.TrainingConfig(
            batch_size=sum(sizes.values()) or args.batch_size,
            batch_sizes=sizes,
            loss_weights={task: _loss_weight(args, task) for task in tasks},
            task_weighting=getattr(args, "task_weighting", "equal"),
            pseudo_loss_weights=_pseudo_loss_weights(args, tasks),
            **{name: getattr(args, name) for name in TRAINING},
        ),
        run=config.RunConfig(
            script=Path(script).stem,
            method=name,
            arguments=vars(args),
            runs=args.runs,
            run_dir=args.run_dir,
            resume=args.resume,
            weights=args.weights,
        ),
        devices=DevicesConfig(
            **{name: getattr(args, name) for name in DEVICE_FLAGS}
        ),
        method=method(args),
        regularisers=regularisers(args),
    )


def data_config(args: Arguments, tasks: list[str]):
    """The `data.datasets.DataConfig` that a command line asks for.

    Raises:
        UserError: a flag names a dataset that is not trained on.
    """
    from samtl.data.datasets import DataConfig

    wanted = wanted_datasets(args, tasks)
    check_datasets(args, wanted)
    for flag in ("loss_weights", "pseudo_loss_weights"):
        for words in getattr(args, flag, None) or ():
            name = words.rpartition(":")[0]
            if name and name not in tasks:
                raise UserError(
                    f"--{flag}={words} is of a task that is not trained; "
                    f"these are: {', '.join(tasks)}"
                )
    augmentation = {}
    if args.is_augmentation:
        words = args.augmentation_strength
        augmentation = {
            name: float(of_dataset(words, name, 1.0)) for name in wanted
        }
    return DataConfig(
        names=wanted,
        tasks=tuple(tasks),
        data_dir=args.data_dir,
        labels={
            name: names.split(",")
            for name, names in by_dataset(args, "labels", wanted)
        },
        limits=limits(args, wanted),
        votes=args.votes,
        class_weights=tuple(args.class_weights or ()),
        augmentation=augmentation,
        cache_gb=args.cache_gb,
        seed=args.seed,
    )


def _loss_weight(args, task):
    """lambda_t, of --loss_weights or of the task's own flag."""
    words = getattr(args, "loss_weights", None) or ()
    given = dict(word.split(":") for word in words)
    if task in given:
        return float(given[task])
    letter = LOSS_LETTERS.get(task)
    return getattr(args, f"{letter}_loss_weights", 1.0)


def _pseudo_loss_weights(args, tasks):
    """{task: mu_t}, of the tasks that --pseudo_loss_weights speaks of."""
    words = getattr(args, "pseudo_loss_weights", None) or ()
    if args.consistency and not words:
        words = ["1"]  # such methods have a mean of their own
    given = dict(word.rpartition(":")[::2] for word in words)
    return {
        task: float(given.get(task, given.get("")))
        for task in tasks
        if task in given or "" in given
    }

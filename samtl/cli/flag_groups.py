"""The flags of the training scripts, in groups.

Each flag is declared once, with its unit, range and default. Keras is not
imported here, so that --help answers at once.
"""

import functools
from pathlib import Path

from samtl.common.flags import (
    MODELS,
    Number,
    Parser,
    add_flag,
    address,
    batch_size,
    boolean,
    dataset,
    labels,
    limit,
    loss_weight,
    model,
    shorten_help,
    strength,
    task,
    task_list,
    weighted,
)

# What --help shows, by the beginnings of the names.
USUAL = (
    *("dataset", "task_type", "unlabelled", "model", "epoch", "batch_size"),
    *("learning_rate", "is_augmentation", "data_dir", "limit", "seed"),
    *("run_dir", "resume", "is_naive", "is_distilled", "distill_t", "is_lnorm"),
    *("is_interpolation", "selection_threshold", "is_MRF"),
    *("is_trace_norm", "is_nuclear_norm", "is_matching"),
)
LOSS_LETTERS = {"emotion": "E", "pose": "P", "gender": "G", "age": "A"}


def add_dataset_flags(parser: Parser, tasks: tuple[str, ...]) -> None:
    """Labelled datasets and a loss weight per task, and the tasks' mixing."""
    group = parser.add_argument_group(
        "tasks and their datasets",
        "Names in any case: ferplus or Fer+ ... Several datasets of one task\n"
        "must have the same classes. A task without a dataset is not trained\n"
        "in joint training; in alternating training it is learned from other\n"
        "tasks' datasets that are labelled for it too. Any other task that a\n"
        "dataset is labelled for has its flag too: --dataset_smile=NAME.\n"
        "Without any dataset: synthetic faces.",
    )
    flag = functools.partial(add_flag, group)
    parser.dataset_group = group
    for name in tasks:
        add_dataset_flag(parser, name)
    add_pool_flag(group)
    text = (
        "labels that count, of datasets that carry more: mtfl:pose hides "
        "MTFL's gender and checks pseudo labels against it (default: all)"
    )
    flag("labels", labels, None, text, many=True)
    for name in tasks:
        text = f"weight of the {name} loss"
        flag(f"{LOSS_LETTERS[name]}_loss_weights", Number(float, 0), 1.0, text)
    text = "weights of the losses of any tasks, as in smile:0.5 (default: 1)"
    flag("loss_weights", loss_weight, None, text, many=True)
    text = "let the task layers exchange features (cross-stitch units)"
    flag("cross_stitch", boolean, False, text)


def add_dataset_flag(parser: Parser, task: str) -> None:
    """Declare --dataset_<task> of a parser that has dataset flags."""
    text = f"datasets labelled for {task}"
    name = f"dataset_{task}"
    add_flag(parser.dataset_group, name, dataset, None, text, many=True)


def add_pool_flag(group) -> None:
    """Declare --unlabelled, in a parser's group."""
    text = "datasets whose images are used without any of their labels"
    add_flag(group, "unlabelled", dataset, None, text, many=True)


def add_task_flags(parser: Parser) -> None:
    """The one task, and its dataset, of single-task learning."""
    group = parser.add_argument_group("task and its dataset")
    flag = functools.partial(add_flag, group)
    flag("task_type", task, "emotion", f"number or name: {task_list()}, or any")
    text = (
        "dataset labelled for the task, in any case: ferplus or Fer+ ... "
        "(default: synthetic faces, synthetic_emotion for emotion and so on)"
    )
    flag("dataset", dataset, None, text)
    add_pool_flag(group)


def add_training_flags(parser: Parser) -> None:
    """The network and how it is trained."""
    shorten_help(parser, USUAL)
    _add_network_flags(parser)
    group = parser.add_argument_group("training")
    flag = functools.partial(add_flag, group)
    text = "rounds; in alternating training each passes over one dataset"
    flag("epoch", Number(int, 1), 64, text)
    text = (
        "images per step; or those of each dataset, as in ferplus:11 mtfl:21, "
        "of which a joint step has the sum (default: 32)"
    )
    flag("batch_size", batch_size, None, text, many=True)
    text = (
        "step size of Adam at the start; by default 0.003 for mini_xception, "
        "0.002 for mini_resnet, 0.001 for wide_resnet, 0.0001 for vggface"
    )
    flag("learning_rate", Number(float, 0, above=True), None, text)
    text = "learning rate over the rounds"
    flag("schedule", ("cosine", "constant"), "cosine", text)
    text = (
        "momentum per step of a moving average of the weights, which is then "
        "the teacher and the network that is evaluated and kept; 0: none"
    )
    flag("ema_momentum", Number(float, 0, 0.99999), 0.0, text)
    text = (
        "rounds without a better validation score before stopping, of the "
        "second stage where there is one (--no_freezing_epoch); 0: never"
    )
    flag("patience", Number(int, 0), 0, text)
    text = "random flips, shifts and the like; flips swap left and right poses"
    flag("is_augmentation", boolean, False, text)
    text = (
        "scales --is_augmentation, of every dataset or of one as in mtfl:2; "
        "2 suits a few thousand images (default: 1)"
    )
    flag("augmentation_strength", strength, None, text, many=True)
    text = "freeze the trunk and train only the task layers and heads"
    flag("is_freezing", boolean, False, text)
    text = (
        "last rounds of --is_freezing that train the whole network, at a "
        "tenth of the learning rate"
    )
    flag("no_freezing_epoch", Number(int, 0), 0, text)
    text = (
        "weight true labels by the rarity of their class: balanced for all "
        "tasks, or the tasks' names (default: none)"
    )
    flag("class_weights", weighted, None, text, many=True)
    text = (
        "statistics of batch normalisation outside training: estimated on "
        "all datasets mixed, or left as the last round made them"
    )
    flag("bn_statistics", ("mixed", "running"), "mixed", text)


def add_run_flags(parser: Parser) -> None:
    """What a run reads and where it writes."""
    group = parser.add_argument_group("run")
    flag = functools.partial(add_flag, group)
    flag("data_dir", Path, Path("data"), "folder of the prepared datasets")
    text = (
        "images of every dataset, or of one as in ferplus:1000, that are used "
        "for training, and at most for validation; 0: all (default: 0)"
    )
    flag("limit", limit, None, text, many=True)
    text = "train on the annotators' shares of votes where there are any"
    flag("votes", boolean, True, text)
    text = "disk space for decoded images, in GB; 0: decode every time"
    flag("cache_gb", Number(float, 0), 8.0, text)
    text = "random seed"
    flag("seed", Number(int, 0, 2**32 - 1), 0, text)
    flag("runs", Path, Path("runs"), "folder of all runs")
    text = "folder of this run (default: a new one inside --runs)"
    flag("run_dir", Path, None, text)
    text = (
        "passes over a dataset until its pseudo labels are drawn again, as "
        "sheet and histogram; those of the first and last pass always are"
    )
    flag("figures_every", Number(int, 1), 10, text)
    text = (
        "folder of a stopped run to go on with; all arguments come from it, "
        "only --data_dir, --cache_gb and the devices may be given anew"
    )
    flag("resume", Path, None, text)
    _add_device_flags(parser)


def _add_network_flags(parser):
    """The network."""
    group = parser.add_argument_group("network")
    flag = functools.partial(add_flag, group)
    flag("model", model, "mini_xception", f"{', '.join(MODELS)}, in any case")
    text = (
        "file of trained weights to start from, .keras, .h5 or .hdf5; heads "
        "that do not fit are skipped"
    )
    flag("weights", Path, None, text)
    flag("is_dropout", boolean, False, "dropout of half of the heads' inputs")
    text = "batch normalisation in vggface; the small networks always have it"
    flag("is_bn", boolean, False, text)
    flag("weights_decay", Number(float, 0), 0.0, "L2 penalty on the kernels")
    text = "arithmetic of the network; auto takes the faster one"
    flag("precision", ("auto", "float32", "bfloat16"), "auto", text)


def _add_device_flags(parser):
    """The devices that train together."""
    group = parser.add_argument_group(
        "devices",
        "One training on several devices: they share every batch, and the\n"
        "result is that of one. On several machines, or in several processes,\n"
        "the same command is given to each with its own --process_id; all see\n"
        "the same --runs.",
    )
    flag = functools.partial(add_flag, group)
    text = "auto: all devices of this machine, and of the other processes'"
    flag("distribute", ("none", "auto"), "none", text)
    text = (
        "where process 0 meets the others (KERAS_BACKEND=jax); no password "
        "guards it, so only within a network of your own"
    )
    flag("coordinator", address, None, text)
    flag("num_processes", Number(int, 1), 1, "processes that train together")
    flag("process_id", Number(int, 0), 0, "number of this process, from 0")

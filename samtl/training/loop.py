"""The engine: rounds of training on label triples.

It knows nothing about methods or datasets. A *plan* says what a round is:

    plan.tasks               the network's tasks
    plan.steps(number)       optimizer steps of that round
    plan(number) -> Round    its batches, whose triples are filled in

and the engine trains one pass per round, evaluates, keeps the best network
and saves everything a resumed run needs. The optimizer, the learning-rate
schedule, early stopping and the choice of the best network span all rounds.
"""

import collections
import contextlib
import functools
import json
import time
from dataclasses import dataclass, field

import keras
import numpy as np
import pandas as pd
from keras import ops
from scipy.special import softmax

from samtl import networks
from samtl.common import files
from samtl.common.errors import UserError, reason
from samtl.data.batches import Batches
from samtl.distributed import devices
from samtl.evaluation import scoring
from samtl.networks.weights import UNREADABLE
from samtl.pseudo_labels import filling
from samtl.pseudo_labels.diagnostics import write_audit
from samtl.runs import run_folder
from samtl.training.learner import Learner, fit_pass

THAWED_RATE = 0.1  # learning rate after thawing, relative
STATE = "state.npz"  # file of a run folder: what a resumed run needs
STATISTICS_IMAGES = 1024  # images that batch statistics are estimated on
STATISTICS_BATCH = 128


@dataclass(frozen=True)
class Round:
    """What one round trains on.

    Attributes:
        name: the dataset or datasets of the round.
        batches: one pass.
        audits: list of (Task, Split, audit of `pseudo.fill`), one for each
            dataset and task with pseudo labels.
        pseudo_seconds: time spent on filling in triples.
    """

    name: str
    batches: Batches
    audits: list = field(default_factory=list)
    pseudo_seconds: float = 0.0


def fit(
    network,
    teacher,
    datasets,
    plan,
    loss_weights,
    args,
    run,
    terms=None,
    companion=None,
):
    """Train, and leave the best network in `network` and in the run folder.

    Args:
        network: model from `networks.build`.
        teacher: `pseudo.Teacher` of it; holds the weights evaluated last.
        datasets: list of {"train", "validation", "test"} Splits.
        plan: see the module's docstring.
        loss_weights: {task name: lambda_t >= 0}.
        args: the script's arguments (`samtl.cli.command_line`).
        run: run folder; a state found there is continued.
        terms, companion: see `Learner`; the companion only helps to train,
            it is no part of the best network.

    Returns:
        list of metrics rows, one per round.

    Raises:
        UserError: the loss stops being finite.
    """
    state_path = run / STATE
    learner = None
    make_learner = functools.partial(
        Learner, network, loss_weights, terms, companion
    )
    state = {"round": 0, "best": -1.0, "best_round": 0, "waited": 0}
    rows = []
    if state_path.exists():
        state, rows, arrays = _read_state(state_path)
        thawed = _is_thawed(state["round"] - 1, args)
        learner = _compile(make_learner, plan, args, thawed)
        _restore(state_path, _variables(learner), arrays)
    while state["round"] < args.epoch and not _stopped(state, args):
        number = state["round"]
        if learner is None or thawed is not _is_thawed(number, args):
            if learner is not None and args.ema_momentum:
                # The second stage starts from the network that was scored.
                learner.optimizer.finalize_variable_values(
                    learner.trainable_variables
                )
            thawed = _is_thawed(number, args)
            learner = _compile(make_learner, plan, args, thawed)
        row = _train_round(learner, plan, number, args, run)
        state["round"] = number + 1
        state["waited"] += 1
        with _averaged(learner):
            _evaluate_round(network, teacher, datasets, plan, args, row)
            score = row["validation_score"]
            if score > state["best"]:
                state.update(best=score, best_round=number + 1, waited=0)
                if devices.is_main_process():
                    with files.write(run / "best.keras") as path:
                        network.save(path)
        if args.no_freezing_epoch and not thawed:
            state["waited"] = 0  # the second stage is still to come
        rows.append(row)
        if devices.is_main_process():
            run_folder.write_metrics(run, rows)
            _save_state(state_path, learner, state, rows)
        _print_round(row, plan.tasks, args, state)
    devices.wait_for_everyone()  # for the leader, who writes it
    _load_best(network, run / "best.keras")
    return rows


def evaluate(teacher, tasks, datasets, split):
    """Score every task on the datasets labelled for it.

    Returns:
        {task name: dict of `scoring.scores`}.
    """
    found = predictions(teacher, tasks, datasets, split)
    return {name: score(name, frame) for name, frame in found.items()}


def predictions(teacher, tasks, datasets, split):
    """What the teacher makes of the images that are labelled for a task.

    Returns:
        {task name: pandas.DataFrame}: dataset, path, label (class index) and
        one column of probabilities a class, named as the class; the rows of
        the datasets one after the other, in the order of their tables.
    """
    frames = {task.name: [] for task in tasks}
    for parts in datasets:
        part = parts[split]
        logits = filling.predict(teacher, part)["logits"]
        for task in tasks:
            if task.name not in part.table.tasks:
                continue
            facts = {
                "dataset": part.table.name,
                "path": part.table.rows["path"],
                "label": part.table.labels(task.name),
            }
            probabilities = softmax(logits[task.name], 1)
            columns = dict(zip(task.classes, probabilities.T, strict=True))
            frames[task.name].append(pd.DataFrame({**facts, **columns}))
    return {
        name: pd.concat(found, ignore_index=True)
        for name, found in frames.items()
    }


def score(name, predicted):
    """`scoring.scores` of a task's `predictions`."""
    return scoring.scores(
        predicted["label"].to_numpy(),
        predicted.iloc[:, 3:].to_numpy(),
        ordered=name == "age",
    )


def refresh_statistics(network, parts, seed):
    """Estimate batch-norm statistics anew on a mix of all datasets.

    A round over one dataset drags the running averages to that dataset; here
    each batch draws from every part alike, without gradient.

    Args:
        network: model; its BatchNormalization layers change.
        parts: list of training Splits.
        seed: draws the images.
    """
    layers = [
        layer
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    if not layers:
        return
    rng = np.random.default_rng(seed)
    share = STATISTICS_BATCH // len(parts)
    largest = max(len(part) for part in parts)
    # As many as show every image of small sets.
    batches = min(STATISTICS_IMAGES // STATISTICS_BATCH, -(-largest // share))
    own = devices.shard(share)
    rows = [
        # A dataset smaller than its shares repeats.
        np.resize(rng.permutation(len(part)), (batches, share))
        for part in parts
    ]
    momenta = [layer.momentum for layer in layers]
    means, variances = [], []
    for layer in layers:
        layer.momentum = 0.0  # a call leaves the batch's own statistics
    for batch in range(batches):
        images = [
            part.images(r[batch, own])
            for part, r in zip(parts, rows, strict=True)
        ]
        images = np.concatenate(images).astype("float32")
        network(devices.one_array(images, share), training=True)
        means.append([_array(layer.moving_mean) for layer in layers])
        variances.append([_array(layer.moving_variance) for layer in layers])
    for index, layer in enumerate(layers):
        layer.momentum = momenta[index]
        mean = np.stack([values[index] for values in means])
        within = np.stack([values[index] for values in variances])
        layer.moving_mean.assign(mean.mean(axis=0))
        layer.moving_variance.assign(within.mean(axis=0) + mean.var(axis=0))


def _compile(make_learner, plan, args, thawed):
    """A Learner for the frozen or for the thawed stage."""
    learner = make_learner()
    networks.freeze(learner.network, frozen=not thawed)
    rounds = [r for r in range(args.epoch) if _is_thawed(r, args) is thawed]
    steps = sum(plan.steps(number) for number in rounds)
    rate = args.learning_rate
    if thawed and args.is_freezing:
        rate *= THAWED_RATE
    if args.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    optimizer = keras.optimizers.Adam(
        rate, use_ema=args.ema_momentum > 0, ema_momentum=args.ema_momentum
    )
    learner.compile(
        optimizer=optimizer, jit_compile="auto" if _is_xla_good() else False
    )
    optimizer.build(learner.trainable_variables)
    return learner


@contextlib.contextmanager
def _averaged(learner):
    """The network with the moving average of its weights (--ema_momentum).

    The teacher, the validation scores and the best network are the average's
    (mean teacher: Tarvainen and Valpola 2017, arXiv 1703.01780); training
    goes on with the weights themselves.
    """
    optimizer = learner.optimizer
    if not optimizer.use_ema or _array(optimizer.iterations) == 0:
        yield
        return
    variables = learner.trainable_variables
    values = [_array(variable) for variable in variables]
    optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _is_xla_good():
    """XLA makes TensorFlow's convolutions 5 times slower on a CPU.

    And it compiles no sums over TensorFlow's replicas.
    """
    return keras.backend.backend() != "tensorflow" or not (
        devices.replicas() > 1
        or all(
            device.startswith("cpu")
            for device in keras.distribution.list_devices()
        )
    )


def _is_thawed(number, args):
    """Whether the trunk trains in this round (two-stage training)."""
    return not args.is_freezing or (
        number >= args.epoch - args.no_freezing_epoch
    )


def _stopped(state, args):
    return 0 < args.patience <= state["waited"]


def _train_round(learner, plan, number, args, run):
    """One pass; returns the round's metrics row."""
    start = time.perf_counter()
    with _averaged(learner):
        current = plan(number)
    row = {"round": number + 1, "dataset": current.name}
    audited = {}
    if devices.is_main_process():
        audited = _write_audits(run, number + 1, current.audits)
    trained = time.perf_counter()
    title = f"round {number + 1}/{args.epoch} {current.name}"
    row |= fit_pass(learner, current.batches, title)
    now = time.perf_counter()
    row["learning_rate"] = float(learner.optimizer.learning_rate)
    row["seconds"] = now - start
    row["train_seconds"] = now - trained
    row["pseudo_seconds"] = current.pseudo_seconds
    row["images_per_second"] = current.batches.count / (now - trained)
    return row | audited


def _write_audits(run, round_number, audits):
    """Write a round's audits; returns their metrics.

    A task that several datasets lack has one value, their images' mean.
    """
    found, counts = collections.defaultdict(list), collections.defaultdict(list)
    for task, part, audit in audits:
        metrics = write_audit(run, round_number, task, part, audit)
        for name, value in metrics.items():
            found[name].append(value)
            counts[name].append(len(part))
    return {
        name: float(np.average(values, weights=counts[name]))
        for name, values in found.items()
    }


def _evaluate_round(network, teacher, datasets, plan, args, row):
    """Add validation scores to the row; the teacher copies the network."""
    start = time.perf_counter()
    if args.bn_statistics == "mixed":
        parts = [parts["train"] for parts in datasets]
        refresh_statistics(network, parts, [args.seed, row["round"]])
    teacher.update(network)
    scores = evaluate(teacher, plan.tasks, datasets, "validation")
    for task, values in scores.items():
        row |= {
            f"validation_{task}_{name}": value
            for name, value in values.items()
            if name not in ("confusion", "count")
        }
    row["validation_score"] = float(
        np.mean([values["accuracy"] for values in scores.values()])
    )
    row["seconds"] += time.perf_counter() - start


def _print_round(row, tasks, args, state):
    scores = "  ".join(
        f"{task.name} {100 * row[f'validation_{task.name}_accuracy']:.1f}"
        for task in tasks
    )
    best = " *" if state["best_round"] == row["round"] else ""
    print(
        f"round {row['round']}/{args.epoch}  {row['dataset']}  "
        f"loss {row['loss']:.3f}  validation accuracy (%): {scores}{best}  "
        f"{row['seconds']:.0f} s ({row['pseudo_seconds']:.0f} s pseudo "
        f"labels, {row['images_per_second']:.0f} images/s)",
        flush=True,
    )


def _array(variable):
    return ops.convert_to_numpy(variable)


def _variables(learner):
    """Every variable that training changes, by a name that is stable."""
    owners = {
        "network": learner.network.variables,
        "optimizer": learner.optimizer.variables,
    }
    if learner.companion:
        owners["companion"] = learner.companion.variables
    return {
        f"{owner}/{index:04d}": variable
        for owner, variables in owners.items()
        for index, variable in enumerate(variables)
    }


def _save_state(path, learner, state, rows):
    """Everything that the next round depends on, in one atomic file."""
    arrays = {
        name: _array(variable) for name, variable in _variables(learner).items()
    }
    text = json.dumps({"state": state, "rows": rows})
    with files.write(path) as temporary:
        np.savez(temporary, **arrays, json=np.array(text))


def _read_state(path):
    """What `_save_state` saved: (state, rows, arrays by name)."""
    try:
        networks.check_decompressed_size(path)
        with np.load(path, allow_pickle=False) as saved:
            arrays = dict(saved)
        values = json.loads(str(arrays.pop("json")))
        return values["state"], values["rows"], arrays
    except UNREADABLE as error:
        raise _damaged(path, error) from error


def _restore(path, variables, arrays):
    shapes = {name: array.shape for name, array in arrays.items()}
    if shapes != {name: tuple(v.shape) for name, v in variables.items()}:
        raise _damaged(path, "it is of another network")
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _load_best(network, path):
    try:
        networks.check_decompressed_size(path)
        network.load_weights(path)
    except UNREADABLE as error:
        raise _damaged(path, error) from error


def _damaged(path, error):
    return UserError(
        f"the run cannot go on from {path} ({reason(error)}); start a new run"
    )

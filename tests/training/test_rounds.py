"""Rounds of training: schedule, stages, moving average, resuming."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops

from samtl import networks, pseudo_labels
from samtl.common.errors import UserError
from samtl.data import images
from samtl.data.datasets import DataConfig, Datasets
from samtl.pseudo_labels.labels import true_labels
from samtl.training import state
from samtl.training.config import Configuration, TrainingConfig
from samtl.training.experiment import Experiment
from samtl.training.learner import Learner
from samtl.training.statistics import Statistics
from tests import quick, tiny
from utils import stl

TRAINING = TrainingConfig(
    epoch=3, batch_size=8, learning_rate=1e-3, loss_weights={"gender": 1.0}
)


@pytest.fixture
def datasets(tmp_path):
    table = tiny.dataset(tmp_path, "faces", ["gender"])
    return Datasets(
        [images.open_splits(table, quick.SHAPE)], [tiny.TASKS["gender"]]
    )


def _fit(datasets, run, is_augmentation=False, **changes):
    data = DataConfig(
        {"faces": ["gender"]},
        ("gender",),
        data_dir=run.parent,
        augmentation={"faces": 1.0} if is_augmentation else {},
    )
    config = Configuration(
        data=data,
        training=replace(TRAINING, **changes),
        run=tiny.run_config(run),
    )
    keras.utils.set_random_seed(0)
    network = quick.build(None, datasets.tasks)
    teacher = pseudo_labels.Teacher(network, config.training.batch_size)
    (split,) = datasets.train
    labels = true_labels(split, datasets.tasks, config.data)
    experiment = Experiment(config, datasets, network, teacher)
    for number in experiment.rounds([stl.steps(split, config)]):
        experiment.train(stl.generator(split, labels, config, number))
    return network, experiment.rows


def test_statistics_are_those_of_all_datasets_alike(tmp_path):
    first = tiny.dataset(tmp_path, "a", ["gender"], counts=(16, 4, 4))
    second = tiny.dataset(tmp_path, "b", ["pose"], counts=(128, 5, 5), seed=1)
    splits = [
        images.open_splits(t, (64, 64, 1))["train"] for t in (first, second)
    ]
    network = networks.build("mini_xception", [tiny.TASKS["pose"]])
    Statistics(network).refresh(splits, seed=0)
    norm = next(
        layer
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    )
    # In two batches, 64 of each, all images of a set are there equally often.
    read = keras.Model(network.input, norm.input)
    inputs = [split.images(np.arange(len(split))) for split in splits]
    read = [ops.convert_to_numpy(read(x.astype("float32"))) for x in inputs]
    mean = np.mean([values.mean((0, 1, 2)) for values in read], axis=0)
    square = np.mean([(values**2).mean((0, 1, 2)) for values in read], axis=0)
    np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        norm.moving_variance, square - mean**2, rtol=1e-3
    )
    assert norm.momentum > 0.9


def test_frozen_statistics_stay(tmp_path):
    table = tiny.dataset(tmp_path, "a", ["gender"])
    split = images.open_splits(table, (64, 64, 1))["train"]
    network = networks.build("mini_xception", [tiny.TASKS["gender"]])
    networks.freeze(network, frozen=True)
    norm = next(
        layer
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    )
    Statistics(network).refresh([split], seed=0)
    assert (ops.convert_to_numpy(norm.moving_mean) == 0).all()
    assert (ops.convert_to_numpy(norm.moving_variance) == 1).all()


def test_figures_are_drawn_every_few_turns_and_at_the_end():
    training = TrainingConfig(epoch=12, figures_every=3)
    drawn = [n for n in range(12) if training.is_drawn(n, turn=2)]
    assert drawn == [0, 1, 6, 7, 10, 11]
    training = replace(training, figures_every=1)
    assert all(training.is_drawn(n, turn=2) for n in range(12))


def test_rounds_share_the_optimizer_and_keep_the_best(datasets, tmp_path):
    run = tmp_path / "run"
    network, rows = _fit(datasets, run)
    assert [row["round"] for row in rows] == [1, 2, 3]
    # The cosine ends at 0 after all rounds' steps, not after each round's.
    rates = [row["learning_rate"] for row in rows]
    assert rates == pytest.approx([0.75e-3, 0.25e-3, 0], abs=1e-9)
    best = keras.saving.load_model(run / "best.keras")
    for ours, saved in zip(network.weights, best.weights, strict=True):
        np.testing.assert_array_equal(ours, saved)


def test_patience_counts_rounds(datasets, tmp_path):
    _, rows = _fit(
        datasets, tmp_path / "run", epoch=9, patience=2, learning_rate=1e-12
    )
    scores = [row["validation_score"] for row in rows]
    assert len(rows) == scores.index(max(scores)) + 3


def test_patience_waits_for_the_second_stage(datasets, tmp_path):
    _, rows = _fit(
        datasets,
        tmp_path / "run",
        epoch=6,
        is_freezing=True,
        no_freezing_epoch=2,
        patience=1,
        learning_rate=1e-12,
    )
    scores = [row["validation_score"] for row in rows]
    assert len(rows) == (6 if scores[4] > max(scores[:4]) else 5)


def test_freezing_keeps_the_trunk_until_it_is_unfrozen(datasets, tmp_path):
    frozen, _ = _fit(datasets, tmp_path / "a", is_freezing=True, epoch=2)
    fresh = quick.build(None, datasets.tasks)
    changed = {
        ours.path
        for ours, new in zip(frozen.weights, fresh.weights, strict=True)
        if not np.array_equal(ours, new)
    }
    assert changed
    assert all(name.startswith(("task_", "head_")) for name in changed)
    _, rows = _fit(
        datasets,
        tmp_path / "b",
        is_freezing=True,
        no_freezing_epoch=1,
        schedule="constant",
    )
    rates = [row["learning_rate"] for row in rows]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4])


def test_the_moving_average_is_evaluated_and_kept(
    datasets, tmp_path, monkeypatch
):
    steps = []
    train_on_batch = Learner.train_on_batch

    def recorded(learner, *batch, **options):
        logs = train_on_batch(learner, *batch, **options)
        weights = learner.network.trainable_variables
        steps.append([ops.convert_to_numpy(weight) for weight in weights])
        return logs

    monkeypatch.setattr(Learner, "train_on_batch", recorded)
    options = {"epoch": 1, "batch_size": 4, "ema_momentum": 0.75}
    network, _ = _fit(datasets, tmp_path / "run", **options)
    assert len(steps) > 2
    average = steps[0]
    for weights in steps[1:]:
        pairs = zip(average, weights, strict=True)
        average = [0.75 * mean + 0.25 * weight for mean, weight in pairs]
    for weight, mean in zip(network.trainable_variables, average, strict=True):
        np.testing.assert_allclose(weight, mean, rtol=1e-4, atol=1e-6)


def test_the_second_stage_starts_from_the_network_that_was_scored(
    datasets, tmp_path, monkeypatch
):
    started, scored = [], []

    def values(network):
        return [
            ops.convert_to_numpy(variable)
            for variable in network.weights
            if "moving" not in variable.path
        ]

    train = Experiment.train

    def recorded(experiment, batches):
        started.append(values(experiment.network))
        train(experiment, batches)
        scored.append(values(experiment.network))

    monkeypatch.setattr(Experiment, "train", recorded)
    options = {"is_freezing": True, "no_freezing_epoch": 1}
    _fit(datasets, tmp_path / "run", epoch=2, ema_momentum=0.9, **options)
    for one, other in zip(started[1], scored[0], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("stop", [1, 2])
def test_a_stopped_run_goes_on_to_the_same_weights(datasets, tmp_path, stop):
    options = {
        "is_freezing": True,
        "no_freezing_epoch": 1,
        "is_augmentation": True,
        "ema_momentum": 0.9,
    }
    whole, rows = _fit(datasets, tmp_path / "whole", **options)
    run = tmp_path / "stopped"
    save = state.save

    def save_and_stop(path, learner, current, rows):
        save(path, learner, current, rows)
        if current["round"] == stop:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            _fit(datasets, run, **options)
    resumed, again = _fit(datasets, run, **options)
    for one, other in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [r["loss"] for r in again] == [r["loss"] for r in rows]


def test_a_loss_that_is_not_finite_names_the_files(datasets, tmp_path):
    with pytest.raises(UserError, match=r"loss is nan.*db/faces/train\d+"):
        _fit(datasets, tmp_path / "run", learning_rate=1e38)

"""A stopped joint run goes on as if it had not been stopped."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from samtl.pseudo_labels.filling import fill_missing, masked
from samtl.pseudo_labels.method import (
    CONSISTENCY,
    ConsistencyConfig,
    Kind,
    Method,
)
from samtl.training import state
from samtl.training.experiment import Experiment
from samtl.training.learner import Auxiliary
from tests import tiny
from tests.confusion import small
from utils import confusion
from utils.confusion import label_transfer

STRENGTHS = dict.fromkeys(small.DATA.names, 1.0)


# Methods with variables of their own to keep.
CASES = {
    "lel-ltn, dynamic": (Method(Kind.LABEL_TRANSFER), "dynamic"),
    "softmatch, uncertainty": (Method(Kind.SOFTMATCH), "uncertainty"),
    "mean-teacher, random": (
        Method(Kind.MEAN_TEACHER, consistency=ConsistencyConfig(0.0, 0.9, 1.0)),
        "random",
    ),
}


def _fit(datasets, run, method, weighting):
    pseudo = dict.fromkeys(small.TRAINING.loss_weights, 0.5)
    training = replace(small.TRAINING, task_weighting=weighting)
    config = replace(
        small.CONFIG,
        data=replace(small.DATA, data_dir=run.parent, augmentation=STRENGTHS),
        training=replace(training, pseudo_loss_weights=pseudo),
        method=method,
        run=tiny.run_config(run),
    )
    keras.utils.set_random_seed(0)
    network, transfer = small.network("float32"), small.transfer("float32")
    teacher = small.teacher(network)
    splits = datasets.train
    labels = small.labels(splits)
    mixture = confusion.Mixture(splits, small.TRAINING)
    losses = label_transfer.losses(
        transfer, network, small.TASKS, small.TRAINING.loss_weights
    ) | confusion.split_losses(small.TASKS)
    experiment = Experiment(
        config, datasets, network, teacher, Auxiliary(losses, transfer)
    )
    for number in experiment.rounds([mixture.steps]):
        teacher.update(network)
        if method.kind in CONSISTENCY:
            missing = [
                fill_missing(
                    split, splits, small.TASKS, method, teacher, (0, number)
                )
                for split in splits
            ]
        elif number:
            missing = label_transfer.fill(
                transfer, network, splits, small.TASKS, teacher
            )
        else:
            missing = [masked(split, small.TASKS) for split in splits]
        triples = small.joined(labels, missing)
        experiment.train(mixture.generator(triples, config, number))
    return network, transfer, experiment.rows


@pytest.mark.parametrize("case", CASES)
def test_a_stopped_joint_run_goes_on_to_the_same_weights(tmp_path, case):
    datasets = small.datasets(tmp_path)
    whole, transfer, rows = _fit(datasets, tmp_path / "whole", *CASES[case])
    save = state.save

    def save_and_stop(path, learner, current, rows):
        save(path, learner, current, rows)
        if current["round"] == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            _fit(datasets, tmp_path / "stopped", *CASES[case])
    resumed, transfer_again, again = _fit(
        datasets, tmp_path / "stopped", *CASES[case]
    )
    for one, other in ((whole, resumed), (transfer, transfer_again)):
        for value, same in zip(
            one.get_weights(), other.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(value, same)
    names = [name for name in rows[0] if name.endswith("loss")]
    assert len(names) == 9
    for name in names:
        assert [row[name] for row in again] == [row[name] for row in rows]

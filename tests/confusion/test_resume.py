"""A stopped joint run goes on as if it had not been stopped."""

import functools
import types

import keras
import numpy as np
import pytest

from samtl.training import loop
from tests.confusion import small
from utils import confusion
from utils.confusion import label_transfer

ARGS = types.SimpleNamespace(
    **{**vars(small.ARGS), "is_augmentation": True},
    epoch=3,
    patience=0,
    is_freezing=False,
    no_freezing_epoch=0,
    learning_rate=1e-2,
    schedule="cosine",
    bn_statistics="mixed",
    ema_momentum=0.0,
)


def _fit(datasets, run):
    """LEL-LTN, the method with a network of its own to keep."""
    keras.utils.set_random_seed(0)
    network, transfer = small.network("float32"), small.transfer("float32")
    teacher = small.teacher(network)
    fill = functools.partial(
        label_transfer.fill, transfer, network, 1, small.TASKS
    )
    plan = confusion.Rounds(network, teacher, datasets, small.TASKS, fill, ARGS)
    loss_weights = {"emotion": 1.0, "pose": 1.0}
    terms = label_transfer.terms(transfer, network, plan, loss_weights)
    run.mkdir(exist_ok=True)
    rows = loop.fit(
        network,
        teacher,
        datasets,
        plan,
        loss_weights,
        ARGS,
        run,
        terms | plan.split_losses(),
        transfer,
    )
    return network, transfer, rows


def test_a_stopped_joint_run_goes_on_to_the_same_weights(tmp_path):
    datasets = small.datasets(tmp_path)
    whole, transfer, rows = _fit(datasets, tmp_path / "whole")
    save = loop._save_state

    def save_and_stop(path, learner, state, rows):
        save(path, learner, state, rows)
        if state["round"] == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_save_state", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            _fit(datasets, tmp_path / "stopped")
    resumed, transfer_again, again = _fit(datasets, tmp_path / "stopped")
    for one, other in ((whole, resumed), (transfer, transfer_again)):
        for value, same in zip(
            one.get_weights(), other.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(value, same)
    names = [name for name in rows[0] if name.endswith("loss")]
    assert len(names) == 9
    for name in names:
        assert [row[name] for row in again] == [row[name] for row in rows]

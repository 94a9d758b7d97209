"""From a command line to the configuration of an experiment."""

import pytest

import CONFUSION_EP_multitask as multitask
import CONFUSION_EP_multitask_manifold as manifold
import STL_general_train as single
from samtl.cli import command_line
from samtl.cli.configuration import configure, data_config
from samtl.common.errors import UserError
from samtl.pseudo_labels.method import Regularisers
from tests.cli.test_methods import NO_WEIGHTS

PAIR = ["--dataset_emotion=expw", "--dataset_pose=mtfl"]


def _configure(script, words, tasks=("emotion", "pose")):
    args = command_line.parse(script.parser(), words)
    return configure(args, list(tasks), script.__file__)


def test_a_single_task_has_one_dataset():
    config = _configure(single, ["--dataset=ferplus"], ["emotion"])
    assert config.data.names == {"ferplus": ["emotion"]}
    assert config.training.loss_weights == {"emotion": 1.0}
    assert config.run.method == "stl-emotion"
    assert config.run.script == "STL_general_train"


def test_values_are_carried_over():
    words = [
        *PAIR,
        "--limit",
        "mtfl:10",
        "12",
        "--labels",
        "mtfl:pose",
        "--P_loss_weights=2",
        "--cross_stitch",
        "--is_MRF",
        "--mrf_neighbours=3",
        "--ema_momentum=0.9",
        "--distribute=auto",
    ]
    config = _configure(multitask, words)
    assert config.data.limits == {"expw": 12, "mtfl": 10}
    assert config.data.labels == {"mtfl": ["pose"]}
    assert config.training.loss_weights == {"emotion": 1.0, "pose": 2.0}
    assert config.training.ema_momentum == 0.9
    assert config.network.cross_stitch
    assert config.method.kind == "dcn-ap"
    assert config.method.random_field.neighbours == 3
    assert config.devices.distribute == "auto"
    assert config.run.arguments["mrf_neighbours"] == 3


@pytest.mark.parametrize(
    ("words", "warmup"),
    [
        (["--ltn_warmup=3"], 3),
        (["--ltn_warmup=1", "--pseudo_warmup=4"], 4),
        (["--ltn_warmup=3", "--is_MRF"], 0),
    ],
)
def test_label_transfer_has_a_warm_up_of_its_own(words, warmup):
    config = _configure(multitask, [*PAIR, *NO_WEIGHTS, *words])
    assert config.method.warmup == warmup


def test_terms_that_are_off_have_no_weight():
    words = [*PAIR, "--is_nuclear_norm=False", "--lnorm_weight=0.5"]
    config = _configure(manifold, words)
    assert config.regularisers == Regularisers(lnorm=0.5, trace_norm=1.0)
    assert config.method.kind == "naive"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--labels", "utkface:age"],
            "not trained on; these are: expw, mtfl",
        ),
        (["--labels", "mtfl:gender"], "--labels hides pose of mtfl"),
    ],
)
def test_labels_of_other_datasets_are_refused(words, message):
    args = command_line.parse(multitask.parser(), [*PAIR, *words])
    with pytest.raises(UserError, match=message):
        data_config(args, ["emotion", "pose"])

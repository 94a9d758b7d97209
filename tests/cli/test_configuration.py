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


def test_weights_of_losses_are_carried_over():
    sizes = ["--batch_size", "expw:10", "mtfl:20"]
    words = [*PAIR, *sizes, "--task_weighting=random", "--is_naive"]
    config = _configure(multitask, words)
    assert config.training.batch_sizes == {"expw": 10, "mtfl": 20}
    assert config.training.batch_size == 30
    assert config.training.batch_of("mtfl") == 20
    assert config.training.task_weighting == "random"
    assert config.training.pseudo_loss_weights == {}
    assert config.run.method == "all-in-one-random"
    words = [*PAIR, "--pseudo_loss_weights", "0.1", "pose:0.3"]
    config = _configure(multitask, words)
    weights = {"emotion": 0.1, "pose": 0.3}
    assert config.training.pseudo_loss_weights == weights
    words = [*PAIR, "--pseudo_loss_weights", "pose:0.3"]
    config = _configure(multitask, words)
    assert config.training.pseudo_loss_weights == {"pose": 0.3}


def test_consistency_methods_have_a_mean_of_their_own():
    words = ["--consistency=mean-teacher", "--is_augmentation"]
    config = _configure(multitask, [*PAIR, *words])
    assert config.training.pseudo_loss_weights == {"emotion": 1, "pose": 1}
    assert config.run.method == config.method.kind == "mean-teacher"
    assert not config.method.distribution
    assert config.method.consistency.momentum == 0.99
    assert config.method.consistency.temperature == 1
    words = ["--consistency=fixmatch", "--is_augmentation"]
    words += ["--unlabelled", "mtfl", "--dataset=ferplus"]
    config = _configure(single, words, ["emotion"])
    assert config.run.method == "stl-emotion-fixmatch"
    assert config.method.consistency.threshold == 0.95
    assert config.method.consistency.momentum == 0
    with pytest.raises(UserError, match="take the manifold regularisers"):
        _configure(manifold, [*PAIR, "--consistency=fixmatch"])


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

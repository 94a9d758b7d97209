"""What every loss term and every source of triples does to the gradient."""

import keras
import numpy as np
import pytest
from keras import ops

from samtl import pseudo_labels
from samtl.pseudo_labels.filling import fill_missing
from samtl.training.config import TrainingConfig
from samtl.training.learner import Auxiliary, Learner
from tests.confusion import small
from tests.gradients import STEP, assert_close
from utils import confusion
from utils.confusion import label_transfer, manifold, mrf
from utils.confusion.distribution_matching import Relatedness

LOSS_WEIGHTS = {"emotion": 1.0, "pose": 0.5}
SOURCES = {
    "naive": pseudo_labels.Method("naive"),
    "distilled": pseudo_labels.Method("distilled"),
    "hard": pseudo_labels.Method("hard", selection_threshold=0.5, cluster_k=2),
    "interpolation": pseudo_labels.Method("interpolation", cluster_k=2),
    "lel-ltn": None,
    "dcn-ap": None,
    "distribution-matching": None,
}
TERMS = ("lnorm", "trace_norm", "nuclear_norm", "transfer", "matching")


def _learner(tmp_path, source, chosen=()):
    """A Learner in float64, its first batch, and what it may step."""
    network = small.network()
    auxiliary = None
    if source == "lel-ltn" or "transfer" in chosen:
        auxiliary = small.transfer()
    teacher = small.teacher(network)
    splits = small.datasets(tmp_path).train
    labels = small.labels(splits)
    predict = confusion.Predictions(teacher)
    if source == "distribution-matching" or "matching" in chosen:
        auxiliary = Relatedness(small.TASKS)
        auxiliary.estimate(splits, labels, predict)
    if source == "lel-ltn":
        missing = label_transfer.fill(
            auxiliary, network, splits, small.TASKS, teacher
        )
    elif source == "dcn-ap":
        missing = mrf.fill(
            small.RANDOM_FIELD, splits, small.TASKS, labels, teacher
        )
    elif source == "distribution-matching":
        missing = auxiliary.fill(splits, labels)
    else:
        method = SOURCES[source]
        missing = [
            fill_missing(split, splits, small.TASKS, method, predict, (0, 0))
            for split in splits
        ]
    mixture = confusion.Mixture(splits, small.TRAINING)
    losses = manifold.losses(network, small.TASKS, small.REGULARISERS)
    losses = {name: losses[name] for name in chosen if name in losses}
    if "transfer" in chosen:
        losses |= label_transfer.losses(
            auxiliary, network, small.TASKS, LOSS_WEIGHTS
        )
    if "matching" in chosen:
        losses |= auxiliary.losses(1.0)
    learner = Learner(
        network,
        TrainingConfig(loss_weights=LOSS_WEIGHTS),
        Auxiliary(losses, auxiliary),
    )
    triples = small.joined(labels, missing)
    batches = mixture.generator(triples, small.CONFIG, 0)
    batch = keras.tree.map_structure(
        lambda array: ops.convert_to_tensor(array.astype("float64")),
        batches[0],
    )
    return learner, batch


def _loss(learner, batch):
    inputs, triples = batch
    outputs = learner(inputs)
    return float(learner.compute_loss(inputs, triples, outputs))


def _autodiff(learner, batch):
    """{path: gradient} of all variables, from a step of gradient descent."""
    before = {v.path: ops.convert_to_numpy(v) for v in learner.variables}
    learner.compile(keras.optimizers.SGD(1.0), jit_compile=False)
    learner.train_on_batch(*batch)
    gradients = {}
    for variable in learner.trainable_variables:
        start = before[variable.path]
        gradients[variable.path] = start - ops.convert_to_numpy(variable)
        variable.assign(start)
    return gradients


def _check(learner, batch, gradients, layers):
    """Compare some entries of the layers' kernels with finite differences."""
    rng = np.random.default_rng(0)
    for layer in layers:
        start = ops.convert_to_numpy(layer.kernel)
        found = gradients[layer.kernel.path]
        assert np.abs(found).max() > 1e-4
        places = tuple(rng.integers(size, size=6) for size in start.shape)
        expected = []
        for index in zip(*places, strict=True):
            losses = []
            for sign in (1, -1):
                changed = start.copy()
                changed[index] += sign * STEP
                layer.kernel.assign(changed)
                losses.append(_loss(learner, batch))
            expected.append((losses[0] - losses[1]) / (2 * STEP))
        layer.kernel.assign(start)
        assert_close(found[places], expected)


def _heads(learner):
    return [learner.network.get_layer(f"head_{t.name}") for t in small.TASKS]


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_of_triples_has_its_own_gradient(tmp_path, source):
    learner, batch = _learner(tmp_path / "a", source)
    gradients = _autodiff(learner, batch)
    features = learner.network.get_layer("task_pose_features")
    _check(learner, batch, gradients, [*_heads(learner), features])
    if source == "naive":
        return
    plain = _autodiff(*_learner(tmp_path / "b", "naive"))
    for head in _heads(learner):
        values = list(plain.values())[list(gradients).index(head.kernel.path)]
        assert np.abs(gradients[head.kernel.path] - values).max() > 1e-3


@pytest.mark.parametrize("term", TERMS)
def test_every_term_of_the_loss_has_a_gradient(tmp_path, term):
    learner, batch = _learner(tmp_path / "a", "naive", [term])
    gradients = _autodiff(learner, batch)
    layers = _heads(learner)
    if term == "transfer":
        # The heads act on it through predictions too, which are held constant.
        names = ("hidden_pose", "to_pose", "hidden_emotion", "to_emotion")
        layers = [learner.auxiliary_model.get_layer(name) for name in names]
    _check(learner, batch, gradients, layers)
    plain = _autodiff(*_learner(tmp_path / "b", "naive"))
    for head in _heads(learner):
        values = list(plain.values())[list(gradients).index(head.kernel.path)]
        assert np.abs(gradients[head.kernel.path] - values).max() > 1e-4

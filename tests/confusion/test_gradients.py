"""What every loss term and every source of triples does to the gradient."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from samtl import pseudo_labels
from samtl.training.learner import Learner
from tests.confusion import small
from tests.gradients import STEP, assert_close
from utils import confusion
from utils.confusion import label_transfer, manifold, mrf

LOSS_WEIGHTS = {"emotion": 1.0, "pose": 0.5}
SOURCES = {
    "naive": pseudo_labels.Method("naive"),
    "distilled": pseudo_labels.Method("distilled"),
    "hard": pseudo_labels.Method("hard", selection_threshold=0.5, cluster_k=2),
    "interpolation": pseudo_labels.Method("interpolation", cluster_k=2),
    "lel-ltn": None,
    "dcn-ap": None,
}
TERMS = ("lnorm", "trace_norm", "nuclear_norm", "transfer")


def _learner(tmp_path, source, chosen=()):
    """A Learner in float64, its plan's first batch, and what it may step."""
    network = small.network()
    transfer = None
    if source == "lel-ltn" or "transfer" in chosen:
        transfer = small.transfer()
    if source == "lel-ltn":
        fill = functools.partial(
            label_transfer.fill, transfer, network, 0, small.TASKS
        )
    elif source == "dcn-ap":
        fill = functools.partial(mrf.fill, small.TASKS, small.ARGS)
    else:
        fill = functools.partial(
            confusion.fill, small.TASKS, SOURCES[source], small.ARGS
        )
    plan = confusion.Rounds(
        network,
        small.teacher(network),
        small.datasets(tmp_path),
        small.TASKS,
        fill,
        small.ARGS,
    )
    terms = manifold.terms(network, small.TASKS, small.ARGS)
    terms = {name: terms[name] for name in chosen if name in terms}
    if "transfer" in chosen:
        terms |= label_transfer.terms(transfer, network, plan, LOSS_WEIGHTS)
    learner = Learner(network, LOSS_WEIGHTS, terms, transfer)
    batch = keras.tree.map_structure(
        lambda array: ops.convert_to_tensor(array.astype("float64")),
        plan(0).batches[0],
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
        layers = [learner.companion.get_layer(name) for name in names]
    _check(learner, batch, gradients, layers)
    plain = _autodiff(*_learner(tmp_path / "b", "naive"))
    for head in _heads(learner):
        values = list(plain.values())[list(gradients).index(head.kernel.path)]
        assert np.abs(gradients[head.kernel.path] - values).max() > 1e-4

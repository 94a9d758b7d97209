import numpy as np
import pytest
from scipy.special import log_softmax

from samtl.pseudo_labels.targets import separate_loss
from samtl.training import learner


def test_triple_loss_equals_the_formula():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 4)).astype("float32")
    target = rng.dirichlet(np.ones(4), 6).astype("float32")
    weight = np.array([0, 1, 0.5, 2, 0, 1], "float32")
    temperature = np.array([1, 1, 2, 3, 1, 1.5], "float32")
    total = 0.0
    for i in range(6):
        tempered = log_softmax(logits[i] / temperature[i])
        entropy = -sum(target[i] * tempered)
        total += weight[i] * temperature[i] ** 2 * entropy
    loss = learner.triple_loss(target, weight, temperature, logits)
    assert float(loss) == pytest.approx(total / 4, rel=1e-5)


def test_true_and_filled_in_labels_are_averaged_apart():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5, 3)).astype("float32")
    target = rng.dirichlet(np.ones(3), 5).astype("float32")
    weight = np.array([1, 0.5, 2, 0, 1], "float32")
    ones = np.ones(5, "float32")
    labelled = np.array([1, 0, 0, 0, 1], "float32")
    entropy = -(target * log_softmax(logits, axis=1)).sum(axis=1)
    true = (entropy[0] + entropy[4]) / 2
    filled = (0.5 * entropy[1] + 2 * entropy[2]) / 2
    loss = separate_loss(target, weight, ones, labelled, logits, 0.1)
    assert float(loss) == pytest.approx(true + 0.1 * filled, rel=1e-5)


def test_a_batch_without_labels_costs_nothing():
    zeros, ones = np.zeros(3, "float32"), np.ones(3, "float32")
    uniform = np.full((3, 2), 0.5, "float32")
    loss = learner.triple_loss(uniform, zeros, ones, uniform)
    assert float(loss) == 0.0


def test_a_pass_reports_mean_losses():
    class Fake:
        def train_on_batch(self, inputs, triples, return_dict):
            return {"loss": inputs + triples, "pose_loss": triples}

    batches = [(1.0, 2.0), (2.0, 4.0), (3.0, 0.0)]
    losses = learner.fit_pass(Fake(), batches, "a pass")
    assert losses == pytest.approx({"loss": 4.0, "pose_loss": 2.0})

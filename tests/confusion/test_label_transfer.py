import keras
import numpy as np
from keras import ops
from scipy.special import softmax

from samtl import networks
from samtl.data import tables
from samtl.data.tasks import Task
from samtl.pseudo_labels.filling import masked
from samtl.training.learner import Auxiliary, Learner, fit_pass
from tests.confusion import small
from tests.gradients import assert_close, descend, finite_differences
from utils import confusion
from utils.confusion import label_transfer

DIMENSIONS = networks.LABEL_DIMENSIONS
MOOD, SIDE = Task("mood", ("sad", "happy")), Task("side", ("l", "m", "r"))


def _two_heads(embeddings):
    """A network of which only the heads' kernels matter."""
    image = keras.Input((DIMENSIONS,))
    logits = {
        name: keras.layers.Dense(
            len(rows), use_bias=False, name=f"head_{name}"
        )(image)
        for name, rows in embeddings.items()
    }
    network = keras.Model(image, {"logits": logits})
    for name, rows in embeddings.items():
        network.get_layer(f"head_{name}").kernel.assign(np.transpose(rows))
    return network


def test_pseudo_targets_of_a_case_worked_out_by_hand():
    # Sad is the unit vector 0, happy the unit vector 1.
    embeddings = {
        "mood": np.eye(2, DIMENSIONS),
        "side": np.zeros((3, DIMENSIONS)),
    }
    network = _two_heads(embeddings)
    transfer = label_transfer.build([MOOD, SIDE])
    # To tell the side: unit 0 doubles what is sad, unit 1 takes 1/2 from what
    # is happy; left has the one, right the other for its logit.
    hidden = np.zeros((DIMENSIONS, label_transfer.HIDDEN))
    hidden[0, 0], hidden[1, 1] = 2.0, 1.0
    bias = np.zeros(label_transfer.HIDDEN)
    bias[1] = -0.5
    out = np.zeros((label_transfer.HIDDEN, 3))
    out[0, 0] = out[1, 2] = 1.0
    transfer.get_layer("hidden_side").set_weights([hidden, bias])
    transfer.get_layer("to_side").set_weights([out, np.zeros(3)])
    # p = (1/4, 3/4) and (3/4, 1/4).
    logits = {
        "mood": np.log([[1.0, 3.0], [3.0, 1.0]]),
        "side": np.zeros((2, 3)),
    }
    found = label_transfer.transferred(transfer, network, logits)
    # 2 * 1/4, 0, 3/4 - 1/2; and 2 * 3/4, 0, relu(1/4 - 1/2).
    np.testing.assert_allclose(
        ops.convert_to_numpy(found["side"]),
        [[0.5, 0, 0.25], [1.5, 0, 0]],
        atol=1e-6,
    )


def test_a_task_reads_the_other_tasks_only():
    tasks = [*small.TASKS, Task("gender", ("female", "male"))]
    transfer = label_transfer.build(tasks)
    rng = np.random.default_rng(0)
    read = {task.name: rng.normal(size=(4, DIMENSIONS)) for task in tasks}
    before = keras.tree.map_structure(ops.convert_to_numpy, transfer(read))
    for task in tasks:
        changed = {**read, task.name: rng.normal(size=(4, DIMENSIONS))}
        after = transfer(changed)
        for name, values in before.items():
            same = np.allclose(values, ops.convert_to_numpy(after[name]))
            assert same is (name == task.name)


def test_expected_embeddings_equal_a_loop():
    rng = np.random.default_rng(0)
    logits, embeddings = rng.normal(size=(5, 3)), rng.normal(size=(3, 4))
    expected = np.zeros((5, 4))
    for i in range(5):
        probabilities = softmax(logits[i])
        for j in range(3):
            expected[i] += probabilities[j] * embeddings[j]
    found = label_transfer.expected_embeddings(logits, embeddings)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_gradient_of_the_embeddings_equals_finite_differences():
    rng = np.random.default_rng(0)
    logits = ops.convert_to_tensor(rng.normal(size=(5, 3)))
    mixing = ops.convert_to_tensor(rng.normal(size=(4, 2)))
    targets = ops.convert_to_tensor(np.eye(2)[[0, 1, 1, 0, 1]])

    def loss(embeddings):
        read = label_transfer.expected_embeddings(logits, embeddings)
        predicted = ops.log_softmax(ops.matmul(read, mixing))
        return -ops.sum(targets * predicted) / 5

    start = rng.normal(size=(3, 4))
    expected = finite_differences(loss, start)
    assert np.abs(expected).max() > 1e-3
    assert_close(descend(loss, start), expected)


def test_predictions_take_the_place_of_missing_labels(tmp_path):
    network, transfer = small.network("float32"), small.transfer("float32")
    teacher = small.teacher(network)
    splits = small.datasets(tmp_path).train
    large, small_set, both = label_transfer.fill(
        transfer, network, splits, small.TASKS, teacher
    )
    assert set(large) == {small.POSE}
    assert set(small_set) == {small.EMOTION}
    assert both == {}
    found = large[small.POSE]
    assert (found.weight == 1).all()
    assert (found.temperature == 1).all()
    assert (found.diagnostics["weight"] == 1).all()
    logits = teacher.predict(splits[0].batches(7))["logits"]
    read = {
        name: softmax(values, axis=1)
        @ ops.convert_to_numpy(network.get_layer(f"head_{name}").kernel).T
        for name, values in logits.items()
    }
    targets = softmax(ops.convert_to_numpy(transfer(read)["pose"]), axis=1)
    np.testing.assert_allclose(found.target, targets, rtol=1e-4)


def test_a_missing_label_of_a_labelled_dataset_is_predicted(tmp_path):
    network, transfer = small.network("float32"), small.transfer("float32")
    splits = small.datasets(tmp_path).train
    splits[2].table.rows.loc[1, "pose"] = tables.UNKNOWN
    filled = label_transfer.fill(
        transfer, network, splits, small.TASKS, small.teacher(network)
    )
    assert filled[2][small.POSE].weight.tolist() == [0, 1, 0]
    triples = small.joined(small.labels(splits), filled)[2][small.POSE]
    assert triples.weight.tolist() == [1, 1, 1]
    assert triples.labelled.tolist() == [True, False, True]
    assert (triples.target.max(axis=1) == 1).tolist() == [True, False, True]


def test_transfer_networks_learn_what_goes_together(tmp_path):
    network, transfer = small.network("float32"), small.transfer("float32")
    splits = small.datasets(tmp_path).train
    missing = [masked(split, small.TASKS) for split in splits]
    triples = small.joined(small.labels(splits), missing)
    loss_weights = {"emotion": 1.0, "pose": 1.0}
    mixture = confusion.Mixture(splits, small.TRAINING)
    losses = label_transfer.losses(transfer, network, small.TASKS, loss_weights)
    losses = confusion.split_losses(small.TASKS) | losses
    learner = Learner(network, small.TRAINING, Auxiliary(losses, transfer))
    learner.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    reported = [
        fit_pass(
            learner, mixture.generator(triples, small.CONFIG, number), "a pass"
        )
        for number in range(15)
    ]
    for task in ("emotion", "pose"):
        first, last = (r[f"{task}_transfer_loss"] for r in reported[::14])
        assert last < first
        assert reported[0][f"{task}_pseudo_loss"] == 0
    row = reported[-1]
    parts = sum(
        row[f"{task}_{name}_loss"]
        for task in loss_weights
        for name in ("labelled", "transfer")
    )
    assert abs(row["loss"] - parts) < 1e-4

"""Labels of every step, against the formulas of their papers."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import softmax

from samtl.data import augmentation
from samtl.data.tasks import Task
from samtl.pseudo_labels import Method, consistency
from samtl.pseudo_labels.consistency import Consistency
from samtl.pseudo_labels.method import ConsistencyConfig
from samtl.pseudo_labels.targets import triple_loss

TASKS = [Task("emotion", ("a", "b", "c")), Task("pose", ("d", "e"))]
LOGITS = np.array([[4.0, 0, 0], [0.2, 0.1, 0], [0, 0, 9]], "float32")


def _network():
    keras.utils.set_random_seed(1)
    image = keras.Input((4, 4, 1))
    x = keras.layers.BatchNormalization()(image)
    x = keras.layers.Flatten()(x)
    heads = {t.name: keras.layers.Dense(len(t), name=t.name) for t in TASKS}
    logits = {name: head(x) for name, head in heads.items()}
    return keras.Model(image, {"logits": logits, "features": logits})


def _batch(labelled):
    """Images and triples of a batch; the other labels are missing."""
    rng = np.random.default_rng(0)
    labelled = np.array(labelled, "float32")
    count = len(labelled)
    images = rng.uniform(0, 255, (count, 4, 4, 1)).astype("float32")
    triples = {
        task.name: {
            "target": rng.dirichlet(np.ones(len(task)), count).astype("f"),
            "weight": np.ones(count, "float32"),
            "temperature": np.ones(count, "float32"),
            "labelled": labelled,
        }
        for task in TASKS
    }
    return images, triples


def _numpy(tree):
    return keras.tree.map_structure(ops.convert_to_numpy, tree)


def test_targets_are_one_hot_or_tempered():
    found = ops.convert_to_numpy(consistency.targets(LOGITS, 0))
    assert found.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1]]
    found = ops.convert_to_numpy(consistency.targets(LOGITS, 0.5))
    np.testing.assert_allclose(found, softmax(LOGITS / 0.5, 1), rtol=1e-5)


def test_fixmatch_takes_sure_labels_and_averages_over_all():
    probabilities = softmax(LOGITS, axis=1)
    weight = consistency.fixmatch(probabilities, 0.95)
    assert ops.convert_to_numpy(weight).tolist() == [1, 0, 1]
    # The loss is a mean over the missing labels, selected or not.
    missing = np.array([1, 1, 0], "float32")
    weight = weight * missing
    weight = consistency.mean_over_all(weight, missing)
    target = consistency.targets(LOGITS, 0)
    learner = np.array([[1.0, 2, 3], [3, 2, 1], [0, 0, 0]], "float32")
    loss = triple_loss(target, weight, np.ones(3, "float32"), learner)
    wanted = -np.log(softmax(learner[0])[0]) / 2
    assert float(loss) == pytest.approx(wanted, rel=1e-5)


def test_softmatch_equals_a_loop():
    rng = np.random.default_rng(0)
    batches = rng.dirichlet([2, 1, 0.5], (4, 6))
    missing = np.array([1, 1, 0, 1, 1, 1], "float32")
    mean, variance, marginal = 1 / 3, 1.0, np.full(3, 1 / 3)
    found = (np.float32(mean), np.float32(variance), marginal.astype("f"))
    for batch in batches:
        rows = batch[missing > 0]
        marginal = 0.999 * marginal + 0.001 * rows.mean(axis=0)

        def aligned(p, marginal=marginal):
            scaled = p / marginal / 3
            return (scaled / scaled.sum(axis=1, keepdims=True)).max(axis=1)

        mean = 0.999 * mean + 0.001 * aligned(rows).mean()
        variance = 0.999 * variance + 0.001 * aligned(rows).var(ddof=1)
        found = consistency.softmatch_statistics(
            batch.astype("f"), missing, found
        )
        for one, other in zip(found, (mean, variance, marginal), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5)
    weights = []
    for value in aligned(batch):
        gap = min(0.0, value - mean)
        weights.append(np.exp(-(gap**2) / (2 * variance / 4)))
    np.testing.assert_allclose(
        consistency.softmatch(batch.astype("f"), *found), weights, rtol=1e-5
    )
    unchanged = consistency.softmatch_statistics(batch, 0 * missing, found)
    for one, other in zip(found, unchanged, strict=True):
        np.testing.assert_array_equal(one, other)


def test_true_labels_and_masked_samples_stay():
    images, triples = _batch([1, 0, 0, 0])
    triples["emotion"]["weight"][2] = 0  # fills up a batch, or warms up
    method = Method("fixmatch", consistency=ConsistencyConfig(threshold=0.0))
    network = _network()
    made = Consistency(network, TASKS, method)
    found = _numpy(made.fill(network, images, triples))
    logits = _numpy(network(images, training=False))["logits"]
    for task in TASKS:
        old, new = triples[task.name], found[task.name]
        kept = [0, 2] if task.name == "emotion" else [0]
        filled = [row for row in range(4) if row not in kept]
        labels = np.eye(len(task))[logits[task.name].argmax(axis=1)]
        for name in ("target", "weight"):
            np.testing.assert_array_equal(new[name][kept], old[name][kept])
        np.testing.assert_array_equal(new["target"][filled], labels[filled])
        assert (new["weight"][filled] == 1).all()
        np.testing.assert_array_equal(new["temperature"], old["temperature"])


def test_the_mean_teacher_is_the_moving_average():
    images, triples = _batch([0, 0, 0])
    method = Method(
        "mean-teacher",
        consistency=ConsistencyConfig(momentum=0.75, temperature=1.0),
    )
    network = _network()
    teacher = Consistency(network, TASKS, method)
    assert not teacher.trainable_variables
    average = [weight.copy() for weight in network.get_weights()]
    for step in range(3):
        network.set_weights([w + 0.1 * step for w in network.get_weights()])
        trained = {id(v) for v in network.trainable_variables}
        for place, variable in enumerate(network.variables):
            value = ops.convert_to_numpy(variable)
            share = 0.25 if id(variable) in trained else 1.0
            average[place] = (1 - share) * average[place] + share * value
        found = teacher.fill(network, images, triples)
    other = _network()
    other.set_weights(average)
    logits = _numpy(other(images, training=False))["logits"]
    for name, triple in _numpy(found).items():
        np.testing.assert_allclose(
            triple["target"], softmax(logits[name], 1), rtol=1e-3, atol=1e-5
        )
        assert (triple["weight"] == 1).all()


def test_the_clean_image_is_mirrored_as_the_augmented_one():
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (8, 5, 5, 1)).astype("float32")
    drawn, flipped = augmentation.draw(rng, 8, 5, 5)
    assert 0 < flipped.sum() < 8
    found = augmentation.mirrored(images, drawn["transform"])
    wanted = np.where(flipped[:, None, None, None], images[:, :, ::-1], images)
    np.testing.assert_array_equal(found, wanted)

"""The teacher is a real copy, and predicts what the network would."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from samtl import networks
from samtl.data.tasks import GENDER, POSE, Task
from samtl.pseudo_labels import Teacher


def tiny():
    """A network with the outputs of `networks.build`, and statistics."""
    image = keras.Input((8, 8, 1), name="image")
    shared = layers.Rescaling(1 / 255)(image)
    shared = layers.Conv2D(4, 3)(shared)
    shared = layers.BatchNormalization()(shared)
    shared = layers.Dropout(0.5)(shared)
    outputs = {"logits": {}, "features": {}}
    for task, classes in (("emotion", 3), ("pose", 2)):
        features = layers.Dense(6)(layers.GlobalAveragePooling2D()(shared))
        outputs["features"][task] = features
        outputs["logits"][task] = layers.Dense(classes)(features)
    return keras.Model(image, outputs)


def images(count, size=8):
    random = np.random.default_rng(count)
    return random.integers(0, 256, (count, size, size, 1), "uint8")


def same(first, second, **tolerance):
    keras.tree.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, **tolerance),
        first,
        second,
    )


def direct(network, pixels):
    outputs = network(pixels.astype("float32"), training=False)
    return keras.tree.map_structure(ops.convert_to_numpy, outputs)


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    return tiny()


def test_predicts_what_the_network_does(network):
    pixels = images(11)
    found = Teacher(network, 4).predict([pixels[:4], pixels[4:8], pixels[8:]])
    assert found["logits"]["emotion"].shape == (11, 3)
    assert found["features"]["pose"].shape == (11, 6)
    assert found["logits"]["pose"].dtype == np.float32
    same(found, direct(network, pixels), rtol=1e-4, atol=1e-5)


def test_does_not_follow_training(network):
    pixels = images(4)
    teacher = Teacher(network, 4)
    before = teacher.predict([pixels])
    network.set_weights([w + 1.0 for w in network.get_weights()])
    same(teacher.predict([pixels]), before, rtol=0, atol=0)
    teacher.update(network)
    same(
        teacher.predict([pixels]),
        direct(network, pixels),
        rtol=1e-4,
        atol=1e-4,
    )


def test_leaves_the_network_trainable(network):
    count = len(network.trainable_variables)
    Teacher(network, 4)
    assert len(network.trainable_variables) == count > 0


def test_copies_frozen_networks_in_order(network):
    teacher = Teacher(network, 3)
    network.layers[2].trainable = False
    network.set_weights([w * 2.0 for w in network.get_weights()])
    teacher.update(network)
    pixels = images(3)
    same(teacher.predict([pixels]), direct(network, pixels), rtol=1e-4)


def test_partial_batches_are_padded(network, monkeypatch):
    """Every prediction has one shape, whatever was predicted before."""
    teacher = Teacher(network, 4)
    shapes = []
    predict = teacher._predict_on_batch

    def recorded(pixels):
        shapes.append(pixels.shape)
        return predict(pixels)

    monkeypatch.setattr(teacher, "_predict_on_batch", recorded)
    pixels = images(7)
    found = teacher.predict(iter([pixels[:3], pixels[3:]]))
    assert shapes == [(4, 8, 8, 1)] * 2
    same(found, direct(network, pixels), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cross_stitch", [False, True])
def test_copies_the_real_network(cross_stitch):
    network = networks.build(
        "mini_xception",
        [Task("pose", POSE), Task("gender", GENDER)],
        is_dropout=True,
        weights_decay=1e-3,
        cross_stitch=cross_stitch,
    )
    pixels = images(2, 64)
    found = Teacher(network, 2).predict([pixels])
    assert found["features"]["pose"].shape == (2, 128)
    same(found, direct(network, pixels), rtol=1e-3, atol=1e-4)

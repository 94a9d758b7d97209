"""TensorFlow's own batch normalisation against that of Keras."""

import keras
import numpy as np
import pytest

from samtl import networks

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the path of TensorFlow"
)
array = keras.ops.convert_to_numpy


def build(dtype="float32"):
    image = keras.Input((5, 4, 3))
    x = keras.layers.BatchNormalization(
        epsilon=0.1, momentum=0.7, dtype=dtype, name="normalised"
    )(image)
    dense = keras.layers.BatchNormalization(name="of_vectors")
    return keras.Model(image, dense(keras.layers.Flatten()(x)))


def step(network, images, towards):
    """Outputs, gradients of all, moving statistics, outputs by these."""
    inputs = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = network(inputs, training=True)
        value = tf.reduce_sum(outputs * towards)
    variables = [variable.value for variable in network.trainable_variables]
    gradients = tape.gradient(value, [inputs, *variables])
    statistics = network.non_trainable_variables
    return [outputs, *gradients, *statistics, network(images)]


@pytest.mark.parametrize(
    ("count", "dtype", "tolerance"),
    [(1, "float32", 1e-4), (6, "float32", 1e-4), (6, "mixed_bfloat16", 2e-2)],
)
def test_same_values_gradients_and_statistics(count, dtype, tolerance):
    rng = np.random.default_rng(0)
    kept, source = build(dtype), build(dtype)
    weights = [rng.uniform(0.5, 2, w.shape) for w in kept.get_weights()]
    images = rng.normal(3, 2, (count, 5, 4, 3)).astype("float32")
    towards = rng.normal(size=(count, 60)).astype("float32")
    fused = networks.fuse(source)
    results = []
    for network in (kept, fused):
        network.set_weights(weights)
        results.append([array(x) for x in step(network, images, towards)])
    for expected, found in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, tolerance, tolerance)


@pytest.mark.parametrize("training", [True, False])
def test_it_is_one_operation(training):
    network = networks.fuse(build())
    graph = tf.function(lambda x: network(x, training=training))
    operations = graph.get_concrete_function(
        tf.TensorSpec((None, 5, 4, 3))
    ).graph.get_operations()
    kinds = [operation.type for operation in operations]
    assert kinds.count("FusedBatchNormV3") == 1


@pytest.mark.parametrize(
    "options", [{"scale": False}, {"center": False}, {"axis": 1}]
)
def test_other_layers_are_left_to_keras(options):
    image = keras.Input((5, 4, 3))
    layer = keras.layers.BatchNormalization(**options)
    network = keras.Model(image, layer(image))
    assert networks.fuse(network).layers[1] is layer


def test_a_frozen_layer_keeps_its_statistics():
    network = networks.fuse(build())
    layer = network.get_layer("normalised")
    layer.trainable = False
    before = layer.get_weights()
    network(np.ones((2, 5, 4, 3), "float32"), training=True)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_the_copy_is_frozen_with_the_network_and_back():
    network = build()
    fused = networks.fuse(network)
    network.trainable = False
    assert not fused.trainable_variables
    again = networks.fuse(network)  # of a frozen network
    assert not again.trainable_variables
    for layer in again.layers:
        layer.trainable = True
    for one in (again, fused):
        assert len(one.trainable_variables) == 4
        assert all(layer.trainable for layer in one.layers[1:])
    network.trainable = True
    assert len(network.trainable_variables) == 4


def shares(one, other):
    """Whether two networks have the same variables in the same order."""
    pairs = zip(one.variables, other.variables, strict=True)
    return all(left is right for left, right in pairs)


@pytest.mark.parametrize("change", [networks.fuse, networks.synchronise])
def test_the_copy_has_the_same_variables_and_layer_names(change):
    network = build()
    copy = change(network)
    assert shares(copy, network)
    names = [layer.name for layer in copy.layers[1:]]
    assert names == [layer.name for layer in network.layers[1:]]


def test_synchronised_layers_have_the_values_of_keras_on_one_device():
    rng = np.random.default_rng(0)
    images = rng.normal(3, 2, (6, 5, 4, 3)).astype("float32")
    towards = rng.normal(size=(6, 60)).astype("float32")
    kept, source = build(), build()
    synchronised = networks.synchronise(source)
    found, expected = (
        [array(x) for x in step(network, images, towards)]
        for network in (synchronised, kept)
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, 1e-4, 1e-4)
    assert synchronised.get_layer("normalised").synchronized
    assert synchronised.get_layer("of_vectors").synchronized


@pytest.mark.parametrize("change", [networks.fuse, networks.synchronise])
def test_what_is_saved_and_cloned_is_keras_own_layer(tmp_path, change):
    network = build()
    copy = change(network)
    network.save(tmp_path / "network.keras")
    for other in (
        keras.models.load_model(tmp_path / "network.keras"),
        keras.models.clone_model(copy),
    ):
        for name in ("normalised", "of_vectors"):
            layer = other.get_layer(name)
            assert type(layer) is keras.layers.BatchNormalization
            assert layer.get_config() == network.get_layer(name).get_config()
            assert not layer.synchronized

"""mini_Xception against the paper's network in plain Keras layers."""

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from samtl import networks
from samtl.data.tasks import EMOTION_7, POSE, Task

EMOTION = Task("emotion", EMOTION_7)
PARAMETERS = 58_423  # of the published model with 7 classes


def published(classes):
    """The published network on images scaled to -1..1, strided shortcuts."""
    x = inputs = keras.Input((64, 64, 1))
    for number in (1, 2):
        x = layers.Conv2D(8, 3, use_bias=False, name=f"conv2d_{number}")(x)
        x = layers.BatchNormalization(name=f"batch_normalization_{number}")(x)
        x = layers.ReLU()(x)
    conv, norm, separable = 2, 2, 0
    for filters in (16, 32, 64, 128):
        conv, norm = conv + 1, norm + 1
        shortcut = layers.Conv2D(
            filters,
            1,
            strides=2,
            padding="same",
            use_bias=False,
            name=f"conv2d_{conv}",
        )(x)
        shortcut = layers.BatchNormalization(
            name=f"batch_normalization_{norm}"
        )(shortcut)
        for last in (False, True):
            separable, norm = separable + 1, norm + 1
            x = layers.SeparableConv2D(
                filters,
                3,
                padding="same",
                use_bias=False,
                name=f"separable_conv2d_{separable}",
            )(x)
            x = layers.BatchNormalization(name=f"batch_normalization_{norm}")(x)
            x = x if last else layers.ReLU()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = layers.add([x, shortcut])
    x = layers.Conv2D(classes, 3, padding="same", name="conv2d_7")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Softmax(name="predictions")(x))


def randomise(model, seed=0):
    """Weights of a trained size: kernels as they are, statistics not 0, 1."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.gamma.shape[0]
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.5, size),
                    rng.normal(0, 0.3, size),
                    rng.normal(0, 0.3, size),
                    rng.uniform(0.5, 1.5, size),
                ]
            )
    return model


def write_legacy(path, model, group="model_weights", first=1):
    """Write `model` by hand as Keras 2 did: attributes and arrays."""
    names = {}
    for layer in model.layers:
        if layer.name.rpartition("_")[2].isdigit() and layer.weights:
            kind, _, number = layer.name.rpartition("_")
            number = int(number) - 1 + first
            names[layer] = f"{kind}_{number}" if number else kind
    with h5py.File(path, "w") as file:
        root = file.create_group(group) if group else file
        root.attrs["layer_names"] = [
            name.encode() for name in ["input_1", *names.values()]
        ]
        root.create_group("input_1").attrs["weight_names"] = []
        for layer, name in names.items():
            home = root.create_group(name)
            paths = [f"{name}/{weight.name}:0" for weight in layer.weights]
            home.attrs["weight_names"] = [path.encode() for path in paths]
            for place, weight in zip(paths, layer.get_weights(), strict=True):
                home.create_dataset(place, data=weight)


@pytest.fixture(scope="module")
def reference():
    keras.utils.set_random_seed(3)
    return randomise(published(7))


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (6, 64, 64, 1), dtype=np.uint8)


def test_parameters(reference):
    assert reference.count_params() == PARAMETERS
    network = networks.build("mini_xception", [EMOTION])
    assert network.count_params() == PARAMETERS


@pytest.mark.parametrize(
    ("group", "first"), [("model_weights", 1), ("", 0), ("model_weights", 95)]
)
def test_published_file_gives_published_outputs(
    tmp_path, reference, images, group, first
):
    path = tmp_path / "fer2013_mini_XCEPTION.hdf5"
    write_legacy(path, reference, group, first)
    network = networks.build("mini_xception", [EMOTION, Task("pose", POSE)])
    summary = networks.load_weights(network, path)
    assert summary.endswith("starts fresh: head_pose")
    ours = networks.probabilities(network)(images)["emotion"]
    theirs = reference(images.astype("float32") / 127.5 - 1)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(ours),
        keras.ops.convert_to_numpy(theirs),
        atol=1e-5,
    )
    emotion, pose = (
        network.get_layer(f"task_{task}_separable2").get_weights()
        for task in ("emotion", "pose")
    )
    for one, other in zip(emotion, pose, strict=True):
        np.testing.assert_array_equal(one, other)


def test_published_model_in_new_format(tmp_path, reference, images):
    path = tmp_path / "again.keras"
    reference.save(path)
    network = networks.build("mini_xception", [EMOTION])
    assert "fresh" not in networks.load_weights(network, path)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(
            networks.probabilities(network)(images)["emotion"]
        ),
        keras.ops.convert_to_numpy(
            reference(images.astype("float32") / 127.5 - 1)
        ),
        atol=1e-5,
    )


def test_subsampled_shortcut_equals_strided_convolution():
    x = np.random.default_rng(1).normal(size=(2, 15, 8, 5)).astype("float32")
    strided = layers.Conv2D(7, 1, strides=2, padding="same", use_bias=False)
    dense = layers.Conv2D(7, 1, use_bias=False)
    expected = strided(x)
    small = layers.MaxPooling2D(1, strides=2, padding="same")(x)
    dense.build(small.shape)
    dense.set_weights(strided.get_weights())
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(small), x[:, ::2, ::2]
    )
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(dense(small)),
        keras.ops.convert_to_numpy(expected),
        atol=1e-6,
    )


def test_features_are_means_of_the_task_layer(images):
    network = networks.build("mini_xception", [EMOTION])
    block = keras.Model(
        network.input, network.get_layer("task_emotion_sum").output
    )(images)
    outputs = network(images)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(outputs["features"]["emotion"]),
        keras.ops.convert_to_numpy(block).mean((1, 2)),
        atol=1e-5,
    )


def test_head_is_a_convolution_of_the_task_layer(images):
    """Logits by a loop over the 3 x 3 windows of the padded 4 x 4 map."""
    network = networks.build("mini_xception", [EMOTION])
    block = keras.ops.convert_to_numpy(
        keras.Model(
            network.input, network.get_layer("task_emotion_sum").output
        )(images)
    )
    kernel, bias = network.get_layer("head_emotion").get_weights()
    padded = np.pad(block, ((0, 0), (1, 1), (1, 1), (0, 0)))
    logits = np.mean(
        [
            np.einsum("bijc,ijco->bo", padded[:, y : y + 3, x : x + 3], kernel)
            for y in range(4)
            for x in range(4)
        ],
        axis=0,
    )
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(network(images)["logits"]["emotion"]),
        logits + bias,
        atol=1e-4,
    )

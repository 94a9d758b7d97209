"""Residual networks: their size, and trunk against the paper's equations."""

import itertools

import keras
import numpy as np
import pytest
from scipy.signal import correlate

from samtl import networks
from samtl.data.tasks import EMOTION_7, POSE, Task
from samtl.networks import heads

TASKS = [Task("emotion", EMOTION_7), Task("pose", POSE)]
array = keras.ops.convert_to_numpy


@pytest.mark.parametrize(
    ("model", "widths", "more", "last"),
    [
        ("mini_resnet", (16, 32, 64, 128), 0, "block3"),
        # WRN-16-4: a second block in each group.
        ("wide_resnet", (16, 64, 128, 256), 1, "block3_2"),
    ],
)
def test_sizes(model, widths, more, last):
    network = networks.build(model, TASKS)
    trunk = [layer for layer in network.layers if heads.is_trunk(layer)]
    # Kernels, and four numbers a channel of batch normalisation.
    convolutions = [(1, 9, 16)]
    for before, after in itertools.pairwise(widths):
        convolutions += [(before, 9, after), (after, 9, after)]
        convolutions += [(before, 1, after)]
        convolutions += 2 * more * [(after, 9, after)]
    expected = sum(
        before * size * after + 4 * after
        for before, size, after in convolutions
    )
    assert sum(layer.count_params() for layer in trunk) == expected
    output = network.get_layer(f"{last}_relu2").output
    assert output.shape == (None, 8, 8, widths[-1])


@pytest.mark.parametrize(
    ("model", "block", "entry"),
    [
        ("mini_resnet", "block2", "pool2"),
        ("wide_resnet", "block2_1", "pool2"),
        ("wide_resnet", "block2_2", "block2_1_relu2"),
    ],
)
def test_block_is_the_residual_of_the_paper(model, block, entry):
    """relu(F(x) + shortcut(x)), F by scipy's correlation."""
    network = networks.build(model, TASKS)
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            count = layer.gamma.shape[0]
            layer.set_weights(rng.uniform(0.5, 2, (4, count)))
    image = rng.integers(0, 256, (1, 64, 64, 1), dtype=np.uint8)
    entered, left = (
        array(value)[0]
        for value in keras.Model(
            network.input,
            [
                network.get_layer(entry).output,
                network.get_layer(f"{block}_relu2").output,
            ],
        )(image)
    )
    inside = np.maximum(convolved(network, f"{block}_conv1", entered), 0)
    inside = convolved(network, f"{block}_conv2", inside)
    shortcut = entered
    if entered.shape[-1] != left.shape[-1]:
        shortcut = convolved(network, f"{block}_shortcut", entered)
    np.testing.assert_allclose(
        left, np.maximum(inside + shortcut, 0), rtol=1e-4, atol=1e-4
    )


def convolved(network, name, x):
    """[H, W, C] -> [H, W, filters], with batch normalisation."""
    (kernel,) = network.get_layer(name).get_weights()
    edge = kernel.shape[0] // 2
    padded = np.pad(x, ((edge, edge), (edge, edge), (0, 0)))
    found = np.concatenate(
        [
            correlate(padded, kernel[..., index], mode="valid")
            for index in range(kernel.shape[-1])
        ],
        axis=-1,
    )
    layer = network.get_layer(f"{name}_bn")
    gamma, beta, mean, variance = layer.get_weights()
    return gamma * (found - mean) / np.sqrt(variance + layer.epsilon) + beta

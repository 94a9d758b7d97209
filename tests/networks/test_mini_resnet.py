"""mini_resnet: its size, and its trunk against the equations of the paper."""

import keras
import numpy as np
from scipy.signal import correlate

from utils import networks
from utils.networks import heads
from utils.tasks import EMOTION_7, POSE, Task

TASKS = [Task("emotion", EMOTION_7), Task("pose", POSE)]
array = keras.ops.convert_to_numpy


def test_sizes():
    network = networks.build("mini_resnet", TASKS)
    trunk = [layer for layer in network.layers if heads.is_trunk(layer)]
    # Kernels, and four numbers a channel of batch normalisation.
    convolutions = [(1, 9, 16)]
    for before, after in ((16, 32), (32, 64), (64, 128)):
        convolutions += [(before, 9, after), (after, 9, after)]
        convolutions += [(before, 1, after)]
    expected = sum(
        before * size * after + 4 * after
        for before, size, after in convolutions
    )
    assert sum(layer.count_params() for layer in trunk) == expected
    assert network.get_layer("block3_relu2").output.shape == (None, 8, 8, 128)


def test_block_is_the_residual_of_the_paper():
    """relu(F(x) + shortcut(x)), F by scipy's correlation."""
    network = networks.build("mini_resnet", TASKS)
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
                network.get_layer("pool2").output,
                network.get_layer("block2_relu2").output,
            ],
        )(image)
    )
    inside = np.maximum(convolved(network, "block2_conv1", entered), 0)
    inside = convolved(network, "block2_conv2", inside)
    shortcut = convolved(network, "block2_shortcut", entered)
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

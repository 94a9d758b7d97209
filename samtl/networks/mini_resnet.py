"""A small residual network with one task layer and head per task.

The trunk has the basic blocks of He, Zhang, Ren, Sun 2016 (arXiv 1512.03385,
figure 5, left), 32 to 128 channels wide. Task layers and heads are those of
mini_Xception. For 64 x 64 pixels, its trunk has 303,952 weights and 44 million
multiplications, mini_Xception's 14,320 and 8 million. A pass improves it more,
and takes 1.5 times as long on a CPU (two tasks, batches of 64, one Zen 3 core:
211 and 319 images/s).
"""

from collections.abc import Sequence

import keras
from keras import layers

from samtl.networks import heads, mini_xception
from samtl.networks.config import NetworkConfig

IMAGE_SHAPE = mini_xception.IMAGE_SHAPE


def build(
    config: NetworkConfig, tasks: Sequence, label_embeddings: bool
) -> keras.Model:
    """Image [B, 64, 64, 1] in 0..255 -> logits and features of every task.

    `is_bn` changes nothing: this network always has batch normalisation.
    `is_dropout` drops half of what the heads read.
    """
    decay = heads.regularizer(config.weights_decay)
    image = keras.Input(IMAGE_SHAPE, name="image")
    x = stem(image, decay)
    for number, filters in enumerate((32, 64, 128), start=1):
        if number > 1:
            x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
        x = basic_block(x, filters, f"block{number}", decay)
    outputs = mini_xception.task_outputs(x, config, tasks, label_embeddings)
    return keras.Model(image, outputs, name="mini_resnet")


def stem(image, decay: keras.regularizers.Regularizer | None):
    """Image [B, H, W, C] in 0..255 -> [B, H / 2, W / 2, 16]."""
    x = mini_xception.normalised(image)
    x = _convolution(x, 16, "conv1", decay, strides=2)
    return layers.ReLU(name="conv1_relu")(x)


def basic_block(
    x, filters: int, name: str, decay: keras.regularizers.Regularizer | None
):
    """[B, H, W, C] -> relu(F(x) + shortcut(x)) [B, H, W, filters].

    The shortcut is a convolution where the number of channels changes, else x.
    """
    shortcut = x
    if x.shape[-1] != filters:
        shortcut = _convolution(x, filters, f"{name}_shortcut", decay, size=1)
    x = _convolution(x, filters, f"{name}_conv1", decay)
    x = layers.ReLU(name=f"{name}_relu1")(x)
    x = _convolution(x, filters, f"{name}_conv2", decay)
    x = layers.Add(name=f"{name}_sum")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu2")(x)


def _convolution(x, filters, name, decay, size=3, strides=1):
    """A convolution without bias, and its batch normalisation."""
    x = layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=decay,
        name=name,
    )(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)

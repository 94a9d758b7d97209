"""mini_Xception with one task layer and head per task.

Arriaga, Valdenegro-Toro, Ploeger 2017, arXiv 1710.07557, figure "mini-
Xception". Blocks 1 to 3 are the trunk; the fourth residual block is the task
layer and exists once per task. With one task this is the published network.
"""

from collections.abc import Sequence

import keras
from keras import layers

from samtl.networks import heads
from samtl.networks.config import NetworkConfig

IMAGE_SHAPE = (64, 64, 1)


def build(
    config: NetworkConfig, tasks: Sequence, label_embeddings: bool
) -> keras.Model:
    """Image [B, 64, 64, 1] in 0..255 -> logits and features of every task.

    `is_bn` changes nothing: this network always has batch normalisation.
    `is_dropout` drops half of what the heads read.
    """
    decay = heads.regularizer(config.weights_decay)
    image = keras.Input(IMAGE_SHAPE, name="image")
    x = normalised(image)
    for number in (1, 2):
        x = layers.Conv2D(
            8,
            3,
            use_bias=False,
            kernel_regularizer=decay,
            name=f"conv{number}",
        )(x)
        x = layers.BatchNormalization(name=f"conv{number}_bn")(x)
        x = layers.ReLU(name=f"conv{number}_relu")(x)
    for number, filters in enumerate((16, 32, 64), start=1):
        x = _residual_block(x, filters, f"block{number}", decay)
    outputs = task_outputs(x, config, tasks, label_embeddings)
    return keras.Model(image, outputs, name="mini_xception")


def normalised(image):
    """Pixels in 0..255 -> -1..1. [B, H, W, C] -> the same."""
    return layers.Rescaling(
        1 / 127.5, offset=-1, dtype="float32", name="normalisation"
    )(image)


def task_outputs(
    x,
    config: NetworkConfig,
    tasks: Sequence,
    label_embeddings: bool,
) -> dict:
    """A task layer and a head per task on a trunk.

    Args:
        x: the trunk's output [B, 8, 8, C].
        config, tasks, label_embeddings: see `networks.build`.

    Returns:
        {"logits": {task: [B, C_t]}, "features": {task: [B, 128]}}, float32.
    """
    decay = heads.regularizer(config.weights_decay)
    activations = {
        task.name: _residual_block(x, 128, f"task_{task.name}", decay)
        for task in tasks
    }
    if config.cross_stitch:
        activations = heads.cross_stitch(activations)
    features = {
        name: layers.GlobalAveragePooling2D(
            dtype="float32", name=f"task_{name}_features"
        )(activation)
        for name, activation in activations.items()
    }
    if label_embeddings:
        make_head, read = heads.label_embedding_head, features
    else:
        make_head, read = _head, activations
    logits = {
        task.name: make_head(read[task.name], task, config.is_dropout, decay)
        for task in tasks
    }
    return {"logits": logits, "features": features}


def published_order(task: str) -> dict[str, list[str]]:
    """Names of one task's network in the creation order of the paper's code.

    Returns:
        {Keras' name of the layer type: list of layer names}.
    """
    blocks = ("block1", "block2", "block3", f"task_{task}")
    return {
        "conv2d": [
            "conv1",
            "conv2",
            *(f"{block}_shortcut" for block in blocks),
            f"head_{task}",
        ],
        "batch_normalization": [
            "conv1_bn",
            "conv2_bn",
            *(
                f"{block}_{name}"
                for block in blocks
                for name in ("shortcut_bn", "bn1", "bn2")
            ),
        ],
        "separable_conv2d": [
            f"{block}_separable{number}"
            for block in blocks
            for number in (1, 2)
        ],
    }


def _residual_block(x, filters, name, decay):
    """[B, H, W, C] -> [B, ceil(H / 2), ceil(W / 2), filters].

    The shortcut is a 1 x 1 convolution of stride 2, written as "keep every
    second pixel, then convolve": the same function and weights, without the
    strided filter gradient in which TensorFlow's oneDNN kernels crash.
    """
    shortcut = layers.MaxPooling2D(
        1, strides=2, padding="same", name=f"{name}_subsample"
    )(x)
    shortcut = layers.Conv2D(
        filters,
        1,
        use_bias=False,
        kernel_regularizer=decay,
        name=f"{name}_shortcut",
    )(shortcut)
    shortcut = layers.BatchNormalization(name=f"{name}_shortcut_bn")(shortcut)
    for number in (1, 2):
        x = layers.SeparableConv2D(
            filters,
            3,
            padding="same",
            use_bias=False,
            depthwise_regularizer=decay,
            pointwise_regularizer=decay,
            name=f"{name}_separable{number}",
        )(x)
        x = layers.BatchNormalization(name=f"{name}_bn{number}")(x)
        if number == 1:
            x = layers.ReLU(name=f"{name}_relu")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(
        x
    )
    return layers.Add(name=f"{name}_sum")([x, shortcut])


def _head(x, task, is_dropout, decay):
    """Task layer [B, 4, 4, 128] -> logits [B, C_t], always float32."""
    if is_dropout:
        x = layers.Dropout(0.5, name=f"head_{task.name}_dropout")(x)
    x = layers.Conv2D(
        len(task),
        3,
        padding="same",
        kernel_regularizer=decay,
        dtype="float32",
        name=f"head_{task.name}",
    )(x)
    x = layers.GlobalAveragePooling2D(
        keepdims=True, dtype="float32", name=f"head_{task.name}_mean"
    )(x)
    return heads.Flat(dtype="float32", name=f"head_{task.name}_logits")(x)

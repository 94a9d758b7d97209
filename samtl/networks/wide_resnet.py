"""A wide residual network with one task layer and head per task: a teacher.

The trunk has the depth and widths of WRN-16-4 (Zagoruyko, Komodakis 2016,
arXiv 1605.07146, table 1: three groups of two blocks, 64 to 256 channels wide),
with the basic blocks of mini_resnet. Task layers and heads are those of
mini_Xception. For 64 x 64 pixels, its trunk has 2.7 million weights and 390
million multiplications, nine times those of mini_resnet. It is too slow for a
video; small networks are distilled from it (--teacher).
"""

from collections.abc import Sequence

import keras
from keras import layers

from samtl.networks import heads, mini_resnet, mini_xception
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
    x = mini_resnet.stem(image, decay)
    for group, filters in enumerate((64, 128, 256), start=1):
        if group > 1:
            x = layers.MaxPooling2D(2, name=f"pool{group}")(x)
        for block in (1, 2):
            name = f"block{group}_{block}"
            x = mini_resnet.basic_block(x, filters, name, decay)
    outputs = mini_xception.task_outputs(x, config, tasks, label_embeddings)
    return keras.Model(image, outputs, name="wide_resnet")

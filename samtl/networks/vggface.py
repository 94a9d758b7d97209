"""VGG-16 for faces with one task layer and head per task.

Simonyan, Zisserman 2015, arXiv 1409.1556, configuration D; pretrained on faces
by Parkhi, Vedaldi, Zisserman 2015 ("Deep Face Recognition"). Layer names and
normalisation are those of keras-vggface, whose weight files load by name.
"""

from collections.abc import Sequence

import keras
from keras import layers, ops

from samtl.networks import heads
from samtl.networks.config import NetworkConfig

IMAGE_SHAPE = (224, 224, 3)
MEAN_BGR = (93.5940, 104.7624, 129.1863)
FILTERS = {1: (64, 2), 2: (128, 2), 3: (256, 3), 4: (512, 3), 5: (512, 3)}


@keras.saving.register_keras_serializable(package="mtl_sa")
class VGGFaceNormalisation(layers.Layer):
    """RGB in 0..255 -> BGR with VGGFace's channel means removed."""

    def call(self, image):
        image = ops.take(image, [2, 1, 0], axis=-1)
        return image - ops.convert_to_tensor(MEAN_BGR, image.dtype)

    def compute_output_shape(self, shape):
        return shape


def build(
    config: NetworkConfig, tasks: Sequence, label_embeddings: bool
) -> keras.Model:
    """Image [B, 224, 224, 3] RGB in 0..255 -> logits and features.

    `is_bn` puts batch normalisation after the dense layers, before their
    relu; `is_dropout` drops half of what follows them.
    """
    decay = heads.regularizer(config.weights_decay)
    image = keras.Input(IMAGE_SHAPE, name="image")
    x = VGGFaceNormalisation(dtype="float32", name="normalisation")(image)
    for block, (filters, depth) in FILTERS.items():
        for number in range(1, depth + 1):
            x = layers.Conv2D(
                filters,
                3,
                padding="same",
                activation="relu",
                kernel_initializer="he_normal",
                kernel_regularizer=decay,
                name=f"conv{block}_{number}",
            )(x)
        x = layers.MaxPooling2D(2, name=f"pool{block}")(x)
    x = heads.Flat(name="flatten")(x)
    x = _dense(x, 1024, "shared_dense", config.is_bn, decay)
    if config.is_dropout:
        x = layers.Dropout(0.5, name="shared_dense_dropout")(x)
    activations = {
        task.name: _dense(x, 128, f"task_{task.name}", config.is_bn, decay)
        for task in tasks
    }
    if config.cross_stitch:
        activations = heads.cross_stitch(activations)
    features = {
        name: layers.Activation(
            "linear", dtype="float32", name=f"task_{name}_features"
        )(activation)
        for name, activation in activations.items()
    }
    head = heads.label_embedding_head if label_embeddings else _head
    logits = {
        task.name: head(features[task.name], task, config.is_dropout, decay)
        for task in tasks
    }
    return keras.Model(
        image,
        {"logits": logits, "features": features},
        name="vggface",
    )


def _dense(x, units, name, is_bn, decay):
    """[B, D] -> relu(dense(x)) [B, units], with He initialisation."""
    x = layers.Dense(
        units,
        kernel_initializer="he_normal",
        kernel_regularizer=decay,
        name=name,
    )(x)
    if is_bn:
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _head(features, task, is_dropout, decay):
    """Features [B, 128] float32 -> logits [B, C_t], always float32."""
    if is_dropout:
        features = layers.Dropout(
            0.5, dtype="float32", name=f"head_{task.name}_dropout"
        )(features)
    return layers.Dense(
        len(task),
        kernel_regularizer=decay,
        dtype="float32",
        name=f"head_{task.name}",
    )(features)

"""Batch normalisation as TensorFlow computes it best, in a network's copy.

Keras composes batch normalisation of means, differences and products, each of
which reads and writes the whole activation. On a CPU, where nothing fuses them,
that is half of a step of mini_Xception. TensorFlow has one operation for it and
one for its gradient: mini_Xception trains 1.6 times as fast and predicts 1.5
times, mini_resnet 1.2 and 1.06 times (docs/performance.md). JAX compiles, and
Torch is left as it is.

The network itself keeps Keras's layers, so that its files load without this
code. What is computed with is a copy that shares its variables.
"""

import math

import keras
from keras import ops


def fuse(network: keras.Model) -> keras.Model:
    """A network that normalises batches in one operation of TensorFlow.

    Values and gradients are those of Keras up to rounding.

    Args:
        network: functional model, built; unchanged.

    Returns:
        a model with the variables of `network` and, but for normalisation, its
        layers; with another backend `network` itself. BatchNormalization layers
        that the operation does not cover are shared, too: those of vectors,
        without scale or centre, over another axis, or with renormalisation.
    """
    if keras.backend.backend() != "tensorflow":
        return network
    return _replaced(network, _is_covered, FusedBatchNormalization)


def synchronise(network: keras.Model) -> keras.Model:
    """A network whose batch statistics are those of all replicas' batches.

    Args:
        network: functional model, built; unchanged.

    Returns:
        a model with the variables of `network` and, but for normalisation, its
        layers. JAX needs none: its means are over all devices by themselves.
    """
    return _replaced(network, _is_batch_norm, SynchronisedBatchNormalization)


def _replaced(network, is_replaced, new):
    return keras.models.clone_model(
        network,
        clone_function=lambda layer: (
            new(layer) if is_replaced(layer) else layer
        ),
    )


def _is_batch_norm(layer):
    return isinstance(layer, keras.layers.BatchNormalization)


def _is_covered(layer):
    return (
        _is_batch_norm(layer)
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and layer.scale
        and layer.center
        and not layer.renorm
    )


class SharedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation with the variables of another layer.

    It is frozen when the other layer is. Its configuration, and so a clone of
    it, is that of the other layer.

    Args:
        layer: keras.layers.BatchNormalization, built.
        changes: arguments of the layer that are others here.
    """

    def __init__(self, layer: keras.layers.BatchNormalization, **changes):
        super().__init__(**{**layer.get_config(), **changes})
        self.layer = layer

    @property
    def trainable(self) -> bool:
        return self.layer.trainable

    @trainable.setter
    def trainable(self, value):
        self.layer.trainable = value

    def add_weight(self, *_, name, **__):
        return getattr(self.layer, name)

    def get_config(self):
        return self.layer.get_config()

    @classmethod
    def from_config(cls, config):
        return keras.layers.BatchNormalization.from_config(config)


class SynchronisedBatchNormalization(SharedBatchNormalization):
    """Statistics over the batches of all of TensorFlow's replicas."""

    def __init__(self, layer: keras.layers.BatchNormalization):
        super().__init__(layer, synchronized=True)


class FusedBatchNormalization(SharedBatchNormalization):
    """Batch normalisation of images [B, H, W, C] in one operation."""

    def call(self, inputs, training=None, mask=None):
        import tensorflow as tf

        learns = bool(training and self.trainable)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=ops.cast(inputs, "float32"),
            scale=ops.convert_to_tensor(self.gamma),
            offset=ops.convert_to_tensor(self.beta),
            mean=[] if learns else ops.convert_to_tensor(self.moving_mean),
            variance=(
                [] if learns else ops.convert_to_tensor(self.moving_variance)
            ),
            epsilon=self.epsilon,
            is_training=learns,
        )
        if learns:
            # It divides by N - 1 for the moving variance, Keras by N.
            count = ops.cast(math.prod(ops.shape(inputs)[:-1]), "float32")
            variance = variance * (count - 1.0) / count
            for moving, value in (
                (self.moving_mean, mean),
                (self.moving_variance, variance),
            ):
                moving.assign(
                    moving * self.momentum + value * (1.0 - self.momentum)
                )
        return ops.cast(outputs, self.compute_dtype)

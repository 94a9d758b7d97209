"""Statistics of batch normalisation, estimated on all datasets alike."""

import functools
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from samtl.data.images import Split
from samtl.distributed import devices

IMAGES = 1024  # that the statistics are estimated on
BATCH_SIZE = 128


class Statistics:
    """Estimates a network's batch-norm statistics on a mix of all datasets.

    A round over one dataset drags the running averages to that dataset; here
    each batch draws from every dataset alike, without gradient.

    Args:
        network: its BatchNormalization layers change, but for those that are
            frozen when the statistics are first refreshed.
    """

    def __init__(self, network: keras.Model):
        self._layers = [
            layer
            for layer in network.layers
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        self._forward = compiled(network)

    def refresh(self, splits: list[Split], seed: list[int]) -> None:
        """Estimate the statistics anew.

        Args:
            splits: training Splits, as many at every call.
            seed: draws the images.
        """
        layers = self._layers
        if not layers:
            return
        rng = np.random.default_rng(seed)
        share = BATCH_SIZE // len(splits)
        largest = max(len(split) for split in splits)
        # As many as show every image of small sets.
        batches = min(IMAGES // BATCH_SIZE, -(-largest // share))
        shard = devices.shard(share)
        rows = [
            # A dataset smaller than its shares repeats.
            np.resize(rng.permutation(len(split)), (batches, share))
            for split in splits
        ]
        momenta = [layer.momentum for layer in layers]
        means, variances = [], []
        for layer in layers:
            layer.momentum = 0.0  # a call leaves the batch's own statistics
        for batch in range(batches):
            images = [
                split.images(r[batch, shard])
                for split, r in zip(splits, rows, strict=True)
            ]
            images = np.concatenate(images).astype("float32")
            self._forward(devices.one_array(images, share))
            means.append(_values(layer.moving_mean for layer in layers))
            variances.append(_values(layer.moving_variance for layer in layers))
        for index, layer in enumerate(layers):
            layer.momentum = momenta[index]
            mean = np.stack([values[index] for values in means])
            within = np.stack([values[index] for values in variances])
            layer.moving_mean.assign(mean.mean(axis=0))
            layer.moving_variance.assign(within.mean(axis=0) + mean.var(axis=0))


def compiled(network: keras.Model) -> Callable:
    """Function that calls the network on images in training mode."""
    if devices.count() > 1:
        # Compiled, TensorFlow would give every replica the whole batch, and a
        # process of several cannot fetch the outputs that JAX shares out.
        return functools.partial(network, training=True)
    model = TrainingMode(network)
    # TensorFlow on a CPU is slow with XLA.
    model.compile(jit_compile=keras.backend.backend() == "jax")
    return model.predict_on_batch


class TrainingMode(keras.Model):
    def __init__(self, network):
        super().__init__()
        self.network = network
        self.built = True  # as the network is

    def call(self, images):
        return self.network(images, training=True)


def _values(variables):
    return [ops.convert_to_numpy(variable) for variable in variables]

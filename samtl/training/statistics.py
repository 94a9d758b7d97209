"""Statistics of batch normalisation, estimated on all datasets alike."""

import keras
import numpy as np
from keras import ops

from samtl.data.images import Split
from samtl.distributed import devices

IMAGES = 1024  # that the statistics are estimated on
BATCH_SIZE = 128


def refresh_statistics(
    network: keras.Model, splits: list[Split], seed: list[int]
) -> None:
    """Estimate batch-norm statistics anew on a mix of all datasets.

    A round over one dataset drags the running averages to that dataset; here
    each batch draws from every dataset alike, without gradient.

    Args:
        network: its BatchNormalization layers change.
        splits: training Splits.
        seed: draws the images.
    """
    layers = [
        layer
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
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
        network(devices.one_array(images, share), training=True)
        means.append(_values(layer.moving_mean for layer in layers))
        variances.append(_values(layer.moving_variance for layer in layers))
    for index, layer in enumerate(layers):
        layer.momentum = momenta[index]
        mean = np.stack([values[index] for values in means])
        within = np.stack([values[index] for values in variances])
        layer.moving_mean.assign(mean.mean(axis=0))
        layer.moving_variance.assign(within.mean(axis=0) + mean.var(axis=0))


def _values(variables):
    return [ops.convert_to_numpy(variable) for variable in variables]

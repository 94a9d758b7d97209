"""The teacher: a frozen copy of the network, taken when a round starts."""

from collections.abc import Iterable

import keras
import numpy as np

from samtl import networks
from samtl.data.images import Split
from samtl.distributed import devices


class Teacher:
    """A copy of a functional network with its own graph and variables.

    `keras.Model(network.inputs, network.outputs)` would share the variables
    and move along with training. The copy's prediction is compiled once and
    serves all rounds, as `update` only overwrites the variables' values.

    Args:
        network: model from `networks.build`.
        batch_size: images of every prediction.

    Attributes:
        images: how many of Splits it has predicted so far.
    """

    def __init__(self, network: keras.Model, batch_size: int):
        copy = keras.models.clone_model(network)
        copy.trainable = False
        self._network = networks.fuse(copy)
        self._predict_on_batch = _predictor(
            devices.with_gathered_outputs(self._network)
        )
        self.batch_size = batch_size
        self.images = 0
        self.update(network)

    def update(self, network: keras.Model) -> None:
        """Copy the values of all weights and statistics of `network`."""
        self._network.set_weights(network.get_weights())

    def __call__(self, split: Split, rows: np.ndarray | None = None) -> dict:
        """Outputs on the `rows` of a Split, by default all; see `predict`."""
        rows = np.arange(len(split)) if rows is None else rows
        shard = devices.shard(self.batch_size)
        batches = split.batches(self.batch_size, rows, shard)
        self.images += len(rows)
        return self.predict(batches, len(rows))

    def predict(
        self, batches: Iterable[np.ndarray], count: int | None = None
    ) -> dict:
        """Outputs of the copy, in inference mode.

        Args:
            batches: iterable of [B, H, W, C] arrays of pixels in 0..255, at
                least one, B at most `batch_size`. Smaller ones are padded:
                another shape would be compiled anew, and results would not
                be bitwise reproducible.
            count: N, where these are this process's share of full batches
                (`devices.shard`).

        Returns:
            The network's outputs as float32 NumPy arrays over all N images:
            {"logits": {task: [N, C]}, "features": {task: [N, d]}}.
        """
        found = [
            self._predict_batch(batch, self.batch_size if count else len(batch))
            for batch in batches
        ]
        return keras.tree.map_structure(
            lambda *parts: np.concatenate(parts)[:count], *found
        )

    def _predict_batch(self, batch, kept):
        shard = devices.shard(self.batch_size)
        missing = shard.stop - shard.start - len(batch)
        padded = np.pad(batch, [(0, missing)] + [(0, 0)] * (batch.ndim - 1))
        outputs = self._predict_on_batch(
            devices.prediction_batch(padded, self.batch_size)
        )
        return keras.tree.map_structure(
            # With replicas, TensorFlow gives the whole batch once for each.
            lambda output: np.asarray(output[:kept], "float32"),
            outputs,
        )


def _predictor(network):
    """Function of a batch of images to the network's outputs."""
    if keras.backend.backend() == "jax":
        from samtl.distributed import jax_steps

        return jax_steps.predictor(network)
    # TensorFlow on a CPU is slow with XLA, and Torch runs eagerly.
    network.compile(jit_compile=False)
    return network.predict_on_batch

"""The teacher: a frozen copy of the network, taken when a round starts."""

import keras
import numpy as np

from samtl import networks
from samtl.distributed import devices


class Teacher:
    """A copy of a functional network with its own graph and variables.

    `keras.Model(network.inputs, network.outputs)` would share the variables
    and move along with training. The copy's prediction is compiled once and
    serves all rounds, as `update` only overwrites the variables' values.

    Args:
        network: model from `networks.build`.
        batch_size: images of every prediction.
    """

    def __init__(self, network, batch_size):
        self._network = keras.models.clone_model(network)
        self._network.trainable = False
        networks.fuse(self._network)
        self._predict_on_batch = _predictor(
            devices.with_gathered_outputs(self._network)
        )
        self.batch_size = batch_size
        self.update(network)

    def update(self, network):
        """Copy the values of all weights and statistics of `network`."""
        self._network.set_weights(network.get_weights())

    def predict(self, batches, count=None):
        """Outputs of the copy, in inference mode.

        Args:
            batches: iterable of [B, H, W, C] arrays of pixels in 0..255, at
                least one, B at most `batch_size`. Smaller ones are padded:
                another shape would be compiled anew, to other last digits.
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
        own = devices.shard(self.batch_size)
        missing = own.stop - own.start - len(batch)
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

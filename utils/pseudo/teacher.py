"""The teacher: a frozen copy of the network, taken when a round starts."""

import keras
import numpy as np


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
        # JAX is slow without XLA, TensorFlow on a CPU is slow with it, and
        # Torch runs eagerly.
        self._network.compile(jit_compile=keras.backend.backend() == "jax")
        self.batch_size = batch_size
        self.update(network)

    def update(self, network):
        """Copy the values of all weights and statistics of `network`."""
        self._network.set_weights(network.get_weights())

    def predict(self, batches):
        """Outputs of the copy, in inference mode.

        Args:
            batches: iterable of [B, H, W, C] arrays of pixels in 0..255, at
                least one, B at most `batch_size`. Smaller ones are padded:
                another shape would be compiled anew, to other last digits.

        Returns:
            The network's outputs as float32 NumPy arrays over all N images:
            {"logits": {task: [N, C]}, "features": {task: [N, d]}}.
        """
        found = [self._predict_batch(batch) for batch in batches]
        return keras.tree.map_structure(
            lambda *parts: np.concatenate(parts), *found
        )

    def _predict_batch(self, batch):
        missing = self.batch_size - len(batch)
        padded = np.pad(batch, [(0, missing)] + [(0, 0)] * (batch.ndim - 1))
        outputs = self._network.predict_on_batch(padded)
        return keras.tree.map_structure(
            lambda output: np.asarray(output[: len(batch)], "float32"), outputs
        )

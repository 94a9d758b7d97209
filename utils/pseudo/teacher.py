"""The teacher: a frozen copy of the network, taken when a round starts."""

import keras
import numpy as np


class Teacher:
    """A copy of a functional network with its own graph and variables.

    `keras.Model(network.inputs, network.outputs)` would share the variables
    and move along with training. The copy's prediction is compiled once and
    serves all rounds, as `update` only overwrites the variables' values.
    """

    def __init__(self, network):
        self._network = keras.models.clone_model(network)
        self._network.trainable = False
        # JAX is slow without XLA, TensorFlow on a CPU is slow with it, and
        # Torch runs eagerly.
        self._network.compile(jit_compile=keras.backend.backend() == "jax")
        self._batch_size = None
        self.update(network)

    def update(self, network):
        """Copy the values of all weights and statistics of `network`."""
        self._network.set_weights(network.get_weights())

    def predict(self, batches):
        """Outputs of the copy, in inference mode.

        Args:
            batches: iterable of [B, H, W, C] arrays of pixels in 0..255, at
                least one. The first one seen sets the batch size: others are
                cut and padded to it, so that nothing is compiled twice.

        Returns:
            The network's outputs as float32 NumPy arrays over all N images:
            {"logits": {task: [N, C]}, "features": {task: [N, d]}}.
        """
        found = []
        for batch in batches:
            self._batch_size = self._batch_size or len(batch)
            for start in range(0, len(batch), self._batch_size):
                part = batch[start : start + self._batch_size]
                found.append(self._predict_part(part))
        return keras.tree.map_structure(
            lambda *parts: np.concatenate(parts), *found
        )

    def _predict_part(self, part):
        missing = self._batch_size - len(part)
        padded = np.pad(part, [(0, missing)] + [(0, 0)] * (part.ndim - 1))
        outputs = self._network.predict_on_batch(padded)
        return keras.tree.map_structure(
            lambda output: np.asarray(output[: len(part)], "float32"), outputs
        )

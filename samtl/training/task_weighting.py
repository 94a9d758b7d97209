"""How the losses of the tasks become one: equal, learned or drawn weights.

All act on the tasks' losses alone, so that they fit any method of filling in
missing labels. Methods that change gradients task by task (PCGrad, arXiv
2001.06782) are not among them: Keras takes one gradient a step, and they would
need a training loop of their own for every backend.
"""

import keras
import numpy as np
from keras import ops

DWA_TEMPERATURE = 2.0  # of dynamic weight average, as in its paper


class TaskWeighting(keras.layers.Layer):
    """Losses [T] to one loss, scalar.

    Args:
        kind: "equal", "uncertainty", "dynamic", "random" or "geometric".
        count: number of tasks, T.
        seed: of random weights.
    """

    def __init__(self, kind: str, count: int, seed: int):
        super().__init__()
        self.kind = kind
        self.count = count
        if kind == "uncertainty":
            self.log_variances = self.add_weight(
                shape=(count,), initializer="zeros", name="log_variances"
            )
        elif kind == "dynamic":
            self.weights_of_round = self.add_weight(
                shape=(count,), initializer="ones", trainable=False
            )
        elif kind == "random":
            self.generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, losses):
        if self.kind == "uncertainty":
            return uncertainty(losses, self.log_variances)
        if self.kind == "geometric":
            return geometric(losses)
        if self.kind == "dynamic":
            return ops.sum(self.weights_of_round * losses)
        if self.kind == "random":
            draws = keras.random.normal((self.count,), seed=self.generator)
            return ops.sum(random_weights(draws) * losses)
        return ops.sum(losses)

    def start_round(self, history: np.ndarray) -> None:
        """Set the weights of a round.

        Args:
            history: [rounds, T], mean losses of the rounds before.
        """
        if self.kind == "dynamic":
            self.weights_of_round.assign(dynamic_weights(history))


def uncertainty(losses, log_variances):
    """sum_t exp(-s_t) L_t + s_t / 2, with learned s_t = log sigma_t^2.

    Kendall, Gal, Cipolla 2018, equation 10 for classification (arXiv
    1705.07115).

    Args:
        losses: [T].
        log_variances: s, [T].
    """
    return ops.sum(ops.exp(-log_variances) * losses + log_variances / 2)


def geometric(losses):
    """(prod_t L_t)^(1/T), which no task's scale decides.

    Chennupati et al. 2019, equation 3 (arXiv 1904.08492). [T] -> scalar.
    """
    return ops.exp(ops.mean(ops.log(ops.maximum(losses, 1e-8))))


def random_weights(draws):
    """T softmax(draws) of standard normal draws, new ones each step.

    Lin et al. 2021, section 3 (arXiv 2111.10603), times T: as in equal weights,
    their sum is T. [T] -> [T].
    """
    return ops.softmax(draws) * draws.shape[0]


def dynamic_weights(history: np.ndarray) -> np.ndarray:
    """T softmax(r / 2), r_t = L_t(k - 1) / L_t(k - 2): slow tasks count more.

    Dynamic weight average, Liu, Johns, Davison 2019, equation 7 (arXiv
    1803.10704). Equal weights in the first two rounds.

    Args:
        history: [k - 1, T], mean losses of the rounds before round k.

    Returns:
        [T] float32 whose sum is T.
    """
    history = np.asarray(history, float)
    count = history.shape[1]
    if len(history) < 2:
        return np.ones(count, "float32")
    rates = history[-1] / np.maximum(history[-2], 1e-8)
    powers = np.exp((rates - rates.max()) / DWA_TEMPERATURE)
    return (count * powers / powers.sum()).astype("float32")

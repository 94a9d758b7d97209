"""How far probabilities can be believed, and one number that mends them."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

BINS = 15
HOTTEST = 20.0  # largest temperature that is tried; the smallest is 1 / 20


def temperature(logits, labels):
    """The T > 0 of softmax(z / T) with the least negative log-likelihood.

    Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural
    Networks" (arXiv 1706.04599), section 4.2. Predictions stay as they are.

    Args:
        logits: z, [N, C], of images that were not trained on.
        labels: int [N].

    Returns:
        float in 1/20 to 20.
    """
    logits = np.asarray(logits, "float64")
    rows = np.arange(len(labels))

    def loss(log_temperature):
        scores = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -scores[rows, labels].mean()

    edge = np.log(HOTTEST)
    return float(
        np.exp(minimize_scalar(loss, bounds=(-edge, edge), method="bounded").x)
    )


def expected_calibration_error(probabilities, labels, bins=BINS):
    """Mean gap between confidence and accuracy, 0 to 1.

        sum_b |B_b| / N * |accuracy(B_b) - confidence(B_b)|

    over bins B_b of equal width of the largest probability (equation 3 of the
    paper above).

    Args:
        probabilities: [N, C], rows sum to 1.
        labels: int [N].
        bins: number of bins.
    """
    probabilities = np.asarray(probabilities, "float64")
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == labels
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(places, weights=is_right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))

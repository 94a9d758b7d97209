"""Calibration of probabilities: its error, and temperature scaling."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import chi2

BINS = 15
LARGEST_TEMPERATURE = 20.0  # the smallest is 1 / 20
CHANCE = 0.05  # significance level of the test of T = 1


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T > 0 of softmax(z / T) with the least negative log-likelihood.

    Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural
    Networks" (arXiv 1706.04599), section 4.2. Predictions stay as they are.

    Args:
        logits: z, [N, C], of images that were not trained on.
        labels: int [N].

    Returns:
        float in 1/20 to 20; 1 where all predictions are right, as then a lower
        temperature is always better.
    """
    if (np.argmax(logits, axis=1) == labels).all():
        return 1.0
    edge = np.log(LARGEST_TEMPERATURE)
    found = minimize_scalar(
        lambda log_temperature: _loss(logits, labels, np.exp(log_temperature)),
        bounds=(-edge, edge),
        method="bounded",
    )
    return float(np.exp(found.x))


def refutation(
    logits: np.ndarray, labels: np.ndarray, temperature: float
) -> float:
    """p of the gain by a temperature, if the network is calibrated.

    The likelihood-ratio test of T = 1 against the fitted temperature (Wilks
    1938): twice the gain in log-likelihood over all images has a chi-squared
    distribution with one degree of freedom if T = 1 is true.

    Args:
        logits, labels: as in `temperature`.
        temperature: fitted to them.

    Returns:
        float, 0 to 1; below CHANCE, T = 1 is rejected.
    """
    gain = _loss(logits, labels, 1) - _loss(logits, labels, temperature)
    return float(chi2.sf(2 * len(labels) * gain, 1))


def _loss(logits, labels, temperature):
    """Mean negative log-likelihood of softmax(z / T)."""
    scores = log_softmax(np.asarray(logits, "float64") / temperature, axis=1)
    return -scores[np.arange(len(labels)), labels].mean()


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS
) -> float:
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

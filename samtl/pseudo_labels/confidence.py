"""Confidence: the probability of the teacher's prediction."""

from keras import ops


def confidence(probabilities):
    """Largest class probability, max_c p_ic. [N, C] -> [N] in 1 / C..1."""
    return ops.max(probabilities, axis=-1)

"""Pseudo labels: the teacher, the weights of its labels and the triples."""

from utils.pseudo.confidence import confidence
from utils.pseudo.density import local_density
from utils.pseudo.distribution import distribution_similarity
from utils.pseudo.targets import (
    Method,
    Triples,
    distilled_triples,
    fill,
    hard_triples,
    interpolated_triples,
    naive_triples,
    select,
)
from utils.pseudo.teacher import Teacher

__all__ = [
    "Method",
    "Teacher",
    "Triples",
    "confidence",
    "distilled_triples",
    "distribution_similarity",
    "fill",
    "hard_triples",
    "interpolated_triples",
    "local_density",
    "naive_triples",
    "select",
]

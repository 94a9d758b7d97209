"""Pseudo labels: the teacher, the weights of its labels and the triples."""

from samtl.pseudo_labels.confidence import confidence
from samtl.pseudo_labels.density import local_density
from samtl.pseudo_labels.distribution import distribution_similarity
from samtl.pseudo_labels.filling import fill_missing, masked
from samtl.pseudo_labels.labels import true_labels
from samtl.pseudo_labels.method import Kind, Method
from samtl.pseudo_labels.targets import (
    Triples,
    distilled_triples,
    fill,
    hard_triples,
    interpolated_triples,
    joined,
    naive_triples,
    select,
)
from samtl.pseudo_labels.teacher import Teacher

__all__ = [
    "Kind",
    "Method",
    "Teacher",
    "Triples",
    "confidence",
    "distilled_triples",
    "distribution_similarity",
    "fill",
    "fill_missing",
    "hard_triples",
    "interpolated_triples",
    "joined",
    "local_density",
    "masked",
    "naive_triples",
    "select",
    "true_labels",
]

"""Which method fills in missing labels, and its parameters."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from samtl.common.errors import UserError
from samtl.pseudo_labels.distribution import METRICS, SCOPES

SELECTION_SCOPES = ("all", "class")


class Kind(StrEnum):
    """How the labels that a dataset lacks are filled in.

    NAIVE: missing labels are masked (All-in-one in joint training).
    DISTILLED: the teacher's tempered predictions (DML-LWF at T = 1).
    HARD: weighted pseudo labels for the best samples, distillation for the
        others (SA-MTL).
    INTERPOLATION: pseudo labels blended with the teacher's predictions.
    LABEL_TRANSFER: predictions of label transfer networks (LEL-LTN).
    RANDOM_FIELD: mean field on a Markov random field (DCN-AP).
    DISTRIBUTION_MATCHING: labels that go with those of other tasks (soft
        co-annotation).
    TRAINED_TEACHERS: predictions of networks trained before.
    FIXMATCH, SOFTMATCH, MEAN_TEACHER: labels of a teacher that moves with the
        network, anew in every step, see `consistency`.
    """

    NAIVE = "naive"
    DISTILLED = "distilled"
    HARD = "hard"
    INTERPOLATION = "interpolation"
    LABEL_TRANSFER = "lel-ltn"
    RANDOM_FIELD = "dcn-ap"
    DISTRIBUTION_MATCHING = "distribution-matching"
    TRAINED_TEACHERS = "teacher-distilled"
    FIXMATCH = "fixmatch"
    SOFTMATCH = "softmatch"
    MEAN_TEACHER = "mean-teacher"


CONSISTENCY = (Kind.FIXMATCH, Kind.SOFTMATCH, Kind.MEAN_TEACHER)


@dataclass(frozen=True)
class RandomField:
    """The Markov random field of DCN-AP.

    neighbours: >= 1, nearest neighbours of an image in the graph.
    pairwise: >= 0, pull of neighbours towards the same label.
    cooccurrence: >= 0, pull of an image's labels towards frequent pairs.
    """

    neighbours: int = 10
    pairwise: float = 1.0
    cooccurrence: float = 1.0


@dataclass(frozen=True)
class TrainedTeachers:
    """Networks trained before, whose mean prediction is distilled.

    paths: their .onnx or .keras files, as the user wrote them.
    soft_label_weight: 0..1, share of their prediction in the targets of true
        labels.
    """

    paths: tuple[str, ...] = ()
    soft_label_weight: float = 0.0


@dataclass(frozen=True)
class ConsistencyConfig:
    """The labels of a teacher that moves with the network.

    threshold: 0..1, least confidence that FIXMATCH learns from.
    momentum: 0..1, of the moving average that is the teacher; 0: the network.
    temperature: >= 0, of its predictions; 0: one-hot labels.
    """

    threshold: float = 0.95
    momentum: float = 0.0
    temperature: float = 0.0


@dataclass(frozen=True)
class Regularisers:
    """Weights of the manifold terms, each >= 0; None leaves a term out.

    lnorm: alpha, of the l2,1 norm of the heads' weights.
    trace_norm: beta, of the smoothness over the graph of the images.
    nuclear_norm: gamma, of the nuclear norm of all heads' weights.
    """

    lnorm: float | None = None
    trace_norm: float | None = None
    nuclear_norm: float | None = None


@dataclass(frozen=True)
class Method:
    """How missing triples are filled in.

    kind: a `Kind`, or its value.
    warmup: >= 0, first rounds that mask missing labels.
    distill_t: temperature T of the distilled triples, >= 1.
    selection_threshold: 0..1, hard selection keeps what is above this quantile.
    selection_scope: "all", or "class" for a quantile of each pseudo label.
    interpolation_weights: 0..1, where not 0 it replaces w in the blend.
    confidence, density, distribution: the weights to multiply.
    density_t: 0..1, quantile of the distances within a class.
    density_exact_limit: >= 0, most images of a pseudo class whose density is
        exact.
    cluster_k: >= 1 (0 where distribution is off), Gaussians of a mixture.
    distribution_metric: "both", "emd" or "mmd".
    gamma: >= 0, how fast the distribution weight falls.
    gmm_scope: "class", or "all" for mixtures that ignore classes.
    random_field: parameters of RANDOM_FIELD.
    matching_weight: >= 0, of the matching of DISTRIBUTION_MATCHING.
    teachers: parameters of TRAINED_TEACHERS.
    consistency: parameters of FIXMATCH, SOFTMATCH and MEAN_TEACHER.

    Raises:
        UserError: a value is out of range.
    """

    kind: Kind
    warmup: int = 0
    distill_t: float = 2.0
    selection_threshold: float = 0.8
    selection_scope: str = "all"
    interpolation_weights: float = 0.0
    confidence: bool = True
    density: bool = True
    density_t: float = 0.6
    density_exact_limit: int = 100_000
    distribution: bool = True
    cluster_k: int = 3
    distribution_metric: str = "both"
    gamma: float = 1.0
    gmm_scope: str = "class"
    random_field: RandomField = RandomField()
    matching_weight: float = 1.0
    teachers: TrainedTeachers = TrainedTeachers()
    consistency: ConsistencyConfig = ConsistencyConfig()

    def __post_init__(self):
        for name, choices in (
            ("kind", tuple(Kind)),
            ("selection_scope", SELECTION_SCOPES),
            ("distribution_metric", METRICS),
            ("gmm_scope", SCOPES),
        ):
            if getattr(self, name) not in choices:
                raise UserError(
                    f"{name} is {getattr(self, name)!r}; choose one of "
                    f"{', '.join(choices)}"
                )
        for name, low, high in (
            ("warmup", 0, math.inf),
            ("distill_t", 1, math.inf),
            ("selection_threshold", 0, 1),
            ("interpolation_weights", 0, 1),
            ("density_t", 0, 1),
            ("density_exact_limit", 0, math.inf),
            ("cluster_k", 1 if self.distribution else 0, math.inf),
            ("gamma", 0, math.inf),
            ("matching_weight", 0, math.inf),
        ):
            if not low <= getattr(self, name) <= high:
                raise UserError(
                    f"{name} is {getattr(self, name)}; choose a value from "
                    f"{low} to {high}"
                )

    def in_round(self, number: int) -> "Method":
        """The method of a round, from 0: naive during the warm-up."""
        is_warm = number >= self.warmup
        return self if is_warm else replace(self, kind=Kind.NAIVE)

"""Triples (target, weight, temperature), and the loss on them.

Every sample carries one triple per task; its loss is

    w tau^2 CE(q, softmax(z / tau))

A method is nothing but a way to fill in the triples of the tasks for which a
dataset has no labels, from the teacher's logits z' and features on it.
"""

from dataclasses import dataclass, replace

import numpy as np
from keras import ops

from samtl.common.errors import UserError
from samtl.data.tasks import Task
from samtl.pseudo_labels.confidence import confidence
from samtl.pseudo_labels.density import bounded_density
from samtl.pseudo_labels.distribution import (
    DistributionConfig,
    distribution_similarity,
)
from samtl.pseudo_labels.method import CONSISTENCY, Kind


@dataclass(frozen=True)
class Triples:
    """What a task's loss needs of N samples.

    target: [N, C] float32, rows sum to 1.
    weight: [N] float32, >= 0; 0 switches a sample off.
    temperature: [N] float32, >= 1.
    labelled: [N] bool, samples with a true label; None: none of them.
    diagnostics: of pseudo labels, what `fill` returns of them; else None.
        Their arrays are over the samples without a true label.
    """

    target: np.ndarray
    weight: np.ndarray
    temperature: np.ndarray
    labelled: np.ndarray | None = None
    diagnostics: dict | None = None


def triple_loss(target, weight, temperature, logits):
    """Weighted, tempered cross-entropy, one loss for every method.

        sum_i w_i tau_i^2 CE(q_i, softmax(z_i / tau_i)) / max(1, #{w_i > 0})

    The factor tau^2 keeps gradients of tempered targets on the scale of the
    others (Hinton et al. 2015, section 2).

    Args:
        target: [B, C] distributions q.
        weight: [B], w >= 0; 0 is a missing label.
        temperature: [B], tau >= 1.
        logits: [B, C] z.

    Returns:
        scalar.
    """
    tempered = ops.log_softmax(logits / temperature[:, None], axis=-1)
    entropy = -ops.sum(target * tempered, axis=-1)
    present = ops.sum(ops.cast(weight > 0, logits.dtype))
    total = ops.sum(weight * temperature**2 * entropy)
    return total / ops.maximum(present, 1.0)


def separate_loss(
    target, weight, temperature, labelled, logits, pseudo_loss_weight
):
    """True and filled-in labels, each averaged by themselves.

        triple_loss(true) + mu triple_loss(filled in)

    In one mean, filled-in labels that outnumber true ones decide the gradient.

    Args:
        target, weight, temperature, logits: see `triple_loss`.
        labelled: [B], 1 for a true label and 0 for a filled-in one.
        pseudo_loss_weight: mu >= 0.

    Returns:
        scalar.
    """
    true = triple_loss(target, weight * labelled, temperature, logits)
    filled = weight * (1.0 - labelled)
    filled = triple_loss(target, filled, temperature, logits)
    return true + pseudo_loss_weight * filled


def joined(
    true: dict[Task, Triples], filled: dict[Task, Triples]
) -> dict[Task, Triples]:
    """Triples of true labels; samples without one have the filled-in triple.

    Filled-in triples of all samples, those with a true label too (their
    `labelled` is not None), take the place of the true ones.

    Args:
        true: from `true_labels`.
        filled: of the tasks that are missing on some samples.
    """
    result = dict(true)
    for task, other in filled.items():
        label = true.get(task)
        if label is None or other.labelled is not None:
            result[task] = other
            continue
        is_true = label.labelled
        result[task] = Triples(
            np.where(is_true[:, None], label.target, other.target),
            np.where(is_true, label.weight, other.weight),
            np.where(is_true, label.temperature, other.temperature),
            is_true,
            other.diagnostics,
        )
    return result


def naive_triples(logits):
    """Nothing is learnt from missing labels: w = 0. [N, C] logits."""
    count, classes = logits.shape
    return Triples(
        np.full((count, classes), 1 / classes, "float32"),
        np.zeros(count, "float32"),
        np.ones(count, "float32"),
    )


def step_triples(logits):
    """w = 1, and a target that `consistency` replaces in every step."""
    return replace(
        naive_triples(logits), weight=np.ones(len(logits), "float32")
    )


def distilled_triples(logits, distill_t=2.0):
    """(softmax(z' / T), 1, T): keep what the teacher knows.

    Hinton et al. 2015 (arXiv 1503.02531); Li and Hoiem 2016, "Learning without
    Forgetting" (arXiv 1606.09282).

    Args:
        logits: [N, C] teacher logits z'.
        distill_t: temperature T >= 1.
    """
    count = len(logits)
    return Triples(
        _softmax(logits, distill_t),
        np.ones(count, "float32"),
        np.full(count, distill_t, "float32"),
    )


def select(weights, threshold, labels=None):
    """Which samples hard selection keeps: [N] -> [N] bool.

    Those with a weight above the `threshold` quantile (linear interpolation)
    of all; 0 keeps all. Where the quantile is the maximum itself because many
    samples share it, none is above: then these are kept. A threshold of 1
    keeps none, and so does any threshold when all weights are 0.

    With pseudo labels, [N] int, each class has its own quantile, so that a
    class which the teacher is seldom sure of keeps its best samples too.
    """
    weights = np.asarray(weights)
    if labels is not None:
        selected = np.zeros(len(weights), bool)
        for label in np.unique(labels):
            members = labels == label
            selected[members] = select(weights[members], threshold)
        return selected
    if threshold >= 1 or not weights.any():
        return np.zeros(len(weights), bool)
    if threshold <= 0:
        return np.ones(len(weights), bool)
    selected = weights > np.quantile(weights, threshold)
    return selected if selected.any() else weights == weights.max()


def hard_triples(logits, weights, selected, distill_t=2.0):
    """Pseudo labels for the best samples, distillation for the others.

    selected: (onehot(argmax p'), w, 1); else: (softmax(z' / T), 1, T).

    Args:
        logits: [N, C] teacher logits z'.
        weights: [N] pseudo-label weights w in 0..1.
        selected: [N] bool, see `select`.
        distill_t: temperature T >= 1.
    """
    distilled = distilled_triples(logits, distill_t)
    return Triples(
        np.where(selected[:, None], _one_hot(logits), distilled.target),
        np.where(selected, weights, 1.0).astype("float32"),
        np.where(selected, 1.0, distill_t).astype("float32"),
    )


def interpolated_triples(logits, weights, distill_t=2.0):
    """(w onehot(argmax p') + (1 - w) softmax(z' / T), 1, 1).

    Args:
        logits: [N, C] teacher logits z'.
        weights: [N] (or one number for all) w in 0..1.
        distill_t: temperature T >= 1 of the soft part.
    """
    count = len(logits)
    blend = np.broadcast_to(np.asarray(weights, "float32"), count)[:, None]
    return Triples(
        blend * _one_hot(logits) + (1 - blend) * _softmax(logits, distill_t),
        np.ones(count, "float32"),
        np.ones(count, "float32"),
    )


def fill(
    method, logits, features, reference_features, reference_labels, seed=0
):
    """Triples of a task that is missing on a pool of images.

    Args:
        method: Method.
        logits: [N, C] teacher logits of the pool.
        features: [N, d] teacher features of the pool.
        reference_features: [M, d] teacher features of the training images
            labelled for the task.
        reference_labels: [M] int, their labels.
        seed: seed of the mixtures.

    Returns:
        Triples, and their diagnostics: dict of [N] arrays `pseudo_label`
        (int64), `weight` (float32; 0 where the method uses no pseudo labels),
        `selected` (bool) and those of `confidence`, `density`, `distribution`
        that the method multiplied; `density_bounds`, `density.Bounds`, where
        density was estimated.

    Raises:
        UserError: the teacher's logits or features are not finite.
    """
    logits = _finite(logits)
    count = len(logits)
    diagnostics = {
        "pseudo_label": logits.argmax(axis=1).astype("int64"),
        "weight": np.zeros(count, "float32"),
        "selected": np.zeros(count, bool),
    }
    if method.kind == Kind.NAIVE:
        return naive_triples(logits), diagnostics
    if method.kind in CONSISTENCY:
        return step_triples(logits), diagnostics | _sure(logits, method)
    if method.kind == Kind.DISTILLED:
        return distilled_triples(logits, method.distill_t), diagnostics
    if method.kind == Kind.INTERPOLATION and method.interpolation_weights > 0:
        weights = np.full(count, method.interpolation_weights, "float32")
    else:
        chosen, bounds = _chosen_weights(
            method, logits, features, reference_features, reference_labels, seed
        )
        diagnostics |= chosen
        if bounds:
            diagnostics["density_bounds"] = bounds
        weights = combine(chosen.values(), count)
    diagnostics["weight"] = weights
    if method.kind == Kind.INTERPOLATION:
        diagnostics["selected"] = np.ones(count, bool)
        triples = interpolated_triples(logits, weights, method.distill_t)
        return triples, diagnostics
    is_split = method.selection_scope == "class"
    selected = diagnostics["selected"] = select(
        weights,
        method.selection_threshold,
        diagnostics["pseudo_label"] if is_split else None,
    )
    triples = hard_triples(logits, weights, selected, method.distill_t)
    return triples, diagnostics


def combine(weights, count):
    """Product of [count] weights over its maximum: [count] float32 in 0..1.

    1 everywhere when there are none to multiply, 0 where all are 0.
    """
    product = np.ones(count)
    for weight in weights:
        product = product * weight
    largest = product.max(initial=0.0)
    return (product / largest if largest > 0 else product).astype("float32")


def _chosen_weights(
    method, logits, features, reference_features, reference_labels, seed
):
    """The weights that the method multiplies, and the bounds of density.

    Returns:
        (dict of [N] float32, `density.Bounds` or None).
    """
    labels = logits.argmax(axis=1)
    weights, bounds = {}, None
    if method.confidence:
        weights["confidence"] = ops.convert_to_numpy(
            confidence(_softmax(logits, 1.0))
        )
    if method.density:
        weights["density"], bounds = bounded_density(
            _finite(features),
            labels,
            method.density_t,
            method.density_exact_limit,
            seed,
        )
    if method.distribution:
        weights["distribution"] = distribution_similarity(
            _finite(features),
            labels,
            _finite(reference_features),
            reference_labels,
            DistributionConfig(
                method.cluster_k,
                method.distribution_metric,
                method.gamma,
                method.gmm_scope,
                seed,
            ),
        )
    return weights, bounds


def _sure(logits, method):
    """Diagnostics, at the round's start, of labels that each step fills in."""
    weight = ops.convert_to_numpy(confidence(_softmax(logits, 1.0)))
    selected = weight >= method.consistency.threshold
    return {"confidence": weight, "weight": weight, "selected": selected}


def _finite(array):
    """float32 NumPy array of the teacher's output, checked."""
    array = np.asarray(ops.convert_to_numpy(array), "float32")
    if not np.isfinite(array).all():
        raise UserError(
            "the network's predictions are not finite: training has diverged; "
            "choose a smaller learning rate"
        )
    return array


def _softmax(logits, temperature):
    """softmax(z / T) of every row: [N, C] float32 NumPy array."""
    logits = ops.convert_to_tensor(logits, "float32")
    return ops.convert_to_numpy(ops.softmax(logits / temperature, axis=-1))


def _one_hot(logits):
    """One-hot rows of the largest logits: [N, C] float32 NumPy array."""
    logits = ops.convert_to_numpy(logits)
    return np.eye(logits.shape[1], dtype="float32")[logits.argmax(axis=1)]

"""DCN-AP: missing labels by mean field on a Markov random field.

Attribute propagation of Zhang, Luo, Loy, Tang 2016, "From Facial Expression
Recognition to Interpersonal Relation Prediction" (arXiv 1609.06426): faces
that look alike tend to share labels, and labels of one face tend to occur
together.
"""

from collections.abc import Callable

import numpy as np
from keras import ops
from scipy import sparse
from scipy.special import log_softmax, softmax

from samtl.data.images import Split
from samtl.data.tasks import Task
from samtl.pseudo_labels import Triples, distances, filling
from samtl.pseudo_labels.method import RandomField
from utils.confusion import observed

SWEEPS = 50  # most sweeps of the mean field
TOLERANCE = 1e-4  # change of a probability at which it has settled
BLOCK = 1024  # images whose neighbours' features are held at once


def fill(
    config: RandomField,
    splits: list[Split],
    tasks: list[Task],
    true: list[dict[Task, Triples]],
    teacher: Callable,
) -> list[dict[Task, Triples]]:
    """Triples of the missing labels by mean field.

    The graph joins all training images of all datasets by their features of
    all tasks; labels are clamped. The refined distributions become targets of
    weight 1.

    Args:
        config: the random field's parameters.
        splits: training Split of each dataset.
        tasks: of the network.
        true: triples of the datasets' labels.
        teacher: function of a Split to the teacher's outputs.
    """
    outputs = [teacher(split) for split in splits]
    logits, labels, features = {}, {}, []
    for task in tasks:
        name = task.name
        logits[name] = np.concatenate([o["logits"][name] for o in outputs])
        features.append(
            _scaled(np.concatenate([o["features"][name] for o in outputs]))
        )
        labels[name] = np.concatenate(
            [
                observed(triples, task, len(split))
                for split, triples in zip(splits, true, strict=True)
            ]
        )
    weights = normalised(
        graph(np.concatenate(features, axis=1), config.neighbours)
    )
    beliefs = mean_field(
        logits, labels, weights, config.pairwise, config.cooccurrence
    )
    ends = np.cumsum([len(split) for split in splits])[:-1]
    found = {name: np.split(belief, ends) for name, belief in beliefs.items()}
    targets = [
        {task: found[task.name][index] for task in tasks}
        for index in range(len(splits))
    ]
    return filling.soft_triples(splits, targets)


def mean_field(logits, labels, weights, pairwise, relation):
    """Mean-field beliefs of the field of all images' labels.

        P(Y) ~ prod_it p_it(y_it)
             * exp(pairwise * sum_{i<j} w_ij sum_t [y_it = y_jt])
             * exp(relation * sum_i sum_{s<t} theta_st(y_is, y_it))

    with p the network's predictions and theta the labels' `cooccurrence`. A
    sweep updates the tasks in turn, each for all images at once,

        Q_it(c) ~ p_it(c) exp(pairwise * sum_j w_ij Q_jt(c)
                              + relation * sum_{s != t} sum_d Q_is(d)
                                * theta_st(d, c))

    and keeps observed labels as they are. It begins with the predictions and
    ends when no belief moves by more than TOLERANCE, or after SWEEPS.

    Args:
        logits: {task name: [N, C_t]} of the predictions.
        labels: {task name: [N, C_t]} observed distributions; rows of zeros
            where there is no label.
        weights: scipy.sparse array [N, N], symmetric, zero diagonal.
        pairwise: >= 0; below 2 its pull contracts from sweep to sweep where
            the weights are `normalised`.
        relation: >= 0.

    Returns:
        {task name: [N, C_t]} float64, rows sum to 1.
    """
    unary = {
        name: log_softmax(np.asarray(values, "float64"), axis=1)
        for name, values in logits.items()
    }
    observed = {name: values.any(axis=1) for name, values in labels.items()}
    beliefs = {}
    for name, values in unary.items():
        beliefs[name] = np.exp(values)
        beliefs[name][observed[name]] = labels[name][observed[name]]
    theta = {
        (s, t): cooccurrence(beliefs[s], beliefs[t], observed[s] & observed[t])
        for s in unary
        for t in unary
        if s != t
    }
    for _ in range(SWEEPS):
        moved = 0.0
        for name, values in unary.items():
            field = values + pairwise * (weights @ beliefs[name])
            for other in unary:
                if other != name:
                    field += relation * (beliefs[other] @ theta[other, name])
            new = softmax(field, axis=1)
            new[observed[name]] = labels[name][observed[name]]
            moved = max(moved, np.abs(new - beliefs[name]).max())
            beliefs[name] = new
        if moved <= TOLERANCE:
            break
    return beliefs


def nearest(features, count):
    """The nearest other images of every image, exactly, in tiles.

    Args:
        features: [N, d] finite float32.
        count: neighbours, 1..N - 1.

    Returns:
        (indices, squared): int64 and float64 NumPy arrays [N, count], nearest
        first but for rounding.
    """
    features = distances.finite(features)
    centred = features - features.mean(axis=0, dtype="float64")
    blocks = distances.blocks(centred.astype("float32"))
    size = blocks[0][0].shape[0]
    itself = np.where(np.eye(size, dtype=bool), np.inf, 0)
    itself = ops.convert_to_tensor(itself, "float32")
    indices = []
    for p, rows in enumerate(blocks):
        best = None
        for q, columns in enumerate(blocks):
            tile = distances.tile(rows, columns)
            if p == q:
                tile = tile + itself
            values, places = ops.top_k(-tile, min(count, size))
            places = places + q * size
            if best:
                values = ops.concatenate([best[0], values], axis=1)
                places = ops.concatenate([best[1], places], axis=1)
                values, chosen = ops.top_k(values, min(count, values.shape[1]))
                places = ops.take_along_axis(places, chosen, axis=1)
            best = values, places
        indices.append(ops.convert_to_numpy(best[1]))
    indices = np.concatenate(indices)[: len(features)].astype("int64")
    return indices, _squared(features, indices)


def graph(features, neighbours):
    """Heat-kernel graph of nearest neighbours, as `manifold.affinity`.

        w_ij = exp(-|h_i - h_j|^2 / (s_i s_j))

    where j is among the `neighbours` nearest of i, or i among those of j; s_i
    is the distance from i to the last of its neighbours.

    Args:
        features: [N, d] finite, N >= 2.
        neighbours: >= 1; at most N - 1 are taken.

    Returns:
        symmetric scipy.sparse.csr_array [N, N], float64 in 0..1.
    """
    count = len(features)
    indices, squared = nearest(features, min(neighbours, count - 1))
    reach = np.sqrt(squared.max(axis=1))
    scale = reach[:, None] * reach[indices]
    # Images that coincide have scale 0 and are alike: w = 1. One whose nearest
    # are copies of each other is like none of them: w = 0.
    with np.errstate(over="ignore"):
        weights = np.exp(-squared / np.maximum(scale, np.finfo("float64").tiny))
    rows = np.repeat(np.arange(count), indices.shape[1])
    directed = sparse.csr_array(
        (weights.ravel(), (rows, indices.ravel())), shape=(count, count)
    )
    return directed.maximum(directed.T).tocsr()


def normalised(weights):
    """D^(-1/2) W D^(-1/2), D the row sums: no eigenvalue is above 1.

    Args:
        weights: scipy.sparse array [N, N], >= 0, symmetric.

    Returns:
        the same kind of array.
    """
    degree = weights.sum(axis=1)
    some = degree > 0
    inverse = np.zeros(len(degree))
    inverse[some] = 1 / np.sqrt(degree[some])
    scale = sparse.diags_array(inverse)
    return (scale @ weights @ scale).tocsr()


def cooccurrence(first, second, observed):
    """Pointwise mutual information of two tasks' labels.

        theta_cd = log P(c, d) / (P(c) P(d))

    counted on the images that carry both labels and, where there are none,
    expected under the predictions of all images. One is added to each count.

    Args:
        first: [N, C] label distributions of one task.
        second: [N, D] of the other.
        observed: [N] bool, whether an image carries both labels.

    Returns:
        [C, D] float64; positive where labels occur together.
    """
    rows = observed if observed.any() else slice(None)
    joint = 1.0 + first[rows].T @ second[rows]
    joint = joint / joint.sum()
    chance = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    return np.log(joint / chance)


def _scaled(features):
    """Centred features with a root mean squared distance of 1: [N, d]."""
    centred = features - features.mean(axis=0)
    spread = np.sqrt(np.square(centred).sum(axis=1).mean())
    return centred / max(spread, np.finfo("float32").tiny)


def _squared(features, indices):
    """float64 squared distances to the indexed rows: [N, k]."""
    found = np.empty(indices.shape)
    for start in range(0, len(features), BLOCK):
        rows = slice(start, start + BLOCK)
        here = features[rows, None].astype("float64")
        found[rows] = np.square(here - features[indices[rows]]).sum(axis=2)
    return found

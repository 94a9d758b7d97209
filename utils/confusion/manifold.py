"""Manifold methods: regularisers of the heads' weights and predictions.

SFSMR: Chang, Yang 2014, "Semi-supervised Feature Analysis by Mining
Correlations among Multiple Tasks" (arXiv 1411.6232): l2,1 norm and manifold
smoothness. SLRM: Jing et al. 2015, "SLRM: Semi-supervised Low-Rank Mapping
Learning for Multi-label Classification" (CVPR): the nuclear norm too.
"""

import dataclasses

import keras
import numpy as np
from keras import ops

from samtl.data.tasks import Task
from samtl.pseudo_labels.method import Regularisers
from samtl.training.learner import AuxiliaryLoss

NEIGHBOURS = 5  # of an image in the graph over a batch


def l21_norm(matrix):
    """Sum of the rows' lengths, sum_i |w_i|_2: drives whole rows to 0.

    A row of zeros has gradient 0, which is one of its subgradients.

    Args:
        matrix: [D, C].

    Returns:
        scalar.
    """
    squares = ops.sum(ops.square(matrix), axis=1)
    some = squares > 0
    # The root's gradient at 0 is infinite, and 0 times that is not 0.
    lengths = ops.sqrt(ops.where(some, squares, 1.0))
    return ops.sum(ops.where(some, lengths, 0.0))


def nuclear_norm(matrix):
    """Sum of the singular values, |W|_*: drives the rank down.

    With W = U S V', its gradient is the polar factor

        U V' = W (W' W)^(-1/2),

    and |W|_* = <W, U V'>. The factor comes from the eigenvectors of W' W and
    is held constant: so nothing is divided by differences of singular values,
    as the derivative of a decomposition is. Singular values within the
    rounding of W' W (a thousandth of the largest in float32) count as 0.

    Args:
        matrix: [D, C], of which C should be the small side.

    Returns:
        scalar.
    """
    constant = ops.stop_gradient(matrix)
    # Some GPUs would round a matrix product's factors to 10 bits.
    gram = ops.sum(constant[:, :, None] * constant[:, None, :], axis=0)
    values, vectors = ops.eigh(gram)
    resolution = np.finfo(keras.backend.standardize_dtype(gram.dtype)).eps
    some = values > gram.shape[0] * resolution * ops.max(values)
    roots = ops.sqrt(ops.where(some, values, 1.0))
    inverse = ops.matmul(
        ops.where(some, vectors / roots, 0.0), ops.transpose(vectors)
    )
    polar = ops.matmul(constant, inverse)
    return ops.sum(matrix * ops.stop_gradient(polar))


def affinity(features, neighbours):
    """Heat-kernel graph of nearest neighbours.

        w_ij = exp(-|h_i - h_j|^2 / (s_i s_j))

    where j is among the `neighbours` nearest of i, or i among those of j, and
    0 elsewhere and for i = j. s_i is the distance from i to the last of its
    neighbours (Zelnik-Manor and Perona 2004), so that the graph has no unit.

    Args:
        features: [B, d], B > neighbours.
        neighbours: >= 1.

    Returns:
        [B, B] in 0..1, symmetric.
    """
    features = features - ops.mean(features, axis=0, keepdims=True)
    norms = ops.sum(ops.square(features), axis=1)
    products = ops.matmul(features, ops.transpose(features))
    squared = norms[:, None] + norms[None, :] - 2.0 * products
    squared = ops.maximum(squared, 0.0)
    others = ops.where(ops.eye(features.shape[0]) > 0, np.inf, squared)
    nearest, _ = ops.top_k(-others, neighbours)
    reach = -nearest[:, -1]
    is_near = others <= reach[:, None]
    is_near = ops.logical_or(is_near, ops.transpose(is_near))
    scale = ops.sqrt(reach[:, None] * reach[None, :])
    # Images that coincide have scale 0 and are alike: w = 1.
    tiny = np.finfo("float32").tiny
    kernel = ops.exp(-squared / ops.maximum(scale, tiny))
    return ops.where(is_near, kernel, 0.0)


def laplacian(weights):
    """L = D - W, D the diagonal of the rows' sums. [B, B] -> [B, B]."""
    return ops.diag(ops.sum(weights, axis=1)) - weights


def smoothness(predictions, graph):
    """Tr(F' L F) / B^2 = sum_ij w_ij |f_i - f_j|^2 / (2 B^2).

    Args:
        predictions: F, [B, C].
        graph: L, [B, B] Laplacian.

    Returns:
        scalar >= 0.
    """
    count = predictions.shape[0]
    return ops.sum(predictions * ops.matmul(graph, predictions)) / count**2


def losses(
    network: keras.Model, tasks: list[Task], config: Regularisers
) -> dict[str, AuxiliaryLoss]:
    """The chosen regularisers.

        alpha sum_t |W_t|_{2,1} + beta sum_t Tr(F_t' L_t F_t) / B^2
            + gamma |[W_1 ... W_T]|_*

    W_t is the kernel of head t as a matrix with one column a class (that of
    a convolution has one row for each place of its window and feature), F_t
    the softmax predictions on all images of the batch, L_t the Laplacian of
    their graph by the features of task t, through which no gradient passes.

    Args:
        network: model from `networks.build`.
        tasks: of the network.
        config: weights alpha, beta and gamma.

    Returns:
        {name: AuxiliaryLoss}; the values are reported without the weight.
    """

    def matrices():
        kernels = [network.get_layer(f"head_{t.name}").kernel for t in tasks]
        return [ops.reshape(k, (-1, k.shape[-1])) for k in kernels]

    def lnorm(outputs, triples):
        return sum(l21_norm(matrix) for matrix in matrices())

    def trace_norm(outputs, triples):
        total = 0.0
        for task in tasks:
            features = ops.stop_gradient(outputs["features"][task.name])
            neighbours = min(NEIGHBOURS, features.shape[0] - 1)
            graph = laplacian(affinity(features, neighbours))
            predictions = ops.softmax(outputs["logits"][task.name], axis=-1)
            total = total + smoothness(predictions, graph)
        return total

    def nuclear(outputs, triples):
        return nuclear_norm(ops.concatenate(matrices(), axis=1))

    values = {"lnorm": lnorm, "trace_norm": trace_norm, "nuclear_norm": nuclear}
    return {
        name: AuxiliaryLoss(weight, values[name])
        for name, weight in dataclasses.asdict(config).items()
        if weight is not None
    }

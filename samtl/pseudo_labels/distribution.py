"""Distribution similarity: clusters of the pool against the reference.

Within a class, a Gaussian mixture describes the features of the pool, another
those of the reference. Every component of the pool is compared with the
reference by partial optimal transport and by the maximum mean discrepancy.
Samples of components unlike the reference get a low weight (arXiv 2003.06746).
"""

import warnings
from dataclasses import dataclass

import numpy as np
from keras import ops
from scipy.spatial.distance import cdist, pdist
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from samtl.distributed import devices
from samtl.pseudo_labels import distances, sampling

METRICS = ("both", "emd", "mmd")
SCOPES = ("class", "all")
ITERATIONS = 50  # cap on the steps of expectation maximisation
BANDWIDTH_SAMPLES = 256  # of either set, for the median distance
EXACT_MEAN = 10_000  # most samples whose kernel is averaged over all pairs
KERNEL_PAIRS = 262_144  # pairs drawn where there are more
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the squared bandwidth
# Reference features of a class that spread less, as a share of the spread of
# all, are copies of one.
COPIES = 1e-3
FARTHEST = 1e9  # in bandwidths; the square of more would leave float32's range
WIDEST = 1e3  # root mean square of what mixtures are fitted to


@dataclass(frozen=True)
class DistributionConfig:
    """How pool and reference are compared.

    cluster_k: K >= 1, Gaussians of a mixture; fewer where a class has fewer
        distinct samples.
    metric: "emd", "mmd" or "both".
    gamma: >= 0; the larger, the faster the weight falls.
    gmm_scope: "class", or "all" to treat everything as one class.
    seed: of the mixtures and of the bandwidth's sample.

    Raises:
        ValueError: metric or gmm_scope is unknown.
    """

    cluster_k: int = 3
    metric: str = "both"
    gamma: float = 1.0
    gmm_scope: str = "class"
    seed: int = 0

    def __post_init__(self):
        if self.metric not in METRICS or self.gmm_scope not in SCOPES:
            raise ValueError(
                f"unknown metric {self.metric!r} or scope {self.gmm_scope!r}"
            )


def distribution_similarity(
    features: np.ndarray,
    labels: np.ndarray,
    reference_features: np.ndarray,
    reference_labels: np.ndarray,
    config: DistributionConfig = DistributionConfig(),
) -> np.ndarray:
    """Similarity of every sample's cluster to the reference of its class.

    For class c, with mixtures {(mu_k, pi_k)} of the reference features and
    {(nu_j, rho_j)} of the pool's, and r_ij the pool mixture's
    responsibilities:

        s_j = exp(-gamma EMD_j / scale_c)                 metric "emd"
        s_j = exp(-gamma MMD_j)                           metric "mmd"
        s_j = exp(-gamma (EMD_j / scale_c + MMD_j))       metric "both"
        w_i = sum_j r_ij s_j

    EMD_j: see `partial_transport`. MMD_j: the square root of `squared_mmd`,
    0 where that is negative, between the samples of component j (each sample
    belongs to its most responsible component) and the reference samples of
    class c, at `median_bandwidth`. scale_c: see `_class_scale`.

    Args:
        features: [N, d] finite features of the pool.
        labels: [N] int, pseudo class of each.
        reference_features: [M, d] finite features.
        reference_labels: [M] int, true class of each.
        config: see DistributionConfig.

    Returns:
        [N] float32 NumPy array in 0..1; 0 for classes without reference.

    Raises:
        ValueError: features are not finite.
    """
    pool = distances.finite(features)
    reference = distances.finite(reference_features)
    labels, reference_labels = map(
        ops.convert_to_numpy, (labels, reference_labels)
    )
    if config.gmm_scope == "all":
        labels = np.zeros(len(pool), "int64")
        reference_labels = np.zeros(len(reference), "int64")
    weights = np.zeros(len(pool), "float32")
    if not len(pool) or not len(reference):
        return weights
    pool, reference, scale = _standardised(pool, reference)
    classes, sizes = np.unique(labels, return_counts=True)
    for label in devices.split_between_processes(
        classes[np.argsort(-sizes, kind="stable")]
    ):
        members = np.flatnonzero(labels == label)
        known = reference[reference_labels == label]
        if len(known):
            weights[members] = _class_similarity(
                pool[members], known, _class_scale(known, scale), config
            )
    return devices.gather(weights).sum(axis=0)


def _standardised(pool, reference):
    """Both shifted and scaled alike, and the spread of the reference then.

    No result depends on shift and scale, but squared norms then do not cancel
    and the floor of the mixtures' covariances has no unit.
    """
    mean = reference.mean(axis=0, dtype="float64")
    scale = root_mean_square(reference)
    unit = scale or 1.0
    pool, reference = (
        ((array - mean) / unit).astype("float32") for array in (pool, reference)
    )
    return pool, reference, scale / unit


def _class_scale(known, scale):
    """scale_c, the unit of EMD_j: the spread of the reference of class c.

    That is their root mean squared distance to their mean. Where it is below a
    thousandth of `scale`, that of all reference features, it is `scale`: the
    class has one sample, or copies of one.
    """
    spread = root_mean_square(known)
    return scale if spread < COPIES * scale else spread


def _class_similarity(pool, known, scale, config):
    """w_i within one class: [n, d], [m, d] -> [n]."""
    mixture = fit_mixture(pool, config.cluster_k, config.seed)
    exponents = np.zeros(len(mixture.shares))
    if config.metric in ("emd", "both"):
        target = fit_mixture(known, config.cluster_k, config.seed)
        cost = partial_transport(
            mixture.means, mixture.shares, target.means, target.shares
        )
        # Without any scale, only coinciding means are alike.
        exponents += cost / scale if scale else np.where(cost > 0, np.inf, 0.0)
    if config.metric in ("mmd", "both"):
        exponents += _component_mmd(pool, mixture, known, config.seed)
    similarity = (
        np.exp(-config.gamma * exponents)
        if config.gamma
        else np.ones_like(exponents)
    )
    return np.clip(mixture.responsibilities @ similarity, 0.0, 1.0)


def _component_mmd(pool, mixture, known, seed):
    """MMD_j of every component j: [K]; infinite where it has no sample."""
    assigned = mixture.responsibilities.argmax(axis=1)
    bandwidth = median_bandwidth(pool, known, seed)
    # About the class, so that squared norms do not cancel where it is narrow
    # and far from the others.
    mean = known.mean(axis=0, dtype="float64")
    pool, known = (
        np.clip((array - mean) / bandwidth, -FARTHEST, FARTHEST).astype(
            "float32"
        )
        for array in (pool, known)
    )
    known_blocks = distances.blocks(known)
    known_mean = _mean_kernel_within(known, 1.0)
    found = np.full(len(mixture.shares), np.inf)
    for j in range(len(found)):
        samples = pool[assigned == j]
        if len(samples):
            squared = _squared_mmd(
                samples, known_blocks, len(known), known_mean, 1.0
            )
            found[j] = np.sqrt(max(0.0, squared))
    return found


@dataclass(frozen=True)
class Mixture:
    """Gaussian mixture: means [K, d], shares [K], responsibilities [n, K]."""

    means: np.ndarray
    shares: np.ndarray
    responsibilities: np.ndarray


def fit_mixture(
    features: np.ndarray, components: int, seed: int = 0
) -> Mixture:
    """Gaussian mixture with diagonal covariances (scikit-learn).

    K-means starts expectation maximisation; it ends when the mean log
    likelihood gains less than 0.001 in a step, or after 50 steps. `components`
    shrinks to the number of distinct samples.

    Args:
        features: [n, d] float32, n >= 1.
        components: K >= 1.
        seed: seed of K-means.
    """
    distinct = set()
    for row in features:
        distinct.add((row + 0.0).tobytes())
        if len(distinct) == components:
            break
    if len(distinct) == 1:
        mean = features.mean(axis=0, dtype="float64", keepdims=True)
        return Mixture(mean, np.ones(1), np.ones((len(features), 1)))
    model = GaussianMixture(
        len(distinct),
        covariance_type="diag",
        max_iter=ITERATIONS,
        random_state=seed,
    )
    # One thread: the products are small, and threads that wait for each other
    # beside a busy TensorFlow made this up to 50 times slower.
    # The cap on the steps is ours: no warning where it is reached.
    # In float64: a variance is a difference of two means of squares, which in
    # float32 can come out below 0, and in float64 too where the mean or the
    # spread is huge.
    mean = features.mean(axis=0, dtype="float64")
    unit = max(1.0, root_mean_square(features) / WIDEST)
    features = (features - mean) / unit
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        responsibilities = model.fit(features).predict_proba(features)
    means = mean + unit * model.means_
    return Mixture(means, model.weights_, responsibilities)


def root_mean_square(features: np.ndarray) -> float:
    """sqrt(mean_i |x_i - mean|^2) of [n, d] features; exactly 0 if equal."""
    if (features == features[0]).all():
        return 0.0
    centred = features - features.mean(axis=0, dtype="float64")
    return float(np.sqrt(np.square(centred).sum(axis=1).mean()))


def partial_transport(
    means: np.ndarray,
    shares: np.ndarray,
    reference_means: np.ndarray,
    reference_shares: np.ndarray,
) -> np.ndarray:
    """Cost of moving each component's mass into the reference mixture.

    For every j on its own, with t_k the mass moved from nu_j to mu_k:

        EMD_j = min_t sum_k t_k |nu_j - mu_k| / rho_j
        where sum_k t_k = rho_j and 0 <= t_k <= pi_k

    a partial transport problem (Caffarelli and McCann 2010; the earth mover's
    distance of Rubner et al. 2000). With one source of mass, the solution is
    exact: the nearest components are filled first.

    Args:
        means: [J, d] nu; shares: [J] rho > 0, summing to 1.
        reference_means: [K, d] mu; reference_shares: [K] pi, summing to 1.

    Returns:
        [J] float64 NumPy array, in the unit of the features.
    """
    costs = cdist(means, reference_means)
    nearest = costs.argsort(axis=1)
    filled = np.asarray(reference_shares, "float64")[nearest].cumsum(axis=1)
    filled = np.minimum(filled, np.asarray(shares, "float64")[:, None])
    moved = np.diff(filled, axis=1, prepend=0.0)
    paid = (moved * np.take_along_axis(costs, nearest, axis=1)).sum(axis=1)
    # The mass moved, as the capacities may sum to less than 1 by rounding.
    return paid / filled[:, -1]


def median_bandwidth(
    features: np.ndarray, reference_features: np.ndarray, seed: int = 0
) -> float:
    """Median distance among samples of both sets; 1 where all coincide.

    The median heuristic of Gretton et al. 2012, over the non-zero distances
    of at most 256 random samples of each set.
    """
    random = np.random.default_rng(seed)
    drawn = [
        array[random.permutation(len(array))[:BANDWIDTH_SAMPLES]]
        for array in (features, reference_features)
    ]
    found = pdist(np.concatenate(drawn))
    found = found[found > 0]
    return float(np.median(found)) if len(found) else 1.0


def squared_mmd(
    samples: np.ndarray, reference: np.ndarray, bandwidth: float
) -> float:
    """Unbiased squared maximum mean discrepancy of two samples.

    Gretton et al. 2012, "A Kernel Two-Sample Test", JMLR 13, equation 3:

        MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j)
                - 2 mean_{i, j} k(x_i, y_j)
        k(x, y) = 1/5 sum_f exp(-|x - y|^2 / (2 f sigma^2))
        f in 1/4, 1/2, 1, 2, 4

    sigma is the bandwidth. The mean over the pairs of a single sample, which
    has none, is k(x, x) = 1. Can be slightly negative. Of more than
    `EXACT_MEAN` samples, x or y, `KERNEL_PAIRS` random pairs are averaged: see
    `sampling.error_bound`.

    Args:
        samples: [n, d], n >= 1; reference: [m, d], m >= 1.
        bandwidth: > 0, in the unit of the features.

    Returns:
        float in about -1..2.
    """
    samples = distances.finite(samples)
    reference = distances.finite(reference)
    mean = reference.mean(axis=0, dtype="float64")
    reference = (reference - mean).astype("float32")
    return _squared_mmd(
        (samples - mean).astype("float32"),
        distances.blocks(reference),
        len(reference),
        _mean_kernel_within(reference, bandwidth),
        bandwidth,
    )


def _squared_mmd(samples, known_blocks, known, known_mean, bandwidth):
    blocks = distances.blocks(samples)
    across = _kernel_sum(distances.between(blocks, known_blocks), bandwidth)
    within = _mean_kernel_within(samples, bandwidth)
    return within + known_mean - 2.0 * across / (len(samples) * known)


def _mean_kernel_within(samples, bandwidth):
    """Mean of k over the pairs i != j of [n, d] samples, or random ones."""
    count = len(samples)
    if count == 1:
        return 1.0
    if count > EXACT_MEAN:
        random = np.random.default_rng(0)
        pairs = sampling.random_pairs(count, KERNEL_PAIRS, random)
        squared = (distances.of_pairs(samples, *pairs) / bandwidth) ** 2
        return np.mean([np.exp(squared / (-2.0 * f)) for f in FACTORS])
    tiles = (tile for _, _, tile in distances.within(distances.blocks(samples)))
    return _kernel_sum(tiles, bandwidth) / (count * (count - 1) / 2)


def _kernel_sum(tiles, bandwidth):
    """Sum of k over all entries of tiles of squared distances.

    The kernel of factor f is the square of the one of factor 2 f: one
    exponential serves all five.
    """
    slope = -1.0 / (8.0 * bandwidth**2)
    total = 0.0
    for tile in tiles:
        # Rounding below 0 would make kernels above 1.
        kernel = ops.exp(ops.maximum(tile, 0.0) * slope)
        mixed = kernel
        for _ in range(4):
            kernel = kernel * kernel
            mixed = mixed + kernel
        # Rows are added up in float64, which keeps the small differences.
        rows = ops.convert_to_numpy(ops.sum(mixed, axis=1))
        total += rows.sum(dtype="float64")
    return total / 5.0

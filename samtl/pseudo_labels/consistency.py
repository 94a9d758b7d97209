"""Pseudo labels of every step: consistency under augmentation.

The other methods fill in triples once a round. Here, a teacher that moves with
the network labels the clean image within the step, and the network learns that
label on the augmented image. The teacher is the network itself or a moving
average of its weights; no gradient passes through it.
"""

import keras
from keras import ops

from samtl import networks
from samtl.data.tasks import Task
from samtl.distributed import devices
from samtl.pseudo_labels.method import Kind, Method

STATISTICS_MOMENTUM = 0.999  # of SoftMatch's moving statistics, as in its paper
SIGMAS = 2.0  # SoftMatch's weight falls by this many standard deviations


class Consistency(keras.layers.Layer):
    """Fills in the triples of a batch from its clean images.

    Args:
        network: model from `networks.build`.
        tasks: of the network.
        method: of a `method.CONSISTENCY` kind.
    """

    def __init__(self, network: keras.Model, tasks: list[Task], method: Method):
        super().__init__()
        self.kind = method.kind
        self.config = method.consistency
        self.average = None
        if self.config.momentum:
            average = keras.models.clone_model(network)
            average.trainable = False
            average.set_weights(network.get_weights())
            self.average = networks.fuse(average)
        self.statistics = {}
        if self.kind == Kind.SOFTMATCH:
            self.statistics = {task.name: self._start(task) for task in tasks}
        self.built = True

    def fill(self, network, images, triples):
        """Triples whose missing labels are filled in.

        Filled in are the samples with a weight and without a true label.

        Args:
            network: the one that learns.
            images: [B, H, W, C] in 0..255, clean; where an image is mirrored
                for the network, it is mirrored here, too.
            triples: {task: {"target", "weight", "temperature", "labelled"}},
                see `data.batches.Batches`.

        Returns:
            the same, with the teacher's labels.
        """
        teacher = self._moved(network)
        logits = devices.gather_outputs(teacher(images, training=False))
        return {
            name: self._filled(name, triple, logits["logits"][name])
            for name, triple in triples.items()
        }

    def _start(self, task):
        """SoftMatch's statistics, as it starts: mean, variance, marginal."""

        def variable(shape, value):
            start = keras.initializers.Constant(value)
            return self.add_weight(
                shape=shape, initializer=start, trainable=False
            )

        share = 1 / len(task)
        return (
            variable((), share),
            variable((), 1.0),
            variable((len(task),), share),
        )

    def _moved(self, network):
        """The teacher after one step of its average."""
        if self.average is None:
            return network
        momentum = self.config.momentum
        trained = {id(variable) for variable in network.trainable_variables}
        for kept, new in zip(
            self.average.variables, network.variables, strict=True
        ):
            if id(new) in trained:
                kept.assign(momentum * kept + (1 - momentum) * new)
            else:  # statistics of normalisation, which move by themselves
                kept.assign(new)
        return self.average

    def _filled(self, name, triple, logits):
        weight = triple["weight"]
        missing = (1.0 - triple["labelled"]) * ops.cast(
            weight > 0, weight.dtype
        )
        target, weight = self._labels(name, ops.stop_gradient(logits), missing)
        weight = mean_over_all(weight, missing)
        is_missing = missing > 0
        return triple | {
            "target": ops.where(is_missing[:, None], target, triple["target"]),
            "weight": ops.where(is_missing, weight, triple["weight"]),
        }

    def _labels(self, name, logits, missing):
        """(targets [B, C], weights [B]) of the method."""
        target = targets(logits, self.config.temperature)
        probabilities = ops.softmax(logits)
        if self.kind == Kind.FIXMATCH:
            return target, fixmatch(probabilities, self.config.threshold)
        if self.kind == Kind.SOFTMATCH:
            kept = self.statistics[name]
            new = softmatch_statistics(probabilities, missing, kept)
            for variable, value in zip(kept, new, strict=True):
                variable.assign(value)
            return target, softmatch(probabilities, *new)
        return target, ops.ones_like(missing)


def targets(logits, temperature):
    """Labels of the teacher: softmax(z / T), or one-hot with T = 0.

    Args:
        logits: [B, C].
        temperature: T >= 0.

    Returns:
        [B, C].
    """
    if temperature:
        return ops.softmax(logits / temperature)
    return ops.one_hot(ops.argmax(logits, axis=-1), logits.shape[-1])


def fixmatch(probabilities, threshold):
    """1 where max_c p_c >= threshold, else 0. [B, C] -> [B].

    Sohn et al. 2020, equation 4 (arXiv 2001.07685).
    """
    return ops.cast(ops.max(probabilities, axis=-1) >= threshold, "float32")


def softmatch(probabilities, mean, variance, marginal):
    """exp(-min(0, m - mu)^2 / (2 (sigma / 2)^2)), m the aligned confidence.

    SoftMatch, Chen et al. 2023 (arXiv 2301.10921): a Gaussian of the confidence
    that is cut off above its mean (equation 9), the confidence after uniform
    alignment (equation 10). Sigma is halved as in the authors' code.

    Args:
        probabilities: [B, C].
        mean, variance: mu and sigma^2 of the confidence, scalars.
        marginal: [C], mean prediction.

    Returns:
        [B] in 0..1.
    """
    below = ops.minimum(_aligned(probabilities, marginal) - mean, 0.0)
    return ops.exp(-(below**2) * SIGMAS**2 / (2 * variance))


def softmatch_statistics(probabilities, missing, statistics):
    """Moving mean and variance of the confidence, and mean prediction.

    Equations 7 and 8 of SoftMatch; with fewer than two missing labels in the
    batch they stay.

    Args:
        probabilities: [B, C].
        missing: [B], 1 for the samples that count, else 0.
        statistics: (mean, variance, marginal [C]) so far.

    Returns:
        the same of the batch mixed in.
    """
    mean, variance, marginal = map(ops.convert_to_tensor, statistics)
    count = ops.sum(missing)
    rate = (1 - STATISTICS_MOMENTUM) * ops.cast(count > 1, "float32")
    share = missing / ops.maximum(count, 1.0)
    new = ops.sum(share[:, None] * probabilities, axis=0)
    marginal = marginal + rate * (new - marginal)
    confidence = _aligned(probabilities, marginal)
    new_mean = ops.sum(share * confidence)
    new_variance = ops.sum(missing * (confidence - new_mean) ** 2)
    new_variance = new_variance / ops.maximum(count - 1, 1.0)
    return (
        mean + rate * (new_mean - mean),
        variance + rate * (new_variance - variance),
        marginal,
    )


def mean_over_all(weight, missing):
    """Weights whose triple loss is the mean over all missing labels.

    `triple_loss` divides by the number of samples with a weight, FixMatch by
    that of all unlabelled ones.

    Args:
        weight: [B] >= 0.
        missing: [B], 1 for missing labels, else 0.
    """
    counted = ops.sum(missing * ops.cast(weight > 0, "float32"))
    return weight * counted / ops.maximum(ops.sum(missing), 1.0)


def _aligned(probabilities, marginal):
    """Confidence after uniform alignment: classes predicted alike often."""
    aligned = probabilities / ops.maximum(marginal, 1e-6)
    total = ops.sum(aligned, axis=-1, keepdims=True)
    return ops.max(aligned / total, axis=-1)

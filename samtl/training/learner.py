"""The network that learns: the loss on label triples, and one pass."""

import collections
import itertools
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import keras
import numpy as np
from keras import ops
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from samtl import networks
from samtl.common.errors import UserError
from samtl.data import augmentation
from samtl.data.batches import Batches
from samtl.distributed import devices
from samtl.pseudo_labels.consistency import Consistency
from samtl.pseudo_labels.targets import separate_loss, triple_loss
from samtl.training.config import TrainingConfig
from samtl.training.task_weighting import TaskWeighting


class AuxiliaryLoss(NamedTuple):
    """A further term of the loss, weight * value(outputs, triples).

    weight: >= 0; with 0 the value is only reported.
    value: function of the network's outputs and of the batch's triples (see
        `batches.Batches`) to a scalar tensor.
    """

    weight: float
    value: Callable


@dataclass(frozen=True)
class Auxiliary:
    """What is trained beside the network's triples.

    losses: {name: AuxiliaryLoss}.
    model: which the losses read and whose trainable weights are trained along,
        or None; it is not kept with the network.
    """

    losses: dict[str, AuxiliaryLoss] = field(default_factory=dict)
    model: keras.layers.Layer | None = None


class Learner(keras.Model):
    """Trains a network on triples.

    Args:
        network: model from `networks.build`.
        config: weights of the losses, and the random seed.
        auxiliary: further losses, and the model that they train.
        consistency: fills in missing labels in every step, or None.
    """

    def __init__(
        self,
        network: keras.Model,
        config: TrainingConfig,
        auxiliary: Auxiliary = Auxiliary(),
        consistency: Consistency | None = None,
    ):
        super().__init__()
        self.network = (
            networks.fuse(network)
            if devices.replicas() == 1
            else networks.synchronise(network)
        )
        self.auxiliary_model = auxiliary.model
        self.loss_weights = config.loss_weights
        self.pseudo_loss_weights = config.pseudo_loss_weights
        self.task_weighting = TaskWeighting(
            config.task_weighting, len(config.loss_weights), config.seed
        )
        self.consistency = consistency
        self.auxiliary_losses = auxiliary.losses
        self.built = True  # as the network is
        self._steps = {}
        self.reported = {
            name: keras.metrics.Mean(name=name)
            for name in (
                *map("{}_loss".format, self.loss_weights),
                *self.auxiliary_losses,
            )
        }

    def call(self, inputs, training=False):
        images = ops.cast(inputs["image"], "float32")
        if "transform" in inputs:
            images = augmentation.apply(
                images, inputs["transform"], inputs["light"]
            )
        return devices.gather_outputs(self.network(images, training=training))

    def train_on_batch(self, x=None, y=None, **options):
        # A step of its own for each batch size. TensorFlow would compile one
        # for all sizes after the second, and a resumed run, which sees them
        # in another order, would not be bitwise reproducible.
        size = getattr(x["image"], "shape", (None,))[0]
        self.train_function = self._steps.get(size)
        logs = super().train_on_batch(x, y, **options)
        self._steps[size] = self.train_function
        return logs

    def reset_metrics(self):
        # keras.Model takes new zeros, which processes that train together
        # compare with each other first: that takes longer than a small step.
        for variable in self.metrics_variables:
            variable.assign(ops.zeros_like(variable.value))

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        if self.consistency is not None:
            y = self.consistency.fill(self.network, _clean(x), y)
        losses = list(self.losses)
        of_tasks = []
        for task, loss_weight in self.loss_weights.items():
            loss = self._task_loss(task, y[task], y_pred["logits"][task])
            self.reported[f"{task}_loss"].update_state(loss)
            of_tasks.append(loss_weight * loss)
        if self.task_weighting.kind == "equal":
            losses += of_tasks
        else:
            losses.append(self.task_weighting(ops.stack(of_tasks)))
        for name, auxiliary in self.auxiliary_losses.items():
            value = auxiliary.value(y_pred, y)
            self.reported[name].update_state(value)
            if auxiliary.weight:
                losses.append(auxiliary.weight * value)
        # Not sum(): TensorFlow adds three or more at once, beginning with the
        # one whose memory is free first, and is not bitwise reproducible.
        loss = ops.sum(ops.stack(losses))
        # TensorFlow adds the gradients of all replicas up.
        return loss / devices.replicas() if devices.replicas() > 1 else loss

    def _task_loss(self, task, triple, logits):
        known = [triple[name] for name in ("target", "weight", "temperature")]
        if task not in self.pseudo_loss_weights:
            return triple_loss(*known, logits)
        weight = self.pseudo_loss_weights[task]
        return separate_loss(*known, triple["labelled"], logits, weight)


def _clean(inputs):
    """Images as the teacher of `Consistency` sees them."""
    images = ops.cast(inputs["image"], "float32")
    if "transform" in inputs:
        images = augmentation.mirrored(images, inputs["transform"])
    return images


def fit_pass(
    learner: Learner, batches: Batches, title: str
) -> dict[str, float]:
    """Train one pass over `batches`; returns every loss's mean over batches.

    Args:
        learner: a compiled Learner.
        batches: one pass.
        title: names the pass on the progress bar and in errors.

    Raises:
        UserError: the loss stops being finite.
    """
    progress = Progress(
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
        transient=True,
        disable=not sys.stdout.isatty(),
    )
    totals = collections.Counter()
    ready = itertools.starmap(devices.training_batch, _prefetched(batches))
    with progress:
        bar = progress.add_task("", total=len(batches), loss=float("nan"))
        for index, logs in enumerate(_trained(learner, ready)):
            totals.update(logs)
            loss = float(logs["loss"])
            progress.update(bar, advance=1, loss=loss)
            if not np.isfinite(loss):
                names = ", ".join(batches.paths(index))
                raise UserError(
                    f"the loss is {loss} after batch {index + 1} of {title}; "
                    "lower --learning_rate or look at the batch's files: "
                    f"{names}"
                )
    return {name: float(total) / len(batches) for name, total in totals.items()}


def _trained(learner, batches):
    """Train on the batches; yields the losses of each, {name: float}."""
    if keras.backend.backend() == "jax":
        from samtl.distributed import jax_steps

        return jax_steps.trained(learner, batches)
    return (
        learner.train_on_batch(*batch, return_dict=True) for batch in batches
    )


def _prefetched(batches):
    """Yield the batches in order; the next is read while one is trained on.

    Not `fit`: its tf.data pipeline ends an epoch only when its autotuner wakes
    up, which is after 10 ms, 20 ms, ... doubling, up to twice the epoch.
    """
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(batches.__getitem__, 0)
        for index in range(1, len(batches) + 1):
            batch = upcoming.result()
            if index < len(batches):
                upcoming = pool.submit(batches.__getitem__, index)
            yield batch

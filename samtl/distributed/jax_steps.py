"""Steps of training and prediction with JAX, on variables that stay there.

Keras's `train_on_batch` and `predict_on_batch` hand every variable to each step
and take it back, which on a GPU takes ten times as long as the step. Here they
are handed in before the first step and taken back after the last.
"""

from collections.abc import Callable, Iterable, Iterator

import jax
import keras
from keras import ops


def trained(learner, batches: Iterable) -> Iterator[dict[str, float]]:
    """Train on the batches; yields the losses of each, {name: float}.

    The losses of a step are read during the next one.

    Args:
        learner: a compiled `learner.Learner`. Its variables are unusable
            between the steps, and hold the result after the last.
        batches: results of `devices.training_batch`.
    """
    learner.optimizer.build(learner.trainable_variables)
    groups = (
        learner.trainable_variables,
        learner.non_trainable_variables,
        learner.optimizer.variables,
        learner.metrics_variables,
    )
    state = tuple([variable.value for variable in group] for group in groups)
    layouts = jax.tree.map(lambda value: value.sharding, state)
    # Where JAX chose the device itself, a second program would be compiled
    # for the values that the first step gives.
    state = jax.device_put(state, layouts)
    if not hasattr(learner, "jax_step"):  # compiled for all passes
        learner.jax_step = _step(learner, layouts)
    losses = None
    for batch in batches:
        before = losses
        losses, state = learner.jax_step(state, batch)
        if before is not None:
            yield _floats(before)
    for group, values in zip(groups, state, strict=True):
        for variable, value in zip(group, values, strict=True):
            variable.assign(value)
    yield _floats(losses)


def predictor(network: keras.Model) -> Callable:
    """Function of a batch of images to the network's outputs.

    The network's variables are those of the time of the call.
    """
    groups = network.trainable_variables, network.non_trainable_variables

    @jax.jit
    def outputs(state, images):
        return network.stateless_call(*state, images, training=False)[0]

    def predict(images):
        state = [[variable.value for variable in group] for group in groups]
        return outputs(state, images)

    return predict


def _step(learner, layouts):
    """One step, compiled: (state, batch) -> (losses, state).

    The given state is used up. The returned one is laid out on the devices by
    `layouts`. Every step has losses of its own: the metrics begin at zero.
    """

    def step(state, batch):
        *rest, metrics = state
        zeros = [ops.zeros_like(value) for value in metrics]
        return learner.train_step((*rest, zeros), batch)

    return jax.jit(step, donate_argnums=0, out_shardings=(None, layouts))


def _floats(losses):
    return {k: float(v) for k, v in jax.device_get(losses).items()}

"""Steps with JAX against Keras's own: `python -m tests.jax_steps_alone`.

In a process of its own, because a process has one backend.
"""

import os

os.environ["KERAS_BACKEND"] = "jax"
import tests.no_tensorflow  # noqa: F401, I001
import jax
import keras
import numpy as np
from keras import layers, ops

from samtl.distributed import jax_steps
from samtl.training.config import TrainingConfig
from samtl.training.learner import Auxiliary, AuxiliaryLoss, Learner
from samtl.data.tasks import Task
from samtl.pseudo_labels import Method, distances
from samtl.pseudo_labels.consistency import Consistency
from samtl.pseudo_labels.method import ConsistencyConfig

WEIGHTS = {"emotion": 1.0, "pose": 0.5}
BATCH, SHAPE = 5, (6, 6, 1)


def network():
    """With statistics, dropout and two heads."""
    image = keras.Input(SHAPE)
    x = layers.Conv2D(3, 3)(image)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    logits = {"emotion": layers.Dense(4)(x), "pose": layers.Dense(2)(x)}
    return keras.Model(image, {"logits": logits})


def learner():
    keras.utils.set_random_seed(0)
    losses = {
        "size": AuxiliaryLoss(
            0.1, lambda found, _: ops.sum(found["logits"]["pose"])
        )
    }
    config = TrainingConfig(
        loss_weights=WEIGHTS,
        pseudo_loss_weights={"pose": 0.5},
        task_weighting="random",
    )
    method = Method("softmatch", consistency=ConsistencyConfig(momentum=0.9))
    tasks = [Task("emotion", tuple("abcd")), Task("pose", tuple("ef"))]
    model = network()
    consistency = Consistency(model, tasks, method)
    made = Learner(model, config, Auxiliary(losses), consistency)
    made.compile(optimizer=keras.optimizers.Adam(0.01, use_ema=True))
    return made


def batches(count):
    random = np.random.default_rng(0)
    for _ in range(count):
        images = random.integers(0, 256, (BATCH, *SHAPE), "uint8")
        triples = {
            task: {
                "target": random.dirichlet(np.ones(classes), BATCH),
                "weight": random.random(BATCH),
                "temperature": np.ones(BATCH),
                "labelled": random.integers(2, size=BATCH),
            }
            for task, classes in (("emotion", 4), ("pose", 2))
        }
        yield keras.tree.map_structure(
            lambda array: array.astype("float32"), ({"image": images}, triples)
        )


def check_training():
    theirs, ours = learner(), learner()
    expected = [
        theirs.train_on_batch(*batch, return_dict=True) for batch in batches(6)
    ]
    # Two passes: the second goes on from the first, compiled once.
    every = list(batches(6))
    found = [*jax_steps.trained(ours, every[:4])]
    found += jax_steps.trained(ours, every[4:])
    assert ours.jax_step._cache_size() == 1
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys() > {"loss", "pose_loss", "size"}
        for name, value in one.items():
            np.testing.assert_allclose(value, other[name], rtol=1e-4)
    metrics = {id(variable) for variable in ours.metrics_variables}
    pairs = zip(ours.variables, theirs.variables, strict=True)
    for mine, other in pairs:
        if id(mine) not in metrics:
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)
    pairs = zip(
        ours.optimizer.variables, theirs.optimizer.variables, strict=True
    )
    for mine, other in pairs:
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


def check_prediction():
    model = network()
    predict = jax_steps.predictor(model)
    images = next(batches(1))[0]["image"]
    for _ in range(2):
        found, expected = predict(images), model(images, training=False)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3),
            found,
            expected,
        )
        # It follows the variables.
        model.set_weights([weight * 0.5 for weight in model.get_weights()])


def check_precision():
    def precisions(function, *values):
        steps = jax.make_jaxpr(function)(*values).eqns
        found = [step.params.get("precision", ()) for step in steps]
        return [precision for precision in found if precision != ()]

    features = np.ones((3, 2), "float32")
    (block,) = distances.blocks(features)
    highest = (jax.lax.Precision.HIGHEST,) * 2
    assert precisions(distances.tile, block, block) == [highest]
    assert precisions(ops.matmul, features, features.T) == [None]


if __name__ == "__main__":
    check_precision()
    check_training()
    check_prediction()

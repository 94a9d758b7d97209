"""A small joint experiment: three datasets and a dense network."""

import types

import keras

from samtl import pseudo_labels
from samtl.data import images
from samtl.data.tasks import Task
from samtl.networks import LABEL_DIMENSIONS
from tests import tiny
from utils.confusion import label_transfer

EMOTION = Task("emotion", ("happy", "sad", "neutral"))
POSE = Task("pose", ("left", "frontal", "right"))
TASKS = [EMOTION, POSE]
ARGS = types.SimpleNamespace(
    batch_size=7,
    seed=0,
    is_augmentation=False,
    augmentation_strength=None,
    class_weights=None,
    votes=True,
    pseudo_warmup=0,
    mrf_neighbours=3,
    mrf_pairwise=1.0,
    mrf_cooccurrence=1.0,
    is_lnorm=True,
    lnorm_weight=0.1,
    is_trace_norm=True,
    trace_norm_weight=10.0,
    is_nuclear_norm=True,
    nuclear_norm_weight=0.1,
)


def datasets(folder):
    """Splits of a large set of emotions, a small one of poses, and of both."""
    listed = [
        ("large", [EMOTION], 20),
        ("small", [POSE], 6),
        ("both", [EMOTION, POSE], 3),
    ]
    return [
        images.open_splits(
            tiny.dataset(folder, name, tasks, (count, 1, 1), seed=seed),
            (16, 16, 1),
        )
        for seed, (name, tasks, count) in enumerate(listed)
    ]


def network(dtype="float64"):
    """Image [B, 16, 16, 1] -> logits and features; heads hold embeddings."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 1), dtype=dtype)
    x = keras.layers.Rescaling(1 / 255, dtype=dtype)(image)
    x = keras.layers.AveragePooling2D(4, dtype=dtype)(x)
    x = keras.layers.Flatten(dtype=dtype)(x)
    outputs = {"logits": {}, "features": {}}
    for task in TASKS:
        features = keras.layers.Dense(
            LABEL_DIMENSIONS,
            "tanh",
            dtype=dtype,
            name=f"task_{task.name}_features",
        )(x)
        outputs["features"][task.name] = features
        outputs["logits"][task.name] = keras.layers.Dense(
            len(task), use_bias=False, dtype=dtype, name=f"head_{task.name}"
        )(features)
    return keras.Model(image, outputs)


def teacher(model):
    return pseudo_labels.Teacher(model, ARGS.batch_size)


def transfer(dtype="float64"):
    """The label transfer networks of `network`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    built = label_transfer.build(TASKS)
    keras.config.set_dtype_policy(before)
    return built

"""A small joint experiment: three datasets and a dense network."""

import keras

from samtl import pseudo_labels
from samtl.data import images
from samtl.data.datasets import DataConfig, Datasets
from samtl.data.tasks import Task
from samtl.networks import LABEL_DIMENSIONS
from samtl.pseudo_labels.labels import true_labels
from samtl.pseudo_labels.method import RandomField, Regularisers
from samtl.training.config import Configuration, TrainingConfig
from tests import tiny
from utils.confusion import label_transfer

EMOTION = Task("emotion", ("happy", "sad", "neutral"))
POSE = Task("pose", ("left", "frontal", "right"))
TASKS = [EMOTION, POSE]
DATA = DataConfig(
    names={
        "large": ["emotion"],
        "small": ["pose"],
        "both": ["emotion", "pose"],
    },
    tasks=("emotion", "pose"),
)
TRAINING = TrainingConfig(
    epoch=3,
    batch_size=7,
    learning_rate=1e-2,
    loss_weights={"emotion": 1.0, "pose": 1.0},
)
CONFIG = Configuration(data=DATA, training=TRAINING)
RANDOM_FIELD = RandomField(neighbours=3)
REGULARISERS = Regularisers(lnorm=0.1, trace_norm=10.0, nuclear_norm=0.1)


def datasets(folder):
    """A large set of emotions, a small one of poses, and one of both."""
    listed = [
        ("large", [EMOTION], 20),
        ("small", [POSE], 6),
        ("both", [EMOTION, POSE], 3),
    ]
    splits = [
        images.open_splits(
            tiny.dataset(folder, name, tasks, (count, 1, 1), seed=seed),
            (16, 16, 1),
        )
        for seed, (name, tasks, count) in enumerate(listed)
    ]
    return Datasets(splits, TASKS)


def labels(splits):
    """Triples of the true labels, one dict a Split."""
    return [true_labels(split, TASKS, DATA) for split in splits]


def joined(labels, missing):
    """Triples of true and of missing labels, one dict a Split."""
    return [
        pseudo_labels.joined(true, other)
        for true, other in zip(labels, missing, strict=True)
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
    return pseudo_labels.Teacher(model, TRAINING.batch_size)


def transfer(dtype="float64"):
    """The label transfer networks of `network`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    built = label_transfer.build(TASKS)
    keras.config.set_dtype_policy(before)
    return built

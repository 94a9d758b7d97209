"""What every network shares: task heads, freezing, cross-stitch, export.

The name of a layer gives its place. `task_<task>_...` belongs to a task layer,
`head_<task>_...` to a head, `shared_...` to a shared layer without pretrained
weights. `cross_stitch_<tasks>` mixes task layers. The rest is the trunk.
"""

import contextlib
import math
from collections.abc import Iterator

import keras
from keras import ops

from samtl.common.errors import UserError

LABEL_DIMENSIONS = 64  # of the space of label embeddings
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


@keras.saving.register_keras_serializable(package="mtl_sa")
class CrossStitch(keras.layers.Layer):
    """Cross-stitch unit (Misra et al. 2016, eq. 1), one per channel.

    Task s reads y_s = sum_t a_stc x_t for every channel c. At the start a
    task keeps 0.9 of its own activation and shares 0.1 among the others
    (section 4 of the paper: convex and near the identity).

    Call: list of T tensors [B, ..., C], equal shapes -> the same.
    """

    OWN = 0.9

    def build(self, shapes):
        count = len(shapes)

        def near_identity(shape, dtype=None):
            other = (1.0 - self.OWN) / (count - 1)
            identity = ops.eye(count, dtype=dtype)[..., None]
            mixture = other + (self.OWN - other) * identity
            return mixture * ops.ones(shape, dtype=dtype)

        self.mixture = self.add_weight(
            name="mixture",
            shape=(count, count, shapes[0][-1]),
            initializer=near_identity,
        )

    def call(self, activations):
        mixture = ops.cast(self.mixture, self.compute_dtype)
        return [
            sum(row[t] * activations[t] for t in range(len(activations)))
            for row in (mixture[s] for s in range(len(activations)))
        ]

    def compute_output_shape(self, shapes):
        return shapes


@keras.saving.register_keras_serializable(package="mtl_sa")
class Flat(keras.layers.Layer):
    """[B, ...] -> [B, D] with a constant target shape.

    Flatten and the squeezing poolings read the batch size in the graph.
    OpenCV's ONNX reader takes it for constant and garbles larger batches.
    """

    def call(self, x):
        return ops.reshape(x, (-1, math.prod(x.shape[1:])))

    def compute_output_shape(self, shape):
        return (shape[0], math.prod(shape[1:]))


def cross_stitch(activations: dict) -> dict:
    """Mix the task layers' outputs. {task: tensor} -> the same.

    Raises:
        UserError: there is only one task.
    """
    if len(activations) < 2:
        raise UserError(
            "cross-stitch units mix task layers and there is one task only; "
            "train without them or name a second dataset"
        )
    name = "_".join(("cross_stitch", *activations))
    mixed = CrossStitch(name=name)(list(activations.values()))
    return dict(zip(activations, mixed, strict=True))


def label_embedding_head(features, task, is_dropout: bool, decay):
    """Features [B, 128] -> logits [B, C_t], always float32.

    Features are projected into the space that all tasks' label embeddings
    share, and z_j is their dot product with the embedding l_j, column j of
    the last kernel [LABEL_DIMENSIONS, C_t] (Augenstein et al. 2018, 1802.09913,
    section 3.2).
    """
    x = features
    if is_dropout:
        x = keras.layers.Dropout(
            0.5, dtype="float32", name=f"head_{task.name}_dropout"
        )(x)
    x = keras.layers.Dense(
        LABEL_DIMENSIONS,
        kernel_regularizer=decay,
        dtype="float32",
        name=f"head_{task.name}_projection",
    )(x)
    return keras.layers.Dense(
        len(task),
        use_bias=False,
        kernel_regularizer=decay,
        dtype="float32",
        name=f"head_{task.name}",
    )(x)


@contextlib.contextmanager
def precision_policy(precision: str) -> Iterator[None]:
    """Layers made inside compute in `precision`: "float32" or "bfloat16"."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def regularizer(weights_decay: float) -> keras.regularizers.L2 | None:
    """L2 penalty weights_decay * sum(kernel^2) (>= 0), or None for 0."""
    return keras.regularizers.L2(weights_decay) if weights_decay else None


def is_trunk(layer: keras.layers.Layer) -> bool:
    """True for the shared layers below the task layers."""
    return not layer.name.startswith(
        ("task_", "head_", "shared_", "cross_stitch")
    )


def part(layer: keras.layers.Layer) -> str:
    """Task layer, head or other part outside the trunk: its name."""
    return "_".join(layer.name.split("_")[:2])


def freeze(network: keras.Model, frozen: bool) -> None:
    """Freeze or unfreeze the trunk.

    The trunk is mini_Xception's blocks 1 to 3, or VGG-16's convolutions. Frozen
    batch normalisation uses its running statistics. Compile after the call:
    what is compiled already does not change.
    """
    for layer in network.layers:
        if is_trunk(layer):
            layer.trainable = not frozen


def probabilities(network: keras.Model) -> keras.Model:
    """Inference model: image [B, H, W, C] float32 in 0..255 -> {task: [B, C_t]}
    softmax probabilities. It is a float32 copy also of a bfloat16 network, as
    ONNX runtimes have no bfloat16 convolution.
    """
    copy = keras.models.clone_model(network, clone_function=_in_float32)
    copy.set_weights(network.get_weights())
    return keras.Model(
        copy.input,
        {
            task: keras.layers.Softmax(name=f"{task}_probabilities")(logits)
            for task, logits in copy.output["logits"].items()
        },
        name="probabilities",
    )


def _in_float32(layer):
    return layer.__class__.from_config(
        {**layer.get_config(), "dtype": "float32"}
    )

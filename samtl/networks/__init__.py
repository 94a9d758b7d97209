"""The networks: one shared trunk, one task layer and head per task."""

from pathlib import Path

import keras

from samtl.networks import (
    heads,
    mini_resnet,
    mini_xception,
    vggface,
    wide_resnet,
)
from samtl.networks.heads import LABEL_DIMENSIONS, freeze, probabilities
from samtl.networks.normalisation import fuse
from samtl.networks.weights import (
    load_weights,
    pretrained,
    check_decompressed_size,
)

MODULES = {
    "mini_xception": mini_xception,
    "mini_resnet": mini_resnet,
    "wide_resnet": wide_resnet,
    "vggface": vggface,
}
IMAGE_SHAPES = {name: module.IMAGE_SHAPE for name, module in MODULES.items()}

__all__ = [
    "IMAGE_SHAPES",
    "LABEL_DIMENSIONS",
    "build",
    "default_precision",
    "freeze",
    "fuse",
    "load_weights",
    "pretrained",
    "probabilities",
    "check_decompressed_size",
]


def build(
    model,
    tasks,
    *,
    is_dropout=False,
    is_bn=False,
    weights_decay=0.0,
    cross_stitch=False,
    label_embeddings=False,
    precision="float32",
):
    """A network for `tasks`, with fresh weights.

    Input `image`: [B, H, W, C] uint8 or float32 in 0..255, RGB or gray, of
    the size IMAGE_SHAPES[model]; the normalisation is inside. Output, always
    float32: {"logits": {task: [B, C_t]}, "features": {task: [B, 128]}}.

    Args:
        model: a key of MODULES.
        tasks: sequence of `samtl.data.tasks.Task`.
        is_dropout: drop half of what the heads read (vggface: also of what
            the task layers read).
        is_bn: vggface: batch normalisation in the dense layers. The small
            networks always have it.
        weights_decay: L2 penalty on kernels, >= 0; it is in network.losses.
        cross_stitch: mix the task layers' outputs (Misra et al. 2016).
        label_embeddings: logits are dot products with label embeddings, see
            `heads.label_embedding_head`.
        precision: "float32" or "bfloat16" (weights stay float32).

    Raises:
        UserError: cross_stitch with one task.
    """
    with heads.precision_policy(precision):
        return MODULES[model].build(
            tasks,
            is_dropout=is_dropout,
            is_bn=is_bn,
            weights_decay=weights_decay,
            cross_stitch=cross_stitch,
            label_embeddings=label_embeddings,
        )


def default_precision(model):
    """What `--precision auto` means: "float32" or "bfloat16".

    Measured on two CPU cores: VGG-16 trains 1.8 times faster in bfloat16 with
    AVX-512 BF16 (4.4 against 2.4 images/s), 4 to 5 times with AMX, wide_resnet
    1.8 times with AMX (194 against 110), mini_resnet 1.2 times. Before
    `normalisation.fuse`, mini_Xception gained nothing, as much of its time is
    batch normalisation, in float32. A CPU without such instructions could only
    emulate bfloat16, and JAX 0.11 compiles its poolings for a CPU to values
    that are not finite.
    """
    gpu = any(Path("/dev").glob("nvidia[0-9]*"))
    cpu = keras.backend.backend() == "tensorflow" and _cpu_knows_bfloat16()
    faster = (model == "vggface" and (gpu or cpu)) or (
        model == "wide_resnet" and cpu and not gpu
    )
    return "bfloat16" if faster else "float32"


def _cpu_knows_bfloat16():
    try:
        return "_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False

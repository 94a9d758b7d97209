"""The networks: one shared trunk, one task layer and head per task."""

from collections.abc import Sequence
from pathlib import Path

import keras

from samtl.common.errors import UserError
from samtl.networks import (
    heads,
    mini_resnet,
    mini_xception,
    vggface,
    wide_resnet,
)
from samtl.networks.config import NetworkConfig
from samtl.networks.heads import LABEL_DIMENSIONS, freeze, probabilities
from samtl.networks.normalisation import fuse, synchronise
from samtl.networks.weights import (
    check_stored_inside,
    load_weights,
    pretrained,
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
    "NetworkConfig",
    "build",
    "check_stored_inside",
    "default_precision",
    "freeze",
    "fuse",
    "image_shape",
    "load_weights",
    "pretrained",
    "probabilities",
    "synchronise",
]


def build(
    config: NetworkConfig | str,
    tasks: Sequence,
    label_embeddings: bool = False,
    **options,
) -> keras.Model:
    """A network for `tasks`, with fresh weights.

    Input `image`: [B, H, W, C] uint8 or float32 in 0..255, RGB or gray, of
    the size IMAGE_SHAPES[model]; the normalisation is inside. Output, always
    float32: {"logits": {task: [B, C_t]}, "features": {task: [B, 128]}}.

    Args:
        config: NetworkConfig, or the name of a model with default options.
        tasks: `samtl.data.tasks.Task`s, in the order of the outputs.
        label_embeddings: logits are dot products with label embeddings, see
            `heads.label_embedding_head`.
        options: further fields of the NetworkConfig, beside the name of a
            model.

    Raises:
        UserError: cross_stitch with one task, or bfloat16 where the backend
            computes wrong values in it.
        TypeError: options beside a NetworkConfig.
    """
    if isinstance(config, str):
        config = NetworkConfig(config, **options)
    elif options:
        raise TypeError(f"set {', '.join(options)} in the NetworkConfig")
    if config.precision == "bfloat16":
        _require_bfloat16()
    with heads.precision_policy(config.precision):
        return MODULES[config.model].build(config, tasks, label_embeddings)


def image_shape(config: NetworkConfig) -> tuple[int, int, int]:
    """(height, width, channels) of a network's images."""
    return IMAGE_SHAPES[config.model]


def default_precision(model: str) -> str:
    """The meaning of `--precision auto`: "float32" or "bfloat16".

    Measured on two CPU cores. VGG-16 trains 1.8 times faster in bfloat16 with
    AVX-512 BF16 (4.4 against 2.4 images/s), and 4 to 5 times with AMX;
    wide_resnet 1.4 and 1.8 times, mini_resnet 1.2 to 1.3 times with either.
    mini_Xception gains 5 %: much of its time is batch normalisation, in
    float32. Both small networks are as accurate (docs/performance.md). A CPU
    without such instructions could only emulate bfloat16.
    """
    gpu = any(Path("/dev").glob("nvidia[0-9]*"))
    cpu = keras.backend.backend() == "tensorflow" and _cpu_knows_bfloat16()
    faster = (model == "vggface" and (gpu or cpu)) or (
        model in ("wide_resnet", "mini_resnet") and cpu and not gpu
    )
    return "bfloat16" if faster else "float32"


def _require_bfloat16():
    """Refuse JAX on a CPU from 0.11 on, see docs/performance.md."""
    if keras.backend.backend() != "jax":
        return
    import jax

    if jax.default_backend() == "cpu" and jax.__version_info__ >= (0, 11):
        raise UserError(
            f"JAX {jax.__version__} computes wrong values in bfloat16 on CPUs; "
            "use --precision=float32, a JAX before 0.11, or another "
            "KERAS_BACKEND"
        )


def _cpu_knows_bfloat16():
    try:
        return "_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False

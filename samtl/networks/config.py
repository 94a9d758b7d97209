"""The options of a network."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkConfig:
    """Which network is built, and how.

    Attributes:
        model: a key of `networks.IMAGE_SHAPES`.
        is_dropout: dropout with rate 0.5 on the input of the heads (vggface:
            also on that of the task layers).
        is_bn: vggface: batch normalisation in the dense layers. The other
            networks always have batch normalisation.
        weights_decay: factor of the L2 penalty on kernels, >= 0; the penalty
            is in `network.losses`.
        cross_stitch: cross-stitch units between the task layers (Misra et al.
            2016).
        precision: "float32" or "bfloat16"; the weights are always float32.
    """

    model: str
    is_dropout: bool = False
    is_bn: bool = False
    weights_decay: float = 0.0
    cross_stitch: bool = False
    precision: str = "float32"

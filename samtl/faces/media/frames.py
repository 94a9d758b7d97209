"""A frame of a video, and the limits of frame rates."""

from dataclasses import dataclass

import numpy as np

USUAL_FPS = 25.0  # for sources with no frame rate or an implausible one
HIGHEST_FPS = 1000


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        index: in the source, from 0.
        time: in seconds, as players show it.
        pixels: uint8 [H, W, 3], RGB, upright, in square pixels.
    """

    index: int
    time: float
    pixels: np.ndarray

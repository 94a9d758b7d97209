"""Antialiased text of any size and script on arrays."""

import functools

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from samtl.faces.drawing import fonts


# A video repeats a few hundred texts: all classes and percents.
@functools.lru_cache(maxsize=2048)
def width(text: str, size: int) -> int:
    """Width of a line of text in pixels, at a font size in pixels."""
    return int(np.ceil(fonts.font(text, size).getlength(text)))


def height(size: int) -> int:
    """Height of a line in pixels, from ascender to descender."""
    return sum(_font(size).getmetrics())


def write(
    canvas: np.ndarray,
    text: str,
    left: int,
    top: int,
    size: int,
    colour: tuple[int, int, int],
) -> None:
    """Draw a line of text in place, clipped to the canvas.

    Args:
        canvas: uint8 [H, W, 3].
        text: one line.
        left, top: of the line, in whole pixels.
        size: of the font, in pixels.
        colour: RGB in 0..255.
    """
    blend(canvas, _mask(text, size), left, top, colour)


def blend(
    canvas: np.ndarray,
    mask: np.ndarray,
    left: int,
    top: int,
    colour: tuple[int, int, int],
) -> None:
    """Blend a colour into the canvas in place, with a mask as its opacity.

    Args:
        canvas: uint8 [H, W, 3].
        mask: float32 [h, w, 1 or 3], 0 is transparent, 1 is opaque.
        left, top: of the mask on the canvas, which clips it.
        colour: RGB in 0..255.
    """
    bottom, right = top + mask.shape[0], left + mask.shape[1]
    target = canvas[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if target.size == 0:
        return
    mask = mask[max(-top, 0) :, max(-left, 0) :]
    mixed = np.subtract(np.float32(colour), target)
    mixed *= mask[: target.shape[0], : target.shape[1]]
    mixed += target
    target[:] = np.rint(mixed, out=mixed)


def shade(
    canvas: np.ndarray,
    box: tuple[int, int, int, int],
    colour: tuple[int, int, int],
    opacity: float,
) -> None:
    """Fill a box of the canvas in place; opacity is in 0..1."""
    left, top, right, bottom = box
    target = canvas[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if opacity == 1:
        target[:] = colour
    elif target.size:
        target[:] = cv2.LUT(target, _shades(colour, opacity))


@functools.lru_cache(maxsize=64)
def _shades(colour, opacity):
    """Each value after a shade, uint8 [256, 1, 3]."""
    values = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(256, 1, 3)
    flat = np.full_like(values, colour)
    return cv2.addWeighted(flat, opacity, values, 1 - opacity, 0)


@functools.cache
def _font(size):
    return ImageFont.load_default(size)


@functools.lru_cache(maxsize=2048)
def _mask(text, size):
    image = Image.new("L", (max(1, width(text, size)), height(size)))
    font = fonts.font(text, size)
    # The baseline is that of the usual font, or higher.
    descent = max(_font(size).getmetrics()[1], font.getmetrics()[1])
    baseline = height(size) - descent
    draw = ImageDraw.Draw(image)
    draw.text((0, baseline), text, fill=255, font=font, anchor="ls")
    mask = np.asarray(image)[..., None] / np.float32(255)
    return mask.repeat(3, axis=2)  # faster than one for all channels

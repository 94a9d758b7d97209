"""Smooth text of any size on arrays, with the font that Pillow brings."""

import functools

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont


# A video shows a few hundred texts over and over: all classes and percents.
@functools.lru_cache(maxsize=2048)
def width(text, size):
    """Pixels that a line of text takes at a font size in pixels."""
    return int(np.ceil(_font(size).getlength(text)))


def height(size):
    """Pixels of a line from its highest to its lowest letter."""
    return sum(_font(size).getmetrics())


def write(canvas, text, left, top, size, colour):
    """Draw a line of text in place; what lies outside is cut off.

    Args:
        canvas: uint8 [H, W, 3].
        left, top: of the line, whole pixels.
        size: of the font, pixels.
        colour: three numbers in 0..255.
    """
    blend(canvas, _mask(text, size), left, top, colour)


def blend(canvas, mask, left, top, colour):
    """Lay a colour on the canvas, in place, as far as the mask is opaque.

    Args:
        canvas: uint8 [H, W, 3].
        mask: uint8 [h, w], 255 is opaque.
        left, top: of the mask on the canvas; it may reach beyond.
        colour: three numbers in 0..255.
    """
    bottom, right = top + mask.shape[0], left + mask.shape[1]
    target = canvas[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if target.size == 0:
        return
    mask = mask[max(-top, 0) :, max(-left, 0) :]
    mask = mask[: target.shape[0], : target.shape[1], None] / np.float32(255)
    target[:] = np.rint(target + (np.float32(colour) - target) * mask)


def shade(canvas, box, colour, opacity):
    """Lay an even colour on a box of the canvas, in place."""
    left, top, right, bottom = box
    target = canvas[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if opacity == 1:
        target[:] = colour
    elif target.size:
        flat = np.full_like(target, colour)
        cv2.addWeighted(flat, opacity, target, 1 - opacity, 0, dst=target)


@functools.cache
def _font(size):
    return ImageFont.load_default(size)


@functools.lru_cache(maxsize=2048)
def _mask(text, size):
    image = Image.new("L", (max(1, width(text, size)), height(size)))
    ImageDraw.Draw(image).text((0, 0), text, fill=255, font=_font(size))
    return np.asarray(image)

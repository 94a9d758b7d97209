"""Unrolled skin to paint on, and the shapes and colours that painting takes.

s is the angle around the head (radians, 0 at the nose, positive at the
image's right), y as on the head.
"""

import cv2
import numpy as np

SCALE = 64  # canvas pixels per unit
HALF = 1.3  # |s| on the canvas stays below this
SUBPIXEL = 4  # fractional bits of the polygon corners
ORIGIN = np.array([HALF, 1])


class Canvas:
    """Unrolled skin, float32 RGB, painted on with soft-edged polygons."""

    def __init__(self, skin):
        shape = (int(2.3 * SCALE), int(2 * HALF * SCALE), 3)
        self.pixels = np.full(shape, np.clip(skin, 0, 255), np.float32)

    def shape(self, points, colour, alpha=1.0, soft=0.0, clip=None):
        """Fill a polygon [N, 2] of (s, y); `soft` blurs its edge, in units.

        `clip` is another polygon that the paint stays inside of.
        """
        corners = _fixed(points)
        margin = 2 + int(3 * soft * SCALE)
        left, top, width, height = cv2.boundingRect(corners)
        right = ((left + width) >> SUBPIXEL) + margin
        bottom = ((top + height) >> SUBPIXEL) + margin
        left = max(0, (left >> SUBPIXEL) - margin)
        top = max(0, (top >> SUBPIXEL) - margin)
        patch = self.pixels[top : max(bottom, 0), left : max(right, 0)]
        if not patch.size:
            return
        size = patch.shape[:2]
        origin = np.array([left << SUBPIXEL, top << SUBPIXEL], np.int32)
        mask = _mask(corners - origin, size, soft * SCALE)
        if clip is not None:
            mask = mask * _mask(_fixed(clip) - origin, size)
        patch += (np.float32(colour) - patch) * (mask * alpha)[..., None]

    def ribbon(self, points, widths, colour, alpha=1.0, soft=0.0):
        """Stroke a polyline [N, 2] with a width per point, in units."""
        points = np.asarray(points, np.float64)
        along = np.empty_like(points)
        along[1:-1] = points[2:] - points[:-2]
        along[0], along[-1] = points[1] - points[0], points[-1] - points[-2]
        across = np.stack([-along[:, 1], along[:, 0]], 1)
        across /= np.hypot(*across.T)[:, None] + 1e-9
        across *= np.asarray(widths)[:, None] / 2
        outline = np.concatenate([points + across, (points - across)[::-1]])
        self.shape(outline, colour, alpha, soft)

    def unrolled(self, s, y):
        """Colours at a grid, s [C] and y [R, 1]: [R, C, 3] float32."""
        column, row = np.broadcast_arrays(
            (s[None, :] + HALF) * SCALE, (y + 1) * SCALE
        )
        return cv2.remap(
            self.pixels,
            column.astype(np.float32),
            row.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )


def _fixed(points):
    """Canvas coordinates as fixed-point numbers, int32 [N, 2]."""
    pixels = (np.asarray(points) + ORIGIN) * (SCALE << SUBPIXEL)
    return pixels.astype(np.int32)


def _mask(corners, shape, sigma=0.0):
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, SUBPIXEL)
    if sigma:
        mask = cv2.GaussianBlur(mask, (0, 0), sigma)
    return mask * np.float32(1 / 255)


def curve(start, control, end, count=12):
    """Quadratic Bezier curve, [count, 2]."""
    t = np.linspace(0, 1, count)[:, None]
    start, control, end = map(np.asarray, (start, control, end))
    return start * (1 - t) ** 2 + 2 * control * t * (1 - t) + end * t * t


def ellipse(centre, axes, count=24):
    """Ellipse, [count, 2]."""
    t = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([np.cos(t), np.sin(t)], 1) * axes + centre


def darker(colour, share):
    """A colour with `share` of its light taken away, a little warmer."""
    return np.asarray(colour) * (1 - share * np.array([0.8, 1.0, 1.05]))


def mix(first, second, share):
    """`share` of the second colour in the first."""
    return np.asarray(first) * (1 - share) + np.asarray(second) * share

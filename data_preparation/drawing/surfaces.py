"""Small renderer of synthetic faces: turned, lit and splatted points.

Coordinates are the head's: x to the right of the image of a frontal face, y
down, z towards the viewer; the head is about two units high, with the middle
of its height at y = 0. Positive yaw turns the nose to the image's right. The
projection is orthographic, as through a long lens.
"""

from dataclasses import dataclass

import cv2
import numpy as np

PIXELS = 44  # of the raster, per unit
SIDE = 138  # of the raster, in pixels
TOP = -1.52  # y of the raster's upper edge


@dataclass(frozen=True)
class Surface:
    """A grid of points with colours.

    Attributes:
        points: [3, R, C] float32, x, y, z.
        colour: [R, C, 3] float32, RGB, 0..255; or one colour [3].
        visible: [R, C] bool, or None where all points are there.
    """

    points: np.ndarray
    colour: np.ndarray
    visible: np.ndarray | None = None


@dataclass(frozen=True)
class Light:
    """One soft lamp and the room's own light.

    Attributes:
        direction: unit vector [3] from the head to the lamp.
        ambient: share of the light that comes from everywhere, 0..1.
        warmth: the lamp's tint, -1 (blue) .. 1 (orange).
    """

    direction: np.ndarray
    ambient: float
    warmth: float


def angles(yaw, count, dense=0):
    """Angles around a head that the viewer sees, float32 [count + dense].

    0 is the nose, positive angles are at the image's right of a frontal
    face. `dense` more of them are spent around the nose, whose steep flanks
    need them in profile.
    """
    centre = np.radians(-yaw)
    around = np.linspace(centre - 1.75, centre + 1.75, count)
    front = np.linspace(-0.5, 0.5, dense)
    front = front[np.abs(front - centre) < 1.75]
    return np.sort(np.concatenate([around, front])).astype(np.float32)


def ellipsoid(centre, axes, yaw, colour, flare=0.0, count=44):
    """An ellipsoid whose axes are turned by `flare` radians around y.

    `colour` is [3], or a function of the unit sphere's points [3, R, C].
    """
    theta = angles(yaw, count)[None, :] + flare
    height = np.linspace(-1.57, 1.57, count, dtype=np.float32)[:, None]
    ball = np.stack(
        [
            np.sin(theta) * np.cos(height),
            np.broadcast_to(np.sin(height), (count, count)),
            np.cos(theta) * np.cos(height),
        ]
    )
    if callable(colour):
        colour = colour(ball)
    x, y, z = ball * np.float32(axes)[:, None, None]
    cosine, sine = np.cos(flare), np.sin(flare)
    points = np.stack([x * cosine - z * sine, y, x * sine + z * cosine])
    return Surface(points + np.float32(centre)[:, None, None], colour)


def render(surfaces, yaw, pitch, light, background):
    """Draw surfaces over a background; nearer points cover farther ones.

    Args:
        surfaces: list of Surface.
        yaw, pitch: degrees; positive yaw turns to the image's right,
            positive pitch looks up.
        light: Light, in the viewer's frame.
        background: [SIDE, SIDE, 3] float32, RGB, 0..255.

    Returns:
        [SIDE, SIDE, 3] float32, RGB, 0..255.
    """
    turn = _rotation(yaw, pitch)
    places, depths, colours = [], [], []
    for surface in surfaces:
        place, depth, colour = _project(surface, turn, light)
        places.append(place)
        depths.append(depth)
        colours.append(colour)
    depth = np.concatenate(depths)
    order = np.argsort(((depth + 3) * 10_000).astype(np.uint16), kind="stable")
    # Assigned far to near: the last one written to a pixel is the nearest.
    winner = np.full(SIDE * SIDE, -1)
    winner[np.concatenate(places)[order]] = order
    hit = winner >= 0
    image = np.zeros((SIDE * SIDE, 3), np.float32)
    image[hit] = np.concatenate(colours)[winner[hit]]
    shape = (SIDE, SIDE)
    return _close(image.reshape(*shape, 3), hit.reshape(shape), background)


def _rotation(yaw, pitch):
    a, b = np.radians([yaw, pitch])
    around_y = [
        [np.cos(a), 0, np.sin(a)],
        [0, 1, 0],
        [-np.sin(a), 0, np.cos(a)],
    ]
    around_x = [
        [1, 0, 0],
        [0, np.cos(b), -np.sin(b)],
        [0, np.sin(b), np.cos(b)],
    ]
    return (np.array(around_x) @ around_y).astype(np.float32)


def _project(surface, turn, light):
    """Raster index, depth and lit colour of the points that face us."""
    points = np.tensordot(turn, surface.points, 1)
    normal = _normals(points)
    keep = normal[2] > 0
    if surface.visible is not None:
        keep &= surface.visible
    column = (points[0] * PIXELS + SIDE / 2).astype(np.int32)
    row = ((points[1] - TOP) * PIXELS).astype(np.int32)
    keep &= (column >= 0) & (column < SIDE) & (row >= 0) & (row < SIDE)
    keep = np.flatnonzero(keep)
    normal = normal.reshape(3, -1).take(keep, 1)
    length = np.sqrt((normal * normal).sum(0)) + 1e-9
    # Wrapped diffuse light: no hard terminator, as on skin.
    glow = light.direction @ normal / length * 0.5 + 0.5
    shade = (1 - light.ambient) * 1.5 * glow * glow
    tint = np.float32([1 + 0.1 * light.warmth, 1, 1 - 0.12 * light.warmth])
    colour = surface.colour
    if colour.ndim == 3:
        colour = colour.reshape(-1, 3).take(keep, 0)
    colour = colour * (light.ambient + shade[:, None] * tint)
    place = (row * SIDE + column).take(keep)
    return place, points[2].take(keep), colour


def _normals(points):
    """Normals of a grid of points, of any length, [3, R, C]."""
    across, down = np.empty_like(points), np.empty_like(points)
    across[..., :-1] = points[..., 1:] - points[..., :-1]
    across[..., -1] = across[..., -2]
    down[:, :-1] = points[:, 1:] - points[:, :-1]
    down[:, -1] = down[:, -2]
    return np.stack(
        [
            across[1] * down[2] - across[2] * down[1],
            across[2] * down[0] - across[0] * down[2],
            across[0] * down[1] - across[1] * down[0],
        ]
    )


def _close(image, hit, background):
    """Fill pinholes between points from their neighbours; lay over."""
    mask = hit.astype(np.float32)
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3)))
    around = (
        cv2.blur(image, (3, 3)) / (cv2.blur(mask, (3, 3)) + 1e-6)[..., None]
    )
    image = np.where(hit[..., None], image, around)
    edge = cv2.GaussianBlur(closed, (3, 3), 0.7)[..., None]
    edge *= closed[..., None]
    return image * edge + background * (1 - edge)

"""Solids of a synthetic face: skull, relief, ears, neck, hair, clothes."""

import cv2
import numpy as np

from data_preparation.drawing import features
from data_preparation.drawing.canvas import mix
from data_preparation.drawing.surfaces import (
    PIXELS,
    Surface,
    angles,
    ellipsoid,
)

STEP = 0.85 / PIXELS  # between the rows of a surface: no gaps when it tilts

# Depth of the skull along y: z of the face and z of the back of the head.
PROFILE_Y = np.array([-1, -0.96, -0.85, -0.6, -0.2, 0.2, 0.5, 0.8, 0.93, 1])
FRONT = np.array([0.0, 0.3, 0.56, 0.75, 0.8, 0.78, 0.76, 0.71, 0.63, 0.46])
BACK = np.array(
    [-0.1, -0.4, -0.66, -0.88, -0.95, -0.82, -0.5, -0.05, 0.2, 0.36]
)


def surfaces(face):
    """All surfaces of a Face, with colours."""
    parts = [_skin(face), *_ears(face), _neck(face), _torso(face)]
    if face.hair not in ("bald", "buzz", "fuzz"):
        parts += [_hair(face), *_buns(face)]
    return parts


def _skull(face, y, theta):
    """x and z of the bare skull at heights y [R, 1] and angles [C]."""
    level = np.clip(y, -1, 1)
    widest = -0.12 + 0.25 * face.childlike
    above = np.clip((widest - level) / (widest + 1), 0, 1)
    below = np.clip((level - widest) / (1 - widest), 0, 1)
    width = np.where(
        level < widest,
        np.sqrt(1 - above**2.3),
        (1 - below**face.jaw) ** (0.5 + 0.05 * face.childlike),
    )
    front = _smooth(np.interp(level[:, 0], PROFILE_Y, FRONT))[:, None]
    back = _smooth(np.interp(level[:, 0], PROFILE_Y, BACK))[:, None]
    middle = (front + back) / 2
    cosine = np.cos(theta)[None, :]
    flat = np.sign(cosine) * np.abs(cosine) ** 0.88
    z = middle + (front - middle) * np.where(cosine > 0, flat, cosine)
    return face.width * width * np.sin(theta)[None, :], z


def _smooth(profile):
    column = profile[:, None].astype(np.float32)
    smooth = cv2.GaussianBlur(
        column, (1, 9), 2.5, borderType=cv2.BORDER_REPLICATE
    )
    return smooth[:, 0]


def _bell(offset, width):
    return np.exp(-((offset / width) ** 2))


def _relief(face, s, y):
    """How far the features stand out of the skull, [R, C]."""
    root, tip = face.eye_y - 0.08, face.nose_y
    along = np.clip((y - root) / (tip - root), 0, 1)
    height = face.nose_out * (0.12 + 0.88 * along**1.25)
    height *= np.where(y > tip, _bell(y - tip, 0.065), 1)
    height *= np.where(y < root, _bell(y - root, 0.1), 1)
    ridge = _bell(s, 0.075 + 0.055 * along**3)
    relief = height * ridge
    for side in (-1, 1):
        at = s - side * face.eye_s
        relief -= 0.07 * _bell(at, 0.17) * _bell(y - face.eye_y, 0.13)
        relief += 0.035 * _bell(at, 0.11) * _bell(y - face.eye_y, 0.09)
        cheek = s - side * 0.42
        relief += (0.03 + face.cheek) * (
            _bell(cheek, 0.22) * _bell(y - face.nose_y, 0.2)
        )
        jowl = _bell(s - side * 0.5, 0.16) * _bell(y - face.chin_y + 0.2, 0.14)
        relief += 0.05 * face.jowl * jowl
    ridge = _bell(s, 0.5) * _bell(y - face.brow_y - 0.03, 0.09)
    relief += face.brow_ridge * ridge
    opening = 0.37 * face.mouth_open
    lips = _bell(s, 0.2) * (
        _bell(y - face.mouth_y + 0.03, 0.06)
        + _bell(y - face.mouth_y - opening - 0.06, 0.06)
    )
    relief += (0.04 + 0.04 * face.lips) * lips
    chin = _bell(s, 0.2) * _bell(y - face.chin_y + 0.11, 0.11)
    return relief + 0.07 * face.chin_out * chin


def _skin(face):
    theta = angles(face.yaw, 140, 76)
    y = np.arange(-1, face.chin_y, STEP, dtype=np.float32)[:, None]
    # The skull's lowest tenth follows the jaw as it drops.
    stretch = (face.chin_y - 0.4) / 0.6
    level = np.where(y > 0.4, 0.4 + (y - 0.4) / stretch, y)
    x, z = _skull(face, level, theta)
    front = np.clip(np.cos(theta), 0, 1)[None, :]
    z = z + _relief(face, theta[None, :], y) * front
    points = np.stack([x, np.broadcast_to(y, x.shape), z])
    canvas = features.paint(face)
    colour = canvas.unrolled(theta, y)
    _shave_and_shadow(face, theta, y, colour)
    return Surface(points, colour)


def _shave_and_shadow(face, theta, y, colour):
    """Short hair is paint on the scalp; hair throws a shadow on the skin."""
    line = _hairline(face, theta)[None, :]
    if face.hair in ("buzz", "fuzz"):
        share = np.clip((line - y) / 0.14 + 0.5, 0, 1)
        share = share * (0.4 if face.hair == "fuzz" else 0.85)
        colour += (face.hair_colour - colour) * share[..., None]
        _band(face, theta, y, colour)
    elif face.hair == "bald":
        _band(face, theta, y, colour)
    else:
        scalp = np.clip((line - y) / 0.05, 0, 1)[..., None]
        colour += (0.8 * np.float32(face.hair_colour) - colour) * scalp
        colour *= 1 - 0.3 * np.exp(-(((y - line) / 0.1) ** 2))[..., None]


def _hairline(face, theta):
    """y above which a head is haired, along the angles [C]."""
    around = np.abs(np.degrees((theta + np.pi) % (2 * np.pi) - np.pi))
    front = face.hairline
    temple = front + 0.03 - 0.3 * face.receding
    ear = face.eye_y + 0.0
    if face.hair_length > 0.3:
        sides = [face.mouth_y, face.hair_length, face.hair_length]
        cheek = face.eye_y + 0.06
    else:
        sides = [ear + 0.16, ear - 0.06, face.nose_y + 0.18]
        cheek = face.eye_y - 0.08
    line = np.interp(
        around,
        [0, 18, 34, 50, 66, 76, 88, 112, 180],
        [
            front - 0.1 * face.receding,
            front,
            temple,
            temple + 0.24,
            cheek,
            sides[0],
            sides[1],
            sides[2],
            max(sides[2], face.nose_y + 0.25),
        ],
    )
    if face.parting:
        swing = np.interp(np.degrees(theta), [-50, 50], [-1, 1])
        line = line + 0.13 * face.parting * swing * (around < 60)
    return line.astype(np.float32)


def _hair(face):
    theta = angles(face.yaw, 230)
    bottom = max(face.hair_length, face.nose_y + 0.3)
    top = -1 - face.hair_top
    y = np.arange(top, bottom, 0.9 * STEP, dtype=np.float32)[:, None]
    # The skull's crown, lifted by hair_top, and its widest part, let down.
    level = np.where(
        y < -0.2,
        -0.2 + (y + 0.2) * 0.8 / (0.8 + face.hair_top),
        y,
    )
    hanging = np.minimum(level, 0.25) if face.hair_length > 0.3 else level
    x, z = _skull(face, hanging, theta)
    strands = _strands(face, theta, y)
    line = _hairline(face, theta)[None, :] + 0.05 * (strands - 0.5)
    thick = np.clip((line - y) / 0.25, 0.12, 1)
    grow = 1 + thick * face.hair_out * (1 + 1.6 * face.curl * (strands - 0.5))
    grow = grow + 0.01
    shrink = 1 - 0.12 * face.hair_tuck * np.clip(y - 0.3, 0, 1.2)
    x = x * grow * shrink
    z = -0.05 + (z + 0.05) * grow
    if face.fringe:
        z = z + 0.05 * np.clip(np.cos(theta), 0, 1)[None, :]
    points = np.stack([x, np.broadcast_to(y, x.shape), z])
    shade = 0.72 + 0.5 * strands
    shade = shade * np.clip(1.1 - 0.35 * np.clip(y + 0.2, 0, 1), 0, 2)
    colour = np.float32(face.hair_colour) * shade[..., None]
    _band(face, theta, y, colour)
    return Surface(points, colour, y < line)


def _band(face, theta, y, colour):
    """A band around the head, in place."""
    if face.band is not None:
        at = y + 0.74 + 0.25 * (1 - np.cos(theta))[None, :]
        colour[np.abs(at) < 0.065] = face.band


def _strands(face, theta, y):
    """Light and dark of the hair, around 0.5, [R, C]."""
    rows, columns = face.noise.shape
    column, row = np.broadcast_arrays(
        ((theta / (2 * np.pi)) % 1)[None, :] * (columns - 1),
        (y + 1.6) / 3.2 * (rows - 1),
    )
    return cv2.remap(
        face.noise,
        column.astype(np.float32),
        row.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )


def _buns(face):
    """Bun, pony tail or pigtails: ellipsoids of hair."""
    places = {
        "bun": [((0, -1.12, -0.35), (0.3, 0.26, 0.3))],
        "ponytail": [
            ((0, -0.5, -1.12), (0.2, 0.2, 0.26)),
            ((0, 0.15, -1.2), (0.2, 0.6, 0.2)),
        ],
        "pigtails": [
            ((side * (face.width + 0.2), 0.1, -0.25), (0.17, 0.42, 0.2))
            for side in (-1, 1)
        ],
    }
    colour = np.float32(face.hair_colour) * 0.95
    return [
        ellipsoid(centre, axes, face.yaw, colour)
        for centre, axes in places.get(face.hair, [])
    ]


def _ears(face):
    if face.hair_length > 0.3 and face.hair_out > 0.05 and not face.hair_tuck:
        return []
    skin = np.float32(mix(face.skin, (214, 74, 66), 0.12))
    size = face.ear
    ears = []
    for side in (-1, 1):

        def colour(ball, side=side):
            inside = np.clip(side * ball[0] - 0.55, 0, 0.35) / 0.35
            inside *= np.clip(1.2 * ball[2] + 0.9, 0, 1)
            return skin * (1 - 0.4 * inside[..., None])

        x = side * (face.width * 0.955)
        y = (face.eye_y + face.nose_y) / 2 - 0.02
        axes = (0.065, 0.225 * size, 0.14 * size)
        centre = (x, y, -0.12)
        ears.append(ellipsoid(centre, axes, face.yaw, colour, side * 0.45))
        if face.earrings is not None:
            drop = (x + side * 0.05, y + 0.27 * size, -0.06)
            ears.append(
                ellipsoid(
                    drop, (0.05,) * 3, face.yaw, np.float32(face.earrings)
                )
            )
    return ears


def _neck(face):
    theta = angles(face.yaw, 90)
    y = np.arange(0.35, 1.6, STEP, dtype=np.float32)[:, None]
    flare = 1 + 0.5 * np.clip(y - 1.15, 0, 1) ** 1.5
    x = face.neck * flare * np.sin(theta)[None, :]
    z = -0.24 - 0.1 * (y - 1) + face.neck * 0.95 * np.cos(theta)[None, :]
    points = np.stack(np.broadcast_arrays(x, np.broadcast_to(y, x.shape), z))
    # The chin shades the neck.
    shade = 0.6 + 0.35 * np.clip((y - face.chin_y) / 0.45, 0, 1)
    colour = np.broadcast_to(shade[..., None], (*x.shape, 1)) * face.skin
    return Surface(points.astype(np.float32), colour.astype(np.float32))


def _torso(face):
    theta = angles(face.yaw, 240)
    top = 1.08 + face.neckline
    y = np.arange(top, 1.75, STEP, dtype=np.float32)[:, None]
    fall = np.clip((y - top) / 0.5, 0, 1)
    width = face.neck + 0.1 + (face.shoulders - face.neck) * fall**0.55
    depth = face.neck + 0.08 + 0.15 * fall
    x = width * np.sin(theta)[None, :]
    z = -0.25 + depth * np.cos(theta)[None, :]
    points = np.stack([x, np.broadcast_to(y, x.shape), z])
    colour = np.broadcast_to(np.float32(face.clothes), (*x.shape, 3)).copy()
    collar = np.broadcast_to(fall[..., None] < 0.1, colour.shape)
    colour = np.where(collar, np.float32(face.collar), colour)
    return Surface(points.astype(np.float32), colour)

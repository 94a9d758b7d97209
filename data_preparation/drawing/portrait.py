"""Parameters of synthetic faces and of their photographs, and their picture.

`traits.sample` gives a random Face with given labels, `draw` its picture.
Signs: positive yaw turns the head to the subject's own left, its nose towards
the image's right; pose classes are named after the image side that the nose
points to ("left" is yaw < 0).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from data_preparation.drawing import head
from data_preparation.drawing.surfaces import PIXELS, SIDE, TOP, Light, render

ADULT_MIDDLE = 0.3  # y between eyes and mouth


@dataclass(frozen=True)
class Face:
    """All parameters of a face. Lengths are in units of half a head.

    Shares and strengths are 0..1 unless stated otherwise; the defaults are a
    neutral adult seen from the front.
    """

    # Direction of the head, degrees.
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    # Proportions.
    childlike: float = 0.0
    width: float = 0.74
    jaw: float = 2.6
    chin_y: float = 1.0
    chin_out: float = 1.0
    cheek: float = 0.0
    hollow: float = 0.0
    jowl: float = 0.0
    brow_ridge: float = 0.03
    eye_y: float = 0.02
    eye_s: float = 0.4
    eye_size: float = 1.0
    brow_y: float = -0.19
    nose_y: float = 0.42
    nose_out: float = 0.26
    nose_width: float = 0.1
    mouth_y: float = 0.64
    ear: float = 1.0
    neck: float = 0.4
    shoulders: float = 1.1
    # Expression; smile is -1 (corners down) .. 1.
    brow_inner: float = 0.0
    brow_outer: float = 0.0
    brow_lower: float = 0.0
    knit: float = 0.0
    eye_open: float = 1.0
    cheek_raise: float = 0.0
    nose_wrinkle: float = 0.0
    lip_raise: float = 0.0
    smile: float = 0.0
    mouth_open: float = 0.0
    mouth_width: float = 1.0
    lip_press: float = 0.0
    teeth: float = 0.0
    teeth_below: float = 0.0
    gaze: float = 0.0
    gaze_down: float = 0.0
    wobble: float = 0.0
    # Skin and paint.
    skin: tuple = (224, 172, 142)
    rosy: float = 0.25
    wrinkles: float = 0.0
    droop: float = 0.0
    spots: tuple = ()
    iris: tuple = (80, 56, 36)
    lashes: float = 0.2
    shadow: float = 0.0
    shadow_colour: tuple = (120, 80, 130)
    lips: float = 0.6
    lip_colour: tuple = (190, 104, 96)
    brow_thick: float = 0.06
    brow_alpha: float = 0.9
    brow_colour: tuple = (60, 40, 30)
    beard: float = 0.0
    is_goatee: bool = False
    beard_colour: tuple = (60, 40, 30)
    # Hair: bald, buzz, fuzz, short, bob, long, bun, ponytail or pigtails.
    hair: str = "short"
    hair_colour: np.ndarray | tuple = (60, 40, 30)
    hairline: float = -0.58
    receding: float = 0.0
    parting: float = 0.0
    fringe: bool = False
    hair_top: float = 0.1
    hair_out: float = 0.08
    hair_length: float = 0.0
    hair_tuck: float = 0.0
    curl: float = 0.0
    band: tuple | None = None
    noise: np.ndarray | None = None
    # Worn.
    glasses: bool = False
    glasses_colour: tuple = (40, 36, 40)
    earrings: tuple | None = None
    clothes: tuple = (70, 90, 130)
    collar: tuple = (70, 90, 130)
    neckline: float = 0.0


@dataclass(frozen=True)
class Photo:
    """How a face is photographed.

    Attributes:
        light: the lamp, in the viewer's frame.
        background: [H, W, 3] float32 colours, stretched over the picture.
        scale: 1 frames the head with a small margin.
        shift: [2], of the head in the picture, in units of its side.
        blur: standard deviation in pixels of a 64-pixel picture.
        noise: standard deviation of grain, in grey levels.
        exposure: factor on all colours.
        seed: of the grain.
    """

    light: Light
    background: np.ndarray
    scale: float = 1.0
    shift: tuple = (0.0, 0.0)
    blur: float = 0.0
    noise: float = 0.0
    exposure: float = 1.0
    seed: int = 0


def draw(face, photo, size):
    """Picture of a face, [size, size, 3] uint8, RGB."""
    background = cv2.resize(
        photo.background, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
    )
    raster = render(
        head.surfaces(face),
        face.yaw,
        face.pitch,
        photo.light,
        background,
    )
    zoom = photo.scale * size / (2.62 * PIXELS)
    # The features keep their place in the picture; a child's are low.
    face_low = (face.eye_y + face.mouth_y) / 2 - ADULT_MIDDLE
    matrix = cv2.getRotationMatrix2D(
        (SIDE / 2, -TOP * PIXELS), -face.roll, zoom
    )
    matrix[:, 2] += (
        size * (0.5 + photo.shift[0]) - SIDE / 2,
        size * (0.54 + photo.shift[1])
        - face_low * zoom * PIXELS
        + TOP * PIXELS,
    )
    # Blur before sampling down stands for the sensor's area.
    sigma = np.hypot(0.42 / zoom, photo.blur * size / 64 / zoom)
    raster = cv2.GaussianBlur(raster, (0, 0), sigma)
    picture = cv2.warpAffine(
        raster,
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    grain = np.random.default_rng(photo.seed).standard_normal(
        picture.shape, np.float32
    )
    picture = picture * photo.exposure + photo.noise * grain
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)

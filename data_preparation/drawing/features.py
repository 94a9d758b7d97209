"""The painted features of a face: eyes, brows, nose, mouth, beard, glasses."""

import numpy as np

from data_preparation.drawing import wrinkles
from data_preparation.drawing.canvas import (
    Canvas,
    curve,
    darker,
    ellipse,
    mix,
)

INK = (38, 26, 24)
MOUTH = (84, 22, 28)
TOOTH = (244, 240, 230)


def paint(face):
    """Paint a Face's skin and features; returns the Canvas."""
    canvas = Canvas(face.skin)
    _blush(canvas, face)
    if face.beard > 0.02:
        _beard(canvas, face)
    _nose(canvas, face)
    wrinkles.draw(canvas, face)
    for side in (-1, 1):
        _eye(canvas, face, side)
        _brow(canvas, face, side)
    _mouth(canvas, face)
    if face.glasses:
        _glasses(canvas, face)
    return canvas


def _blush(canvas, face):
    """Red cheeks and nose, dark eye sockets, spots."""
    rosy = mix(face.skin, (214, 74, 66), 0.55)
    for side in (-1, 1):
        centre = (side * 0.42, face.nose_y + 0.02)
        canvas.shape(ellipse(centre, (0.17, 0.13)), rosy, face.rosy, soft=0.07)
        socket = ellipse((side * face.eye_s, face.eye_y), (0.2, 0.13))
        canvas.shape(socket, darker(face.skin, 0.35), 0.35, soft=0.06)
    tip = ellipse((0, face.nose_y - 0.03), (0.1, 0.08))
    canvas.shape(tip, rosy, face.rosy * 0.6, soft=0.04)
    for s, y, radius in face.spots:
        spot = ellipse((s, y), (radius, radius), 8)
        canvas.shape(spot, darker(face.skin, 0.4), 0.6, soft=0.01)


def _beard(canvas, face):
    """Stubble to full beard: jaw, chin and moustache, not the lips."""
    colour = mix(face.skin, face.beard_colour, min(1, 0.25 + face.beard))
    mouth, chin = face.mouth_y, face.chin_y
    edge = face.nose_y + 0.02
    jaw = [
        (-1.35, edge - 0.25),
        (-1.1, edge - 0.1),
        (-0.72, mouth - 0.02),
        (-0.4, mouth + 0.02),
        (-0.26, mouth - 0.13),
        (0.26, mouth - 0.13),
        (0.4, mouth + 0.02),
        (0.72, mouth - 0.02),
        (1.1, edge - 0.1),
        (1.35, edge - 0.25),
        (1.35, chin + 0.2),
        (-1.35, chin + 0.2),
    ]
    goatee = [
        (-0.3, mouth - 0.1),
        (0.3, mouth - 0.1),
        (0.34, mouth + 0.15),
        (0.25, chin + 0.1),
        (-0.25, chin + 0.1),
        (-0.34, mouth + 0.15),
    ]
    alpha = min(0.92, 0.3 + face.beard)
    outline = goatee if face.is_goatee else jaw
    canvas.shape(outline, colour, alpha, soft=0.04)
    below = ellipse((0, mouth + 0.15), (0.1, 0.04))
    canvas.shape(below, face.skin, 0.5 * alpha, soft=0.03)


def _nose(canvas, face):
    """Flanks, wings and nostrils; the relief adds its own shading."""
    y, width = face.nose_y, face.nose_width
    shadow = darker(face.skin, 0.45)
    for side in (-1, 1):
        flank = curve(
            (side * 0.1, face.eye_y - 0.04),
            (side * 0.07, y - 0.2),
            (side * width, y - 0.06),
        )
        canvas.ribbon(flank, np.linspace(0.06, 0.05, 12), shadow, 0.16, 0.025)
        wing = curve(
            (side * (width - 0.02), y - 0.1),
            (side * (width + 0.05), y - 0.01),
            (side * (width - 0.04), y + 0.03),
        )
        canvas.ribbon(wing, np.full(12, 0.03), shadow, 0.6, 0.008)
        hole = ellipse((side * width * 0.5, y + 0.025), (0.042, 0.02), 12)
        canvas.shape(hole, darker(face.skin, 0.75), 0.85, 0.006)
        # A wrinkled nose: creases from the root and lifted wings.
        for k in range(2):
            crease = curve(
                (side * 0.03, face.eye_y + 0.02 + 0.07 * k),
                (side * 0.09, face.eye_y + 0.03 + 0.07 * k),
                (side * 0.14, face.eye_y + 0.1 + 0.07 * k),
            )
            canvas.ribbon(
                crease,
                np.full(12, 0.022),
                shadow,
                0.8 * face.nose_wrinkle,
                0.006,
            )
    light = mix(face.skin, (255, 255, 250), 0.35)
    ridge = [(0, face.eye_y), (0, y - 0.08)]
    canvas.ribbon(ridge, [0.03, 0.06], light, 0.2, 0.02)
    under = ellipse((0, y + 0.075), (width * 0.9, 0.03))
    canvas.shape(under, shadow, 0.45, 0.02)


def _lids(face, side):
    """Upper and lower lid curves of an eye, outer corner last: [12, 2]."""
    half = 0.148 * face.eye_size * (1 + 0.03 * (face.eye_open - 1))
    upper = 0.135 * face.eye_size * face.eye_open
    lower = 0.075 * face.eye_size * min(1.25, face.eye_open)
    lower *= 1 - 0.75 * face.cheek_raise
    s, y = face.eye_s * side, face.eye_y
    # Angry brows press the inner part of the lid down; sad ones lift it.
    lean = 0.05 * face.brow_inner - 0.05 * face.knit
    inner = (s - side * half, y + 0.012)
    outer = (s + side * half, y - 0.012 + 0.05 * face.droop)
    top = curve(inner, (s - side * 0.03, y - upper - lean), outer)
    bottom = curve(inner, (s + side * 0.02, y + lower * 1.3), outer)
    return top, bottom


def _eye(canvas, face, side):
    top, bottom = _lids(face, side)
    almond = np.concatenate([top, bottom[::-1]])
    size = face.eye_size
    canvas.shape(almond, (236, 232, 226))
    look = np.array([face.gaze, 0.012 + face.gaze_down])
    iris = np.array([face.eye_s * side, face.eye_y - 0.012]) + look
    radius = 0.072 * min(size, 1.25)
    canvas.shape(ellipse(iris, (radius, radius)), face.iris, clip=almond)
    canvas.shape(
        ellipse(iris, (radius * 0.5, radius * 0.5), 16), INK, clip=almond
    )
    glint = iris - (0.025, 0.03)
    canvas.shape(ellipse(glint, (0.018, 0.018), 8), (255, 255, 255), 0.9)
    shade = np.concatenate([top, (top + np.array([0, 0.035]))[::-1]])
    canvas.shape(shade, (90, 78, 76), 0.5, 0.008, clip=almond)
    width = 0.03 + 0.02 * face.lashes
    taper = width * np.linspace(0.6, 1.15, 12)
    canvas.ribbon(top, taper, mix(INK, face.skin, 0.1), 0.95)
    if face.lashes > 0.4:
        wing = [top[-2], top[-1] + (side * 0.05, -0.035)]
        canvas.ribbon(wing, [width, 0.012], INK, face.lashes)
    canvas.ribbon(bottom, taper * 0.45, darker(face.skin, 0.6), 0.7)
    crease = top - (0, 0.035 + 0.02 * face.eye_open)
    canvas.ribbon(
        crease[2:], np.full(10, 0.02), darker(face.skin, 0.5), 0.55, 0.005
    )
    if face.shadow > 0:
        lid = np.concatenate([top, (top - (0, 0.07))[::-1]])
        canvas.shape(lid, face.shadow_colour, face.shadow, 0.012)


def _brow(canvas, face, side):
    s, y = face.eye_s, face.brow_y
    knit = 0.055 * face.knit
    lower = 0.12 * face.brow_lower
    inner = y + 0.015 - 0.16 * face.brow_inner + lower * 1.3
    middle = y - 0.045 - 0.05 * (face.brow_inner + face.brow_outer) + lower
    outer = y + 0.02 - 0.13 * face.brow_outer + 0.35 * lower
    inner += 0.02 * face.wobble * side
    line = curve(
        (side * (s - 0.17 - knit), inner),
        (side * (s + 0.01), 2 * middle - (inner + outer) / 2),
        (side * (s + 0.22), outer),
    )
    taper = face.brow_thick * np.interp(
        np.linspace(0, 1, 12), [0, 0.15, 0.5, 1], [0.75, 1.05, 1.0, 0.3]
    )
    canvas.ribbon(line, taper, face.brow_colour, face.brow_alpha, 0.007)


def _mouth(canvas, face):
    half, y = 0.38 * face.mouth_width, face.mouth_y
    corner = y - 0.17 * face.smile
    gap = 0.37 * face.mouth_open
    upper = y + 0.075 * face.smile - 0.02 * face.mouth_open
    upper -= 0.05 * face.lip_raise
    lower = upper + gap
    skew = 0.03 * face.wobble
    left, right = (-half, corner + skew), (half, corner - skew)
    square = 0.55 + 0.35 * max(0, face.lip_raise) + 0.2 * max(0, -face.smile)
    top = _lip_line(left, right, upper, 0.5 * square)
    bottom = _lip_line(left, right, lower, square)
    thick = face.lips * (1 - 0.75 * face.lip_press)
    bow = np.array([0.0, 0.5, 0.8, 0.95, 1.05, 0.85, 1.05, 0.95, 0.8, 0.5, 0.0])
    full = np.sin(np.linspace(0, np.pi, 11)) ** 0.8
    over = top - np.stack([np.zeros(11), 0.07 * thick * bow], 1)
    under = bottom + np.stack([np.zeros(11), 0.09 * thick * full], 1)
    canvas.shape(
        np.concatenate([over, top[::-1]]), darker(face.lip_colour, 0.1)
    )
    canvas.shape(np.concatenate([bottom, under[::-1]]), face.lip_colour)
    shine = bottom[3:-3] + np.array([0, 0.035 * thick])
    canvas.ribbon(
        shine, np.full(5, 0.02), mix(face.lip_colour, 255, 0.4), 0.5, 0.006
    )
    hollow = np.concatenate([top, bottom[::-1]])
    if gap > 0.012:
        canvas.shape(hollow, MOUTH)
        teeth = top + np.stack([np.zeros(11), 0.085 * face.teeth * full], 1)
        row = np.concatenate([top, teeth[::-1]])
        canvas.shape(row, TOOTH, min(1, face.teeth * 2), clip=hollow)
        if face.teeth_below > 0.1:
            below = bottom - np.stack(
                [np.zeros(11), 0.06 * face.teeth_below * full], 1
            )
            row = np.concatenate([bottom, below[::-1]])
            canvas.shape(row, darker(TOOTH, 0.06), 0.95, clip=hollow)
        elif gap > 0.1:
            tongue = ellipse((0, lower), (half * 0.6, gap * 0.3))
            canvas.shape(tongue, (178, 74, 78), 0.9, 0.01, clip=hollow)
    canvas.ribbon(
        top, 0.032 * np.maximum(full, 0.5), darker(face.lip_colour, 0.6), 0.9
    )
    for side, end in ((-1, left), (1, right)):
        dimple = [np.add(end, (0, -0.02)), np.add(end, (side * 0.02, 0.03))]
        canvas.ribbon(dimple, [0.03, 0.02], darker(face.skin, 0.5), 0.5, 0.01)
    shadow = ellipse((0, lower + 0.082 * thick + 0.05), (0.14, 0.025))
    canvas.shape(shadow, darker(face.skin, 0.4), 0.5, 0.02)


def _lip_line(left, right, middle, square):
    """From corner to corner through `middle`, [11, 2]; 0.5 is a parabola."""
    t = np.linspace(-1, 1, 11)
    s = np.linspace(left[0], right[0], 11)
    corner = np.linspace(left[1], right[1], 11)
    bulge = 1 - np.abs(t) ** (2 + 2 * (square - 0.5))
    return np.stack([s, corner + (middle - corner) * bulge], 1)


def _glasses(canvas, face):
    colour = face.glasses_colour
    y = face.eye_y + 0.02
    for side in (-1, 1):
        rim = ellipse((side * face.eye_s, y), (0.235, 0.17), 28)
        canvas.shape(rim, (225, 232, 240), 0.12)
        rim = np.concatenate([rim, rim[:2]])
        canvas.ribbon(rim, np.full(30, 0.032), colour, 0.95)
        arm = [(side * (face.eye_s + 0.23), y - 0.03), (side * 1.6, y - 0.05)]
        canvas.ribbon(arm, [0.035, 0.035], colour, 0.95)
    canvas.ribbon(
        curve((-0.08, y - 0.02), (0, y - 0.06), (0.08, y - 0.02)),
        np.full(12, 0.03),
        colour,
        0.95,
    )

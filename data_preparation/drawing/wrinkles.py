"""Lines of age and of expression, painted on the unrolled skin."""

import numpy as np

from data_preparation.drawing.canvas import curve, darker


def draw(canvas, face):
    """Draw all lines of a face."""
    _forehead(canvas, face)
    for side in (-1, 1):
        _frown(canvas, face, side)
        _folds(canvas, face, side)
        _eye_corner(canvas, face, side)
        _hollow(canvas, face, side)


def _since(age, start):
    """Depth of a wrinkle that comes when a face has aged this far, 0..1."""
    return float(np.clip((age - start) / 0.1, 0, 1)) * (0.65 + 0.35 * age)


def _line(canvas, face, points, alpha, width):
    """One wrinkle: a curve through its control points, tapered."""
    alpha = float(np.clip(alpha, 0, 0.95))
    if alpha > 0.04:
        widths = width * np.array([0.3, *[1.0] * 10, 0.3])
        dark = darker(face.skin, 0.5)
        canvas.ribbon(curve(*points), widths, dark, alpha, 0.006)


def _forehead(canvas, face):
    age = face.wrinkles
    raised = max(face.brow_inner, face.brow_outer, 0)
    for k in range(3):
        y = face.brow_y - 0.14 - 0.085 * k - 0.06 * raised
        arch = y - 0.03 + 0.05 * face.brow_inner * (face.brow_outer < 0.5)
        alpha = 0.85 * _since(age, 0.55 + 0.12 * k)
        alpha += (0.1 + 0.2 * age) * raised * (k < 2)
        points = (-0.4, y + 0.02), (0, arch), (0.4, y + 0.02)
        _line(canvas, face, points, alpha, 0.034)


def _frown(canvas, face, side):
    points = (
        (side * 0.05, face.brow_y - 0.1),
        (side * 0.035, face.brow_y),
        (side * 0.06, face.brow_y + 0.09),
    )
    alpha = 0.85 * face.knit + 0.4 * _since(face.wrinkles, 0.55)
    _line(canvas, face, points, alpha, 0.026)


def _folds(canvas, face, side):
    """From nose to mouth, and from mouth to chin."""
    age, smile = face.wrinkles, max(0, face.smile)
    top = face.nose_y - 0.02
    points = (
        (side * (face.nose_width + 0.03), top),
        (side * (0.36 + 0.06 * face.smile), top + 0.06),
        (side * 0.44, face.mouth_y + 0.03),
    )
    alpha = 0.3 * _since(age, 0.03) + 0.6 * _since(age, 0.3)
    alpha += 0.5 * smile * (0.4 + age) + 0.6 * face.lip_raise
    _line(canvas, face, points, alpha, 0.032)
    points = (
        (side * 0.36, face.mouth_y + 0.07),
        (side * 0.36, face.mouth_y + 0.16),
        (side * 0.32, face.mouth_y + 0.25),
    )
    _line(canvas, face, points, _since(age, 0.85), 0.034)


def _eye_corner(canvas, face, side):
    """Crow's feet and bags."""
    age, squint = face.wrinkles, face.cheek_raise
    s, y = side * (face.eye_s + 0.23), face.eye_y
    for k in (-1, 0, 1):
        points = (
            (s, y + 0.03 * k),
            (s + side * 0.06, y + 0.05 * k),
            (s + side * 0.13, y + 0.1 * k),
        )
        alpha = 0.8 * _since(age, 0.55) + 0.3 * squint * (0.3 + age) - 0.1
        _line(canvas, face, points, alpha, 0.022)
    for k in (0, 1):
        bag = y + 0.115 * face.eye_size + 0.05 * k
        points = (
            (side * (face.eye_s - 0.13), bag),
            (side * face.eye_s, bag + 0.07),
            (side * (face.eye_s + 0.14), bag + 0.02),
        )
        alpha = 0.85 * _since(age, 0.3 + 0.5 * k) + 0.25 * squint - 0.05
        _line(canvas, face, points, alpha, 0.034)


def _hollow(canvas, face, side):
    """A sunken cheek."""
    outline = [
        (side * 0.48, face.nose_y + 0.05),
        (side * 0.7, face.nose_y),
        (side * 0.55, face.mouth_y + 0.1),
    ]
    dark = darker(face.skin, 0.5)
    canvas.shape(outline, dark, 0.35 * face.hollow, 0.06)

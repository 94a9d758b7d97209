"""Photos for the page's tests: the sample portrait and synthetic faces."""

import cv2
import numpy as np
from PIL import Image

from data_preparation import synthetic
from samtl.faces import inputs
from samtl.faces.media import video

SIDE = 240  # pixels of most photos, so that the tests take seconds
ORIENTATION = 0x0112  # EXIF tag


def save_all(folder):
    """Write 50 photos; returns their paths."""
    portrait = inputs.read(inputs.portrait()).pixels
    pictures = [
        *_variants(portrait, 22),
        *(_sheet(number, 1) for number in range(12)),
        *(_sheet(number, 2) for number in range(20, 24)),
        *(np.rot90(portrait[60:400, 100:430], turns) for turns in (1, 2, 3)),
        np.hstack([portrait[40:360, 120:420]] * 3),
        portrait,
        _crowd(portrait),
    ]
    paths = [folder / f"{number:02}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    return paths + _formats(portrait[40:360, 120:420], folder)


def save_clip(path, frames=12):
    """The sample clip as a Y4M file for Chromium's fake camera."""
    with path.open("wb") as file:
        for frame in video.Clip().frames(every=200 // frames):
            height, width = frame.pixels.shape[:2]
            if frame.index == 0:
                file.write(b"YUV4MPEG2 W%d H%d F10:1\n" % (width, height))
            planes = cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2YUV_I420)
            file.write(b"FRAME\n" + planes.tobytes())


def _variants(portrait, count):
    """Random crops of other sizes, tilts, brightness, tints and noise."""
    rng = np.random.default_rng(0)
    for number in range(count):
        zoom = SIDE / rng.uniform(230, 420)
        turn = cv2.getRotationMatrix2D((266, 245), rng.uniform(-25, 25), zoom)
        turn[:, 2] += SIDE / 2 - np.array([266, 245]) + rng.uniform(-40, 40, 2)
        picture = cv2.warpAffine(
            portrait, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT
        )
        if number % 2:
            picture = picture[:, ::-1]
        gain = rng.uniform(0.5, 1.3) * rng.uniform(0.8, 1.2, 3)
        noise = rng.normal(0, 3 * (number % 3), picture.shape)
        yield np.clip(picture * gain + noise, 0, 255).astype(np.uint8)


def _sheet(number, side):
    """Synthetic faces in side x side places."""
    faces = [
        synthetic.draw_face(
            "synthetic_emotion", "test", number + i, SIDE // side, 0
        )[0]
        for i in range(side * side)
    ]
    rows = [faces[i * side : (i + 1) * side] for i in range(side)]
    return np.vstack([np.hstack(row) for row in rows])


def _crowd(portrait):
    """A photo for the search in tiles: 1,800 pixels wide, small faces."""
    small = cv2.resize(portrait, None, fx=0.3, fy=0.3)
    return np.tile(small, (4, 12, 1))


def _formats(picture, folder):
    """Photos that a browser has to decode as Pillow does."""
    image = Image.fromarray(picture)
    clear = image.copy()
    clear.putalpha(Image.linear_gradient("L").resize(image.size))
    found = {
        "gray.png": image.convert("L"),
        "clear.png": clear,
        "photo.jpg": image,
        "photo.webp": image,
    }
    paths = [folder / name for name in found]
    for path, version in zip(paths, found.values(), strict=True):
        version.save(path, quality=95)
    turned = folder / "turned.jpg"
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image.rotate(90, expand=True).save(turned, quality=95, exif=exif)
    mirrored = folder / "mirrored.jpg"
    exif[ORIENTATION] = 2
    image.save(mirrored, quality=95, exif=exif)
    return [*paths, turned, mirrored]

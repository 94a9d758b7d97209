"""Random augmentation of images: drawn on the host, applied on the device.

The host draws one affine map and one change of light per image from a seeded
generator, so an epoch can be repeated exactly; the device moves the pixels.
A horizontal flip is part of the map, and the caller swaps left and right in
the labels.
"""

import numpy as np
from keras import ops

# Ranges at strength 1.
SHIFT = 0.08  # of the image's side, both ways
ROTATION = 10.0  # degrees, both ways
ZOOM = 0.1  # relative, both ways
CONTRAST = 0.2  # relative, both ways
BRIGHTNESS = 20.0  # gray levels of 255, both ways


def draw(
    rng: np.random.Generator,
    count: int,
    height: int,
    width: int,
    strength: float = 1.0,
    can_flip: bool = True,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draw the augmentation of every image.

    Args:
        rng: numpy Generator.
        count: number of images, N.
        height, width: pixels.
        strength: >= 0, scales every range; flips stay.
        can_flip: whether images are flipped.

    Returns:
        (drawn, flipped): a dict of "transform", float32 [N, 8], maps from
        output to input pixels as `keras.ops.image.affine_transform` takes
        them, and "light", float32 [N, 2], contrast and brightness; and bool
        [N], true where left and right are swapped.
    """

    def uniform(limit, *shape):
        return strength * rng.uniform(-limit, limit, (count, *shape))

    flipped = (rng.random(count) < 0.5) & can_flip
    shift = uniform(SHIFT, 2) * [width, height]
    angle = np.deg2rad(uniform(ROTATION))
    scale = 1 + uniform(ZOOM)
    mirror = np.where(flipped, -1.0, 1.0)
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([mirror * cosine, -mirror * sine, sine, cosine], axis=1)
    linear = linear.reshape(count, 2, 2)
    # The image's centre stays in place but for the shift.
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    offset = centre + shift - linear @ centre
    transforms = np.zeros((count, 8), "float32")
    transforms[:, [0, 1, 3, 4]] = linear.reshape(count, 4)
    transforms[:, [2, 5]] = offset
    light = np.stack([1 + uniform(CONTRAST), uniform(BRIGHTNESS)], axis=1)
    light = light.astype("float32")
    return {"transform": transforms, "light": light}, flipped


def mirrored(images, transform):
    """The images unchanged but for the flips of an augmentation.

    Args:
        images: [B, H, W, C].
        transform: float32 [B, 8] of `draw`; where x grows to the left, its
            image is flipped.
    """
    flipped = (transform[:, 0] < 0)[:, None, None, None]
    return ops.where(flipped, ops.flip(images, axis=2), images)


def apply(images, transform, light):
    """Apply the augmentation that `draw` drew.

    Args:
        images: float32 [B, H, W, C] in 0..255.
        transform: float32 [B, 8]; what lies outside repeats the edge.
        light: float32 [B, 2], contrast about mid-gray and brightness.

    Returns:
        float32 [B, H, W, C] in 0..255.
    """
    images = ops.image.affine_transform(
        images,
        transform,
        interpolation="bilinear",
        fill_mode="nearest",
        data_format="channels_last",
    )
    contrast, brightness = light[:, 0], light[:, 1]
    middle = 127.5
    images = (images - middle) * contrast[:, None, None, None]
    return ops.clip(
        images + (middle + brightness)[:, None, None, None], 0.0, 255.0
    )

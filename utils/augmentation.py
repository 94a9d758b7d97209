"""Random views of a face: drawn on the host, warped on the device.

The host draws one affine map per image from a seeded generator, so an epoch
can be repeated exactly; the device moves the pixels. A horizontal flip is
part of the map, and the caller swaps left and right in the labels.
"""

import numpy as np
from keras import ops

SHIFT = 0.08  # of the image's side, both ways
ROTATION = 10.0  # degrees, both ways
ZOOM = 0.1  # relative, both ways


def draw(rng, count, height, width):
    """Draw one random view per image.

    Args:
        rng: numpy Generator.
        count: number of images, N.
        height, width: pixels.

    Returns:
        (transforms, flipped): float32 [N, 8] maps from output to input
        pixels, as `keras.ops.image.affine_transform` takes them, and bool
        [N], true where left and right are swapped.
    """
    flipped = rng.random(count) < 0.5
    shift = rng.uniform(-SHIFT, SHIFT, (count, 2)) * [width, height]
    angle = np.deg2rad(rng.uniform(-ROTATION, ROTATION, count))
    scale = 1 + rng.uniform(-ZOOM, ZOOM, count)
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
    return transforms, flipped


def warp(images, transforms):
    """Resample images along affine maps; what lies outside repeats the edge.

    Args:
        images: float32 [B, H, W, C].
        transforms: float32 [B, 8] from `draw`.

    Returns:
        float32 [B, H, W, C].
    """
    return ops.image.affine_transform(
        images,
        transforms,
        interpolation="bilinear",
        fill_mode="nearest",
        data_format="channels_last",
    )

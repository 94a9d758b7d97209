import numpy as np
from keras import ops

from samtl.data import augmentation


def test_transforms_stay_within_their_ranges_and_fix_the_centre():
    rng = np.random.default_rng(0)
    drawn, flipped = augmentation.draw(rng, 500, 40, 60)
    transforms = drawn["transform"]
    assert transforms.shape == (500, 8)
    assert 0.4 < flipped.mean() < 0.6
    np.testing.assert_array_equal(flipped, transforms[:, 0] < 0)
    linear = transforms[:, [0, 1, 3, 4]].reshape(-1, 2, 2)
    moved = linear @ [29.5, 19.5] + transforms[:, [2, 5]] - [29.5, 19.5]
    assert (np.abs(moved) <= [0.08 * 60 + 1e-3, 0.08 * 40 + 1e-3]).all()
    determinant = np.linalg.det(linear)
    np.testing.assert_array_equal(determinant < 0, flipped)
    scale = np.sqrt(np.abs(determinant))
    assert scale.min() >= 0.9 - 1e-5
    assert scale.max() <= 1.1 + 1e-5


def test_strength_scales_every_range():
    weak, _ = augmentation.draw(np.random.default_rng(0), 50, 9, 9, 0.5)
    strong, _ = augmentation.draw(np.random.default_rng(0), 50, 9, 9, 1.0)
    np.testing.assert_allclose(
        2 * (weak["light"] - [1, 0]), strong["light"] - [1, 0], atol=1e-5
    )
    angles = [
        np.arctan2(drawn["transform"][:, 3], drawn["transform"][:, 4])
        for drawn in (weak, strong)
    ]
    np.testing.assert_allclose(2 * angles[0], angles[1], atol=1e-6)


def test_light_turns_about_mid_gray_and_stays_in_range():
    images = np.array([0.0, 100.0, 255.0], "float32").reshape(3, 1, 1, 1)
    keep = np.tile(np.array([[1, 0, 0, 0, 1, 0, 0, 0]], "float32"), (3, 1))
    light = np.array([[0.8, 0], [1.2, 10], [1, 20]], "float32")
    lit = ops.convert_to_numpy(augmentation.apply(images, keep, light))
    # (0 - 127.5) 0.8 + 127.5; (100 - 127.5) 1.2 + 127.5 + 10; clipped
    np.testing.assert_allclose(lit.ravel(), [25.5, 104.5, 255], rtol=1e-6)


def test_a_pure_flip_mirrors_the_image():
    images = np.random.default_rng(0).random((2, 6, 8, 1), np.float32)
    flip = np.array([[-1, 0, 7, 0, 1, 0, 0, 0]], np.float32)
    keep = np.array([[1, 0, 0, 0, 1, 0, 0, 0]], np.float32)
    light = np.array([[1, 0], [1, 0]], np.float32)
    warped = augmentation.apply(images, np.concatenate([flip, keep]), light)
    warped = ops.convert_to_numpy(warped)
    np.testing.assert_allclose(warped[0], images[0, :, ::-1], atol=1e-4)
    np.testing.assert_allclose(warped[1], images[1], atol=1e-4)

"""Colour profiles and bit depths of pictures."""

import datetime
import io
import itertools

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from data_preparation import crops
from samtl.common import pictures
from samtl.faces import inputs
from samtl.faces.media import output

RAMP = np.tile(np.linspace(0, 1, 64), (48, 1))


# The primaries of Display P3, adapted to D50 (columns X, Y, Z), and from D50 to
# linear sRGB.
P3 = np.array(
    [
        [0.51512, 0.29198, 0.15710],
        [0.24120, 0.69225, 0.06657],
        [-0.00105, 0.04189, 0.78407],
    ]
)
TO_SRGB = np.array(
    [
        [3.13386, -1.61687, -0.49061],
        [-0.97877, 1.91614, 0.03345],
        [0.07195, -0.22899, 1.40524],
    ]
)


def _display_p3():
    """A profile of Display P3: that of sRGB with other primaries and name."""
    data = bytearray(pictures.srgb_profile())
    columns = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), P3.T, strict=True))
    for index in range(int.from_bytes(data[128:132], "big")):
        entry = data[132 + 12 * index :][:12]
        start = int.from_bytes(entry[4:8], "big")
        for number, value in enumerate(columns.get(bytes(entry[:4]), ())):
            fixed = round(value * 65536) & 0xFFFFFFFF
            at = start + 8 + 4 * number
            data[at : at + 4] = fixed.to_bytes(4, "big")
        if entry[:4] == b"desc":
            size = int.from_bytes(entry[8:], "big")
            text = data[start : start + size].replace(b"s\0R", b"P\0R")
            data[start : start + size] = text
    return bytes(data)


def _srgb(colour):
    """A colour of Display P3 in sRGB, by the matrices and sRGB's curve."""
    share = np.array(colour) / 255
    linear = np.where(
        share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4
    )
    linear = np.clip(TO_SRGB @ P3 @ linear, 0, 1)
    share = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    return share * 255


def _with_profile(path, colour, profile, mode="RGB"):
    image = Image.new("RGB", (8, 8), colour)
    image = image.quantize() if mode == "P" else image.convert(mode)
    image.save(path, icc_profile=profile)
    return path


@pytest.mark.parametrize(
    "colour",
    [(255, 255, 255), (128, 128, 128), (200, 100, 100), (90, 160, 110)],
)
def test_profiles_become_srgb(tmp_path, colour):
    path = _with_profile(tmp_path / "a.png", colour, _display_p3())
    found = inputs.read(path).pixels
    np.testing.assert_allclose(found[0, 0], _srgb(colour), atol=2)
    np.testing.assert_array_equal(crops.decode(path, "RGB"), found)


def test_the_red_of_srgb_in_display_p3_is_the_red_of_srgb(tmp_path):
    path = _with_profile(tmp_path / "a.jpg", (234, 51, 35), _display_p3())
    found = inputs.read(path).pixels
    np.testing.assert_allclose(found[0, 0], (255, 0, 0), atol=12)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_profiles_that_do_not_fit_are_ignored(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    path = tmp_path / f"a.{suffix}"
    for profile in (b"garbage", _display_p3(), pictures.srgb_profile()):
        _with_profile(path, (128, 128, 128), profile, mode)
        found = inputs.read(path).pixels
        np.testing.assert_allclose(found, 128, atol=6)


def test_the_profile_of_a_huge_jpeg_counts(tmp_path, monkeypatch):
    image = Image.new("RGB", (96, 64), (200, 100, 100))
    image.save(tmp_path / "a.jpg", icc_profile=_display_p3())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 800)
    found = inputs.read(tmp_path / "a.jpg").pixels
    assert found.shape == (8, 12, 3)
    np.testing.assert_allclose(found[0, 0], _srgb((200, 100, 100)), atol=3)


def _linear_gray():
    """A profile of gray whose values are proportional to light."""
    curve = b"curv" + bytes(8)
    point = b"XYZ " + bytes(4)
    for value in (0.9642, 1, 0.8249):
        point += round(value * 65536).to_bytes(4, "big")
    start = 128 + 4 + 2 * 12
    table = (2).to_bytes(4, "big")
    for name, data, at in (
        (b"kTRC", curve, start),
        (b"wtpt", point, start + len(curve)),
    ):
        table += name + at.to_bytes(4, "big") + len(data).to_bytes(4, "big")
    header = bytearray(128)
    header[:4] = (start + len(curve) + len(point)).to_bytes(4, "big")
    header[8:24] = b"\2\x40\0\0mntrGRAYXYZ "
    header[36:40] = b"acsp"
    header[68:80] = point[8:]
    return bytes(header) + table + curve + point


@pytest.mark.parametrize("name", ["a.png", "alpha.png", "deep.png", "deep.tif"])
def test_profiles_of_gray(tmp_path, name):
    mode = "LA" if name.startswith("alpha") else "L"
    image = Image.new(mode, (8, 8), (60, 255)[: len(mode)])
    if name.startswith("deep"):
        image = Image.fromarray(np.full((8, 8), 60 * 257, np.uint16))
    # The value 65535 tells the depth of the content.
    image.putpixel(
        (7, 7), (65535 if "deep" in name else (255, 255)[: len(mode)])
    )
    image.save(tmp_path / name, icc_profile=_linear_gray())
    found = inputs.read(tmp_path / name).pixels
    expected = 255 * (1.055 * (60 / 255) ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(found[0, 0], expected, atol=2)


def test_the_profile_does_not_depend_on_the_time():
    profile = io.BytesIO(pictures.srgb_profile())
    found = ImageCms.ImageCmsProfile(profile).profile.creation_date
    assert found == datetime.datetime(2000, 1, 1)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_copies_carry_srgb(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    output.write_image(path, np.full((8, 8, 3), 200, np.uint8))
    with Image.open(path) as image:
        profile = image.info["icc_profile"]
    given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    assert ImageCms.getProfileDescription(given).startswith("sRGB")


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize(
    ("suffix", "channels"),
    [
        *itertools.product([".png", ".tif"], [1, 3, 4]),
        *((".pnm", channels) for channels in (1, 3)),  # no transparency
    ],
)
def test_sixteen_bits_have_the_depth_of_their_content(
    tmp_path, bits, suffix, channels
):
    path = tmp_path / f"a{suffix}"
    pixels = np.rint(RAMP * (2**bits - 1)).astype(np.uint16)
    stored = np.stack([pixels] * channels, axis=-1)
    if channels == 4:
        stored[..., 3] = 65535
    cv2.imwrite(str(path), stored)
    expected = np.rint(RAMP * 255)[..., None].repeat(3, axis=-1)
    found = inputs.read(path).pixels
    np.testing.assert_allclose(found, expected, atol=1.5)
    np.testing.assert_array_equal(crops.decode(path, "RGB"), found)
    np.testing.assert_array_equal(crops.decode(path, "L"), found[..., 0])

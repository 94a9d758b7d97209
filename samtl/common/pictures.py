"""Image files, opened by Pillow; their pixels in sRGB, with 8 bits."""

import functools
import io
import struct

import cv2
import numpy as np
from PIL import Image, ImageCms

# Not every format of Pillow: it hands PostScript, whatever the name of the
# file, to Ghostscript, which runs it as a program. Those of plug-ins count
# where one is installed.
FORMATS = (
    *("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "JXL", "MPO", "PNG"),
    *("PPM", "TGA", "TIFF", "WEBP"),
)
# Bits of a sensor. Files store them in 16 bits, with the upper ones empty.
DEPTHS = (8, 10, 12, 14, 16)


def open_image(file) -> Image.Image:
    """An image of one of FORMATS; its pixels are not decoded yet.

    Args:
        file: path, or open file.

    Raises:
        PIL.UnidentifiedImageError: it is of another format.
        Exception: of any type, on a damaged header.
    """
    return Image.open(file, formats=known_formats())


def known_formats() -> list[str]:
    """Those of FORMATS that Pillow reads here."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def load(image: Image.Image, file: io.BufferedIOBase) -> None:
    """Decode an opened image in place.

    Of colours with 16 bits, Pillow keeps the upper 8, in which 10 or 12 bits
    of a sensor are black. These are read again, and scaled by their depth.

    Args:
        image: opened from `file`.
        file: can be sought.

    Raises:
        Exception: of any type, if the file is damaged.
    """
    tile = image.tile[0] if getattr(image, "tile", None) else None
    is_deep = (
        tile is not None
        and image.mode in ("RGB", "RGBA")
        and (";16" in str(tile.args) or tile.args == ("RGB", 65535))  # PPM
    )
    image.load()
    if is_deep:
        file.seek(0)
        # IMREAD_COLOR_RGB mixes up the bytes of 16 bits in TIFF.
        flag = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR
        flag |= cv2.IMREAD_IGNORE_ORIENTATION
        data = np.frombuffer(file.read(), np.uint8)
        pixels = cv2.imdecode(data, flag)
        if pixels is not None and pixels.dtype == np.uint16:
            colours = Image.fromarray(_eight_bits(pixels[..., ::-1]))
            if "A" in image.getbands():
                colours.putalpha(image.getchannel("A"))
            image.paste(colours)


def simple(image: Image.Image) -> Image.Image:
    """A decoded image in mode RGB or L, in sRGB, with 8 bits.

    An embedded colour profile is applied; an invalid one is ignored. The
    background of transparent images is white. More than 8 bits are scaled by
    the least of 8, 10, 12, 14 and 16 bits that holds the largest value.
    """
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float32)
        values = np.nan_to_num(values, posinf=0, neginf=0)
        if image.mode.startswith("F"):
            values *= 65535 / max(values.max(), 1e-9)
        profile = image.info.get("icc_profile")
        image = Image.fromarray(_eight_bits(values))
        image.info["icc_profile"] = profile
    image = _to_srgb(image)
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "L" else image.convert("RGB")


def _eight_bits(values):
    """Values in 0..65535, of fewer bits perhaps, as uint8 of all 8 bits."""
    largest = values.max(initial=0)
    top = next((2**n - 1 for n in DEPTHS if largest < 2**n), 65535)
    scaled = values * np.float32(255 / top)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


@functools.cache
def srgb_profile() -> bytes:
    """The colour profile of sRGB, to be embedded in files."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    data = bytearray(profile.tobytes())
    # Its date, now, would make two copies of a picture differ.
    data[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(data)


def _to_srgb(image):
    profile = image.info.get("icc_profile")
    if not profile:
        return image
    if image.mode in ("P", "PA"):
        has_alpha = "transparency" in image.info or image.mode == "PA"
        image = image.convert("RGBA" if has_alpha else "RGB")
    if image.mode == "LA":  # not a mode of profiles for gray
        colours = _to_srgb(image.convert("L"))
        colours.putalpha(image.getchannel("A"))
        return colours
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if ImageCms.getProfileDescription(given).startswith("sRGB"):
            return image
        return ImageCms.profileToProfile(
            image,
            given,
            ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            "RGBA" if image.mode == "RGBA" else "RGB",
        )
    # The profile is damaged, or one of another kind of pixels.
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image

"""Images of all formats, damaged files and patterns."""

import os
import sys
import threading
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from samtl.common.errors import UserError
from samtl.faces import inputs

RAMP = np.linspace(0, 255, 64, dtype=np.uint8)
COLOUR = np.stack([np.tile(RAMP, (48, 1))] * 3, axis=-1)
COLOUR[:24, :, 1] = 40


def _close(found, expected, tolerance=12):
    assert found.shape == expected.shape
    assert found.dtype == np.uint8
    difference = np.abs(found.astype(int) - expected)
    assert difference.mean() < tolerance / 3


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tif"])
def test_formats(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(COLOUR).save(path)
    picture = inputs.read(path)
    _close(picture.pixels, COLOUR)
    assert picture.note == ""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    path = tmp_path / "a.png"
    # The stored pixels of an upright picture of COLOUR.
    stored = {
        1: COLOUR,
        2: COLOUR[:, ::-1],
        3: COLOUR[::-1, ::-1],
        4: COLOUR[::-1],
        5: COLOUR.transpose(1, 0, 2),
        6: np.rot90(COLOUR, 1),
        7: COLOUR[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(COLOUR, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    np.testing.assert_array_equal(inputs.read(path).pixels, COLOUR)


@pytest.mark.parametrize("kind", ["png", "webp", "jpg"])
def test_invalid_exif_data_is_ignored(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    Image.fromarray(COLOUR).save(path, exif=b"Exif\0\0garbage!!")
    _close(inputs.read(path).pixels, COLOUR)


def test_sixteen_bits_become_eight(tmp_path):
    gray = np.tile(RAMP, (48, 1)).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "gray.png"), gray)
    cv2.imwrite(str(tmp_path / "gray.tif"), gray)
    colour = COLOUR[..., ::-1].astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "colour.png"), colour)
    expected = np.stack([np.tile(RAMP, (48, 1))] * 3, axis=-1)
    for name in ("gray.png", "gray.tif"):
        _close(inputs.read(tmp_path / name).pixels, expected, 2)
    _close(inputs.read(tmp_path / "colour.png").pixels, COLOUR, 2)


def test_modes(tmp_path):
    path = tmp_path / "a.tif"
    image = Image.fromarray(COLOUR)
    for mode in ("L", "CMYK", "P", "YCbCr"):
        image.convert(mode).save(path)
        expected = np.asarray(image.convert(mode).convert("RGB"))
        _close(inputs.read(path).pixels, expected)
    image.convert("CMYK").save(tmp_path / "a.jpg")
    _close(inputs.read(tmp_path / "a.jpg").pixels, COLOUR, 30)
    image.convert("1").save(tmp_path / "a.png")
    assert set(np.unique(inputs.read(tmp_path / "a.png").pixels)) == {0, 255}


def test_transparency_is_laid_on_white(tmp_path):
    pixels = np.dstack([COLOUR, np.full((48, 64), 255, np.uint8)])
    pixels[:, 32:, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = inputs.read(tmp_path / "a.png").pixels
    np.testing.assert_array_equal(found[:, :32], COLOUR[:, :32])
    assert (found[:, 32:] == 255).all()


def test_the_first_frame_of_an_animation_is_read(tmp_path):
    frames = [Image.fromarray(np.full((8, 8), v, np.uint8)) for v in (0, 255)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    picture = inputs.read(tmp_path / "a.gif")
    assert (picture.pixels == 0).all()
    assert picture.note == "first of 2 frames"


def test_one_pixel(tmp_path):
    Image.new("RGB", (1, 1), "red").save(tmp_path / "a.png")
    found = inputs.read(tmp_path / "a.png").pixels
    assert found.tolist() == [[[255, 0, 0]]]


def _refused(path):
    with pytest.raises(UserError) as caught:
        inputs.read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_files_that_are_not_images(tmp_path):
    path = tmp_path / "a.jpg"
    assert "No such file" in _refused(path)
    path.touch()
    assert "empty" in _refused(path)
    path.write_text("dear diary")
    assert "not an image" in _refused(path)
    assert "directory" in _refused(tmp_path)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".webp", ".tif"])
def test_truncated_files(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        _refused(path)


def test_decompression_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 800)
    large = np.kron(COLOUR, np.ones((2, 2, 1), np.uint8))
    Image.fromarray(large).save(tmp_path / "a.png")
    assert "megapixels" in _refused(tmp_path / "a.png")
    Image.fromarray(large).save(tmp_path / "a.jpg", quality=95)
    picture = inputs.read(tmp_path / "a.jpg")
    assert picture.pixels.shape == (12, 16, 3)
    assert "1/8" in picture.note
    assert inputs.size(tmp_path / "a.jpg") == 0


def test_the_size_comes_from_the_header(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    assert inputs.size(tmp_path / "a.png") == 48 * 64
    (tmp_path / "a.png").write_text("dear diary")
    for name in ("a.png", "gone.png", "."):
        assert inputs.size(tmp_path / name) == 0


def test_a_huge_jpeg_with_a_name_that_is_not_valid_utf8(tmp_path, monkeypatch):
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    Image.fromarray(COLOUR).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 800)
    assert inputs.read(path).pixels.shape == (6, 8, 3)


def test_pixels_that_are_not_finite_are_black(tmp_path, recwarn):
    values = np.tile(RAMP, (48, 1)).astype(np.float32) / 255
    values[0, 63], values[1, 63], values[2, 63] = np.nan, np.inf, -np.inf
    Image.fromarray(values).save(tmp_path / "a.tif")
    found = inputs.read(tmp_path / "a.tif").pixels[..., 0]
    assert found[:3, 63].tolist() == [0, 0, 0]
    _close(found[3:], np.tile(RAMP, (45, 1)), 2)
    assert not recwarn.list


@pytest.mark.skipif(os.name != "posix", reason="pipes as on POSIX")
def test_pipes_are_read(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    picture = cv2.imencode(".png", COLOUR[..., ::-1])[1].tobytes()
    writer = threading.Thread(target=pipe.write_bytes, args=[picture])
    writer.start()
    np.testing.assert_array_equal(inputs.read(pipe).pixels, COLOUR)
    writer.join()
    writer = threading.Thread(target=pipe.write_bytes, args=[b""])
    writer.start()
    assert "is empty" in _refused(pipe)
    writer.join()


def test_each_file_once_and_brackets_in_names(tmp_path, monkeypatch):
    (tmp_path / "trip [2020]").mkdir()
    (tmp_path / "trip [2020]" / "a.png").touch()
    monkeypatch.chdir(tmp_path)
    found = inputs.find(["trip [2020]/*.png"])
    assert found == [Path("trip [2020]", "a.png")]
    other = os.path.join("..", tmp_path.name, "trip [2020]", "a.png")
    names = [os.fspath(found[0]), str(tmp_path / found[0]), other]
    assert inputs.find(names) == found


def test_files_folders_and_patterns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.JPG", "notes.txt", "sub/c.png", "we[ird].png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    names = [str(p) for p in inputs.find(["."])]
    assert names == ["a.JPG", "b.png", "we[ird].png"]
    found = inputs.find(["b.png", "*.png", "**/*.png", "gone.jpg"])
    assert [os.fspath(path) for path in found] == [
        "b.png",
        "we[ird].png",
        os.path.join("sub", "c.png"),
        "gone.jpg",
    ]
    assert inputs.find(["we[ird].png"])[0].is_file()
    for nothing in ("*.gif", "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(UserError, match="no image in"):
            inputs.find([nothing])


def test_the_sample_portrait_is_there():
    picture = inputs.read(inputs.portrait())
    assert picture.pixels.shape == (600, 512, 3)


def test_photos_that_cannot_be_read_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "_has_plugin", lambda _: False)
    names = ("a.jpg", "b.CR3", "c.cr3", "d.heic", "e.jp2", "f.tga", "g.txt")
    for name in (*names, "._a.jpg", "._b.CR3"):
        (tmp_path / name).touch()
    found = [path.name for path in inputs.find([tmp_path])]
    assert found == ["a.jpg", "e.jp2", "f.tga"]
    others = inputs.skipped([str(tmp_path), str(tmp_path / "h.CR3")])
    assert others == (
        "2 .cr3 (convert to JPEG), "
        "1 .heic (pip install pillow-heif, or convert to JPEG)"
    )
    for name in ("a.jpg", "e.jp2", "f.tga"):
        (tmp_path / name).unlink()
    with pytest.raises(UserError, match=r"no image in .* but 2 \.cr3"):
        inputs.find([tmp_path])
    (tmp_path / "b.CR3").write_text("raw")
    assert "cannot read: convert to JPEG" in _refused(tmp_path / "b.CR3")


def test_a_package_reads_its_formats(tmp_path, monkeypatch):
    registered = types.ModuleType("pillow_heif")
    registered.register_heif_opener = lambda: registered.calls.append(1)
    registered.calls = []
    monkeypatch.setattr(inputs, "_has_plugin", lambda suffix: suffix == ".heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", registered)
    path = tmp_path / "a.heic"
    Image.fromarray(COLOUR).save(path, "PNG")
    assert inputs.find([tmp_path]) == [path]
    np.testing.assert_array_equal(inputs.read(path).pixels, COLOUR)
    assert registered.calls == [1]


HEIC = b"\0\0\0\x18ftypheic" + bytes(99)


def test_the_content_names_the_package_that_reads_it(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "_has_plugin", lambda _: False)
    path = tmp_path / "IMG_1.JPG"
    path.write_bytes(HEIC)
    assert "pip install pillow-heif" in _refused(path)
    path.write_bytes(b"\xff\x0a" + bytes(99))
    assert "pip install pillow-jxl-plugin" in _refused(path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "is damaged, or of a kind" in _refused(path)
    path.write_text("dear diary")
    assert "HEIF" not in _refused(path)


@pytest.mark.parametrize("suffix", [".jp2", ".tga", ".ppm"])
def test_further_formats(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(COLOUR).save(path)
    assert inputs.find([tmp_path]) == [path]
    _close(inputs.read(path).pixels, COLOUR)


def test_files_of_macos_are_no_images(tmp_path):
    for name in ("a.jpg", "._a.jpg", "__MACOSX/b.jpg", "__MACOSX/._b.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert inputs.find([tmp_path]) == [tmp_path / "a.jpg"]
    assert inputs.find([f"{tmp_path}/**/*.jpg"]) == [tmp_path / "a.jpg"]
    named = tmp_path / "._a.jpg"
    assert inputs.find([named]) == [named]


def test_an_address_is_downloaded_first(tmp_path):
    with pytest.raises(UserError, match="is an address; download it"):
        inputs.read("https://127.0.0.1/a.jpg")

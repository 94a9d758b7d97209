"""Exit codes and one-line messages of the demos for bad inputs."""

import struct
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

import final_image_demo
import final_video_demo
from samtl.common.errors import run_script
from samtl.faces import detect
from samtl.faces.media import recording
from tests.faces import stand_ins

SHAPE = (48, 64)
NOISE = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)


@pytest.fixture
def demo(tmp_path, monkeypatch, capsys):
    """A function that runs a demo's script.

    It returns (exit code, standard output, standard error).
    """
    network = stand_ins.network(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(detect, "open", lambda *_, **__: stand_ins.Detector())

    def run(script, *words):
        words = [f"--weights={network}", *map(str, words)]
        monkeypatch.setattr(sys, "argv", [script.__name__, *words])
        code = 0
        try:
            run_script(script.main)
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


def _header(path):
    """A PNG whose header claims 20,000 x 20,000 pixels."""
    ends = struct.pack(">2I5B", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", ends), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in chunks:
        data += struct.pack(">I", len(content)) + kind + content
        data += struct.pack(">I", zlib.crc32(kind + content))
    path.write_bytes(data)


def _save(mode, **options):
    image = Image.fromarray(NOISE).convert(mode)
    return lambda path: image.save(path, **options)


BLACK = Image.new("L", (8, 8))
GOOD_OR_BAD = {
    "zero bytes": ("a.jpg", lambda path: path.touch(), "a.jpg is empty"),
    "text": ("a.jpg", lambda path: path.write_text("hi"), "is not an image"),
    "cut off": (
        "a.png",
        lambda path: path.write_bytes(cv2.imencode(".png", NOISE)[1][:900]),
        "cannot read a.png",
    ),
    "20,000 x 20,000": ("a.png", _header, "more than 179 megapixels"),
    "16 bits": (
        "a.png",
        lambda path: cv2.imwrite(str(path), NOISE[..., 0].astype("u2") * 257),
        None,
    ),
    "CMYK": ("a.jpg", _save("CMYK"), None),
    "RGBA": ("a.png", _save("RGBA"), None),
    "grayscale": ("a.jpg", _save("L"), None),
    "animated GIF": (
        "a.gif",
        _save("L", save_all=True, append_images=[BLACK]),
        None,
    ),
    "1 x 1": ("a.png", lambda path: BLACK.resize((1, 1)).save(path), None),
}


@pytest.mark.parametrize("kind", GOOD_OR_BAD)
def test_images(demo, tmp_path, kind):
    name, make, complaint = GOOD_OR_BAD[kind]
    make(tmp_path / name)
    code, printed, error = demo(final_image_demo, name)
    if complaint is None:
        assert (code, error) == (0, "")
        assert f"{name}" in printed
        assert ": no face -> " in printed
        assert len(list((tmp_path / "demo_output").iterdir())) == 1
    else:
        assert code == 1
        assert error.splitlines()[0] == "1 of 1 failed:"
        (line,) = error.splitlines()[1:]
        assert complaint in line


def _clip(path):
    """50 frames of H.264 with the index at the start."""
    with recording.Writer(path, 25) as writer:
        for index in range(50):
            writer.write(np.roll(NOISE, index, axis=1), index / 25)
    return path.read_bytes()


def _truncated(path):
    """The first half of an AVI, which needs no index."""
    codec = cv2.VideoWriter_fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), codec, 25, SHAPE[::-1])
    for index in range(50):
        writer.write(np.roll(NOISE, index, axis=1))
    writer.release()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


VIDEOS = {
    "zero bytes": ("a.mp4", lambda path: path.touch(), 2, "a.mp4 is empty"),
    "text": ("a.mp4", lambda path: path.write_text("hi"), 2, "has no frame"),
    "without frames": (
        "a.mp4",
        lambda path: path.write_bytes(_clip(path)[:1500]),
        2,
        "has no frame",
    ),
    "unknown codec": (
        "a.mp4",
        lambda path: path.write_bytes(_clip(path).replace(b"avc1", b"zzz9")),
        2,
        "no decoder found",
    ),
    "truncated": ("a.avi", _truncated, 1, "a ended too early, after"),
    "missing": ("b.mp4", lambda path: None, 2, "cannot read b.mp4: No such"),
}


@pytest.mark.parametrize("kind", VIDEOS)
def test_videos(demo, tmp_path, kind):
    name, make, expected, complaint = VIDEOS[kind]
    make(tmp_path / name)
    code, _, error = demo(final_video_demo, name)
    assert code == expected
    (line,) = [line for line in error.splitlines() if line.strip()]
    assert complaint in line
    is_kept = (tmp_path / "demo_output" / "a_faces.mp4").exists()
    assert is_kept == (kind == "truncated")


@pytest.mark.parametrize("script", [final_image_demo, final_video_demo])
@pytest.mark.parametrize("kind", ["output", "no weights", "other weights"])
def test_output_and_weights(demo, tmp_path, script, kind):
    network = tmp_path / "net.onnx"
    words = []
    if kind == "output":
        (tmp_path / "file").touch()
        words = ["--output=file/folder"]
        complaint = "choose a writable folder"
    elif kind == "no weights":
        network.unlink()
        complaint = "get the repository's weights/ folder again"
    else:
        stand_ins.network(tmp_path, sha256={"net.onnx": "0" * 64})
        complaint = "it is damaged or was replaced"
    code, _, error = demo(script, *words)
    assert code == 2
    (line,) = error.splitlines()
    assert line.startswith("error: ")
    assert complaint in line

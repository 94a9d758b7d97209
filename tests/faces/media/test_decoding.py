"""Videos of all kinds against FFmpeg's own RGB, and against their origin."""

import itertools
import socket
from fractions import Fraction

import cv2
import numpy as np
import pytest

from samtl.common.errors import UserError
from samtl.faces.media import decoding, ffmpeg, video
from tests.faces.media import clips

# Codec: words of FFmpeg, the suffix of a container, and the pixel format of 8
# and of more bits.
CODECS = {
    "h264": (("libx264", "-crf", "4"), "mp4", "yuv420p", "yuv420p10"),
    "hevc": (("libx265", "-crf", "4"), "mp4", "yuv420p", "yuv420p12"),
    "mpeg2": (("mpeg2video", "-q:v", "1"), "mpg", "yuv420p", "yuv422p"),
    "mpeg4": (("mpeg4", "-q:v", "1"), "avi", "yuv420p", None),
    "prores": (("prores_ks",), "mov", "yuv422p10", "yuv444p10"),
    "ffv1": (("ffv1",), "mkv", "yuv444p", "yuv420p16"),
    "ffv1 in RGB": (("ffv1",), "mkv", "bgr0", "gbrp10"),
    "vp9": (("libvpx-vp9", "-crf", "4"), "webm", "yuv420p", "yuv420p10"),
    "mjpeg": (("mjpeg", "-q:v", "1"), "avi", "yuvj420p", "yuvj444p"),
}
FIELDS = {"progressive": "prog", "top first": "tff", "bottom first": "bff"}
PROGRESSIVE = ("vp9", "mjpeg")
MATRICES = ("bt470bg", "bt709", "bt2020nc")
ROTATED = ("mp4", "mov", "mkv")  # containers that hold a rotation
ASPECTS = ("1", "4/3", "8/9")  # of the stored pixels


def _cases():
    """All codecs, fields and depths; the other properties take turns."""
    turns = itertools.cycle(itertools.product(ASPECTS, (0, 90, 180, 270)))
    matrices = itertools.cycle(MATRICES)
    for codec, (_, suffix, *depths) in CODECS.items():
        fields = ["progressive"] if codec in PROGRESSIVE else FIELDS
        for field, depth in itertools.product(fields, filter(None, depths)):
            aspect, turn = next(turns)
            turn = turn if suffix in ROTATED else 0
            yield codec, field, depth, next(matrices), aspect, turn


def _write(path, codec, field, depth, matrix, aspect, turn):
    """Write a test pattern; its metadata turn it counter-clockwise."""
    filters = [f"scale=out_color_matrix={matrix}", f"format={depth}"]
    filters += [f"setfield={FIELDS[field]}", f"setsar={aspect}"]
    words = ["-vf", ",".join(filters), "-c:v", *CODECS[codec][0]]
    if field != "progressive":
        words += ["-flags", "+ilme+ildct"]
        words += ["-x265-params", f"interlace={FIELDS[field]}:log-level=none"]
    if "yuv" in depth:
        words += ["-colorspace", matrix]
    plain = path.with_stem("plain") if turn else path
    clips.ffmpeg(*clips.PATTERN, *words, plain)
    if turn:
        words = ("-display_rotation", turn, "-i", plain, "-c", "copy", path)
        clips.ffmpeg(*words)


@pytest.fixture(scope="module")
def pattern():
    return clips.pixels((48, 64, 3), *clips.PATTERN)


@pytest.mark.parametrize(
    "case", list(_cases()), ids=lambda c: "-".join(map(str, c))
)
def test_frames_are_those_of_ffmpeg(tmp_path, pattern, case):
    codec, field, *_, aspect, turn = case
    path = tmp_path / f"a.{CODECS[codec][1]}"
    _write(path, *case)
    width, height, aspect = 64, 48, Fraction(aspect)
    if turn % 180:
        width, height, aspect = height, width, 1 / aspect
    width = round(width * aspect)
    filters = f"scale={width}:{height}"
    if field != "progressive":
        filters = f"bwdif=mode=send_frame,{filters}"
    expected = clips.pixels((height, width, 3), "-i", path, "-vf", filters)
    frames = [frame.pixels for frame in video.Source(str(path)).frames()]
    assert len(frames) == len(expected) == len(pattern)
    for found, own, origin in zip(frames, expected, pattern, strict=True):
        difference = np.abs(found.astype(int) - own)
        assert difference.max() <= 3
        # Fields of 24 rows with few colours differ, but far less than black.
        upright = cv2.resize(np.rot90(origin, turn // 90), (width, height))
        assert np.abs(found.astype(int) - upright).mean() < 25


def test_a_file_that_becomes_interlaced(tmp_path):
    parts = []
    for words in ((), ("-flags", "+ilme+ildct", "-x264opts", "tff=1")):
        words = ("-c:v", "libx264", "-pix_fmt", "yuv420p", *words)
        clips.ffmpeg(*clips.PATTERN, *words, tmp_path / "a.ts")
        parts.append((tmp_path / "a.ts").read_bytes())
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    frames = [f.pixels for f in video.Source(str(tmp_path / "a.ts")).frames()]
    assert len(frames) == 10
    for one, other in zip(frames[:5], frames[5:], strict=True):
        # The same pattern again.
        assert np.abs(one.astype(int) - other).mean() < 12


def test_frames_that_cannot_be_converted_are_none(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    clips.ffmpeg(*clips.PATTERN, path)
    monkeypatch.setattr(decoding, "FILTERS", ("crop=w=99:h=99",))
    with pytest.raises(UserError, match="no frame that FFmpeg can decode"):
        video.Source(str(path))


@pytest.mark.parametrize(
    "rate", ["24000/1001", "30000/1001", "480", "1000", "12.5"]
)
def test_the_frame_rate_is_exact(tmp_path, rate):
    pattern = ("-f", "lavfi", "-i", f"testsrc=s=64x48:r={rate}:d=0.2")
    clips.ffmpeg(*pattern, tmp_path / "a.mp4")
    expected = float(Fraction(rate))
    assert video.Source(str(tmp_path / "a.mp4")).fps == pytest.approx(expected)


def test_the_frame_rate_of_dv(tmp_path):
    pattern = ("-f", "lavfi", "-i", "testsrc=s=720x480:r=30000/1001:d=0.1")
    clips.ffmpeg(*pattern, "-target", "ntsc-dv", tmp_path / "a.dv")
    source = video.Source(str(tmp_path / "a.dv"))
    assert source.fps == pytest.approx(30 / 1.001)
    assert next(source.frames()).pixels.shape == (480, 640, 3)


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.vob"])
def test_times_are_those_of_a_player(tmp_path, name):
    late = ("-itsoffset", "0.844", *clips.PATTERN)
    sound = ("-f", "lavfi", "-i", "sine=d=1")
    kept = ("-fps_mode", "passthrough")
    clips.ffmpeg(*late, *sound, *kept, tmp_path / name)
    times = [f.time for f in video.Source(str(tmp_path / name)).frames()]
    expected = 0.844 + np.arange(5) / 25
    # Matroska rounds to milliseconds; the sound may begin a little earlier.
    assert times == pytest.approx(list(expected), abs=0.03)


@pytest.mark.parametrize("words", [(), ("-itsoffset", "0.5")])
@pytest.mark.parametrize("name", ["a.ts", "a.vob"])
def test_no_frame_is_missing_after_a_seek_without_an_index(
    tmp_path, name, words
):
    path = tmp_path / name
    long = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=20")
    sound = ("-f", "lavfi", "-i", "sine=d=20")
    clips.ffmpeg(*words, *long, *sound, "-g", "50", path)
    whole = list(video.Source(str(path)).frames())
    for start in (11.0, 15.01, 18.5):
        found = next(video.Source(str(path)).frames(start))
        expected = next(f for f in whole if f.time >= start)
        assert found.index == expected.index
        assert found.time == pytest.approx(expected.time, abs=1e-4)
        np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert list(video.Source(str(path)).frames(50)) == []


def test_a_distant_start_is_reached_by_seeking(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    long = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=20")
    clips.ffmpeg(*long, "-g", "50", "-pix_fmt", "yuv420p", path)
    whole = {f.index: f for f in video.Source(str(path)).frames()}
    source = video.Source(str(path))
    read = decoding.Decoder.read
    calls = []
    monkeypatch.setattr(
        decoding.Decoder, "read", lambda self: calls.append(1) or read(self)
    )
    found = list(source.frames(15.01, 16))
    assert len(calls) <= 26
    assert [f.index for f in found] == list(range(376, 400))
    for frame in found:
        assert frame.time == pytest.approx(whole[frame.index].time, abs=1e-4)
        np.testing.assert_array_equal(frame.pixels, whole[frame.index].pixels)
    assert not source.is_broken
    source = video.Source(str(path))
    assert list(source.frames(50)) == []
    assert not source.is_broken


def test_files_refer_to_no_address(tmp_path):
    path = tmp_path / "a.m3u8"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        path.write_text(f"#EXTM3U\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n")
        with pytest.raises(UserError, match="no frame"):
            video.Source(str(path))
        with pytest.raises(BlockingIOError):
            server.accept()


def test_ffmpeg_that_is_missing(monkeypatch):
    def fail():
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(ffmpeg.imageio_ffmpeg, "get_ffmpeg_exe", fail)
    with pytest.raises(UserError, match="FFmpeg is missing; pip install"):
        ffmpeg.start([])

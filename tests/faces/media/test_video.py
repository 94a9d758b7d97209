"""Reading and writing, with frames whose brightness is their number."""

import os
import subprocess
import threading
import time

import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from samtl.common.errors import UserError
from samtl.faces.media import recording, video

FPS = 25


def _numbered(index):
    """A frame whose brightness encodes its number, uint8 [48, 64, 3]."""
    return np.full((48, 64, 3), 20 + 4 * index, np.uint8)


def _number(pixels):
    return round((float(pixels[:40].mean()) - 20) / 4)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """50 numbered frames, two seconds."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with recording.Writer(path, FPS) as writer:
        for index in range(50):
            writer.write(_numbered(index), index / FPS)
    return path


def test_reading_returns_the_written_frames(clip):
    source = video.Source(str(clip))
    assert (source.name, source.fps, source.count) == ("clip", FPS, 50)
    frames = list(source.frames())
    assert [frame.index for frame in frames] == list(range(50))
    times = [frame.time for frame in frames]
    np.testing.assert_allclose(times, np.arange(50) / FPS, atol=1e-3)
    assert [_number(f.pixels) for f in frames] == list(range(50))
    assert not source.is_broken


def test_browsers_can_play_it(clip):
    capture = cv2.VideoCapture(str(clip))
    codec = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
    assert codec in (b"h264", b"avc1")
    data = clip.read_bytes()
    # The index comes before the frames, so that players start at once.
    assert data.index(b"moov") < data.index(b"mdat")


def test_odd_sizes_are_padded(tmp_path):
    path = tmp_path / "odd.mp4"
    with recording.Writer(path, FPS) as writer:
        writer.write(np.zeros((47, 63, 3), np.uint8), 0)
    frame = next(video.Source(str(path)).frames())
    assert frame.pixels.shape == (48, 64, 3)


def test_start_end_and_every(clip):
    frames = list(video.Source(str(clip)).frames(0.5, 1.2, 3))
    assert [frame.index for frame in frames] == [13, 16, 19, 22, 25, 28]
    assert [_number(f.pixels) for f in frames] == [13, 16, 19, 22, 25, 28]
    assert len(list(video.Source(str(clip)).frames(0.5, every=99))) == 1
    assert list(video.Source(str(clip)).frames(9.0)) == []


def test_the_file_lasts_as_long_as_an_unsteady_source(tmp_path):
    path = tmp_path / "camera.mp4"
    with recording.Writer(path, FPS) as writer:
        for index, moment in enumerate((5.0, 5.04, 5.2, 5.21, 5.28)):
            writer.write(_numbered(index), moment)
    numbers = [_number(f.pixels) for f in video.Source(str(path)).frames()]
    # Positions 0, 1, 5, 5 and 7 of the grid. Gaps repeat the next frame, and
    # the second frame of a position is skipped.
    assert numbers == [0, 1, 2, 2, 2, 2, 4, 4]


def test_the_frames_of_a_truncated_file_are_read(clip, tmp_path):
    path = tmp_path / "cut.avi"
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*"MJPG"), FPS, (64, 48)
    )
    for index in range(50):
        writer.write(_numbered(index))
    writer.release()
    data = path.read_bytes()
    path.write_bytes(data[: int(0.6 * len(data))])
    source = video.Source(str(path))
    frames = list(source.frames())
    assert 10 < len(frames) < 45
    assert source.is_broken
    # An early end of reading is not an early end of the source.
    source = video.Source(str(path))
    assert len(list(source.frames(0, 0.2))) == 5
    assert not source.is_broken


def test_a_file_cut_without_encoding_is_complete(tmp_path):
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    ffmpeg = (imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error")
    every = ("-c:v", "libx264", "-g", "100", str(whole))
    subprocess.run([*ffmpeg, *TEST_PICTURE, *every], check=True)
    part = ("-ss", "2", "-i", str(whole), "-c", "copy", str(cut))
    subprocess.run([*ffmpeg, *part], check=True)
    source = video.Source(str(cut))
    assert source.count == 50  # without the hidden frames
    assert 48 <= len(list(source.frames())) <= 52
    assert not source.is_broken


def test_half_of_an_mp4_is_broken(tmp_path):
    half = tmp_path / "half.mp4"
    random = np.random.default_rng(0)
    with recording.Writer(half, FPS) as writer:
        for index in range(50):
            noise = random.integers(0, 256, (48, 64, 3), np.uint8)
            writer.write(noise, index / FPS)
    data = half.read_bytes()
    half.write_bytes(data[: len(data) // 2])
    source = video.Source(str(half))
    assert 1 <= len(list(source.frames())) < 45
    assert source.is_broken


def test_pixels_are_made_square(tmp_path):
    path = tmp_path / "dv.mp4"
    words = (*TEST_PICTURE, "-vf", "setsar=2/1", "-t", "0.2", str(path))
    program = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run([program, "-v", "error", *words], check=True)
    shapes = {f.pixels.shape for f in video.Source(str(path)).frames()}
    assert shapes == {(48, 128, 3)}


TEST_PICTURE = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=4")
SOUND = ("-f", "lavfi", "-i", "sine=d=12")
LATER = "setpts='if(gt(N,50),PTS+12/TB,PTS)'"


@pytest.mark.parametrize(
    ("name", "words", "duration", "last"),
    [
        # A recording of a browser has no duration.
        ("a.webm", ("-c:v", "libvpx", "-live", "1"), None, 3.96),
        ("a.h264", (), None, 3.96),
        # The duration is that of the sound, and determines the count.
        ("a.mkv", (*SOUND, "-c:a", "aac"), 12.0, 3.96),
        ("b.mkv", ("-vf", LATER, "-fps_mode", "vfr"), 16.0, 15.96),
        ("2026-05-01T10:30.mp4", (), 4.0, 3.96),
    ],
)
def test_times_are_those_of_the_file(
    tmp_path, monkeypatch, name, words, duration, last
):
    monkeypatch.chdir(tmp_path)
    ffmpeg = (imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error")
    subprocess.run([*ffmpeg, *TEST_PICTURE, *words, f"./{name}"], check=True)
    source = video.Source(name)
    assert source.duration == (duration and pytest.approx(duration, abs=0.1))
    frames = list(source.frames())
    assert len(frames) == 100
    assert frames[-1].time == pytest.approx(last, abs=0.01)
    assert not source.is_broken


def test_slides_keep_their_duration(tmp_path):
    path = tmp_path / "slides.mp4"
    ffmpeg = (imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error")
    words = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=1/15:d=60")
    subprocess.run([*ffmpeg, *words, path], check=True)
    source = video.Source(str(path))
    times = [frame.time for frame in source.frames()]
    assert times == pytest.approx([0, 15, 30, 45])


def test_skipping_to_the_start_can_be_stopped(clip):
    source = video.Source(str(clip))
    source.stop()
    assert list(source.frames(1.0)) == []
    assert not source.is_broken


def test_no_password_in_the_name():
    assert video._stem("rtsp://admin:secret@10.0.0.5/live?x=1", True) == "live"
    for address in ("admin:secret@10.0.0.5", "admin:top@secret@10.0.0.5"):
        assert "secret" not in video._stem(f"rtsp://{address}", True)
    assert video._stem("what?/talk.mp4", False) == "talk"


def test_no_password_in_the_error():
    with pytest.raises(UserError, match=r"^http://127\.0\.0\.1:9/live gives"):
        video.Source("http://admin:secret@127.0.0.1:9/live?key=secret")


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes")
def test_a_name_that_is_not_valid_utf8_is_read(clip, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    path.write_bytes(clip.read_bytes())
    assert len(list(video.Source(str(path)).frames())) == 50


@pytest.mark.skipif(os.name != "posix", reason="pipes as on POSIX")
def test_pipes_are_read(clip, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = clip.read_bytes()
    writer = threading.Thread(target=pipe.write_bytes, args=[data])
    writer.start()
    source = video.Source(str(pipe))
    assert len(list(source.frames())) == 50
    assert not source.is_broken
    writer.join()


def _refused(address):
    with pytest.raises(UserError) as caught:
        video.Source(address)
    message = str(caught.value)
    assert address in message
    assert "\n" not in message
    return message


def test_sources_without_a_frame(clip, tmp_path):
    path = tmp_path / "a.mp4"
    assert "cannot read" in _refused(str(path))
    path.touch()
    assert "empty" in _refused(str(path))
    path.write_text("dear diary")
    assert "no frame" in _refused(str(path))
    # The header counts frames, but there are none.
    path.write_bytes(clip.read_bytes()[:1500])
    assert "no frame" in _refused(str(path))
    # A codec that does not exist.
    path.write_bytes(clip.read_bytes().replace(b"avc1", b"zzz9"))
    assert "no frame" in _refused(str(path))
    with pytest.raises(UserError, match="camera 97 gives no picture"):
        video.open_source("97")
    assert "cannot read 20240101123000" in _refused("20240101123000")
    assert "gives no picture" in _refused("http://127.0.0.1:9/live")


def test_the_sample_clip():
    clip = video.open_source(None)
    assert next(clip.frames(0.28)).index == 7
    assert clip.count == 200
    frames = list(clip.frames(1.0, 2.0, 5))
    assert [f.time for f in frames] == pytest.approx([1.0, 1.2, 1.4, 1.6, 1.8])
    assert all(f.pixels.shape == (480, 640, 3) for f in frames)
    assert not np.array_equal(frames[0].pixels, frames[1].pixels)


def test_running_ahead_changes_nothing():
    assert list(video.ahead(i * i for i in range(100))) == [
        i * i for i in range(100)
    ]


def test_running_ahead_is_bounded_and_ends_with_the_loop():
    made, closed = [], threading.Event()

    def items():
        try:
            for index in range(1000):
                made.append(index)
                yield index
        finally:
            closed.set()

    chained = video.ahead((item for item in video.ahead(items(), 3)), 3)
    assert next(chained) == 0
    time.sleep(0.3)
    assert len(made) <= 12
    chained.close()
    # The inner generator expression closes what it iterates when collected.
    assert closed.wait(5)


def test_errors_pass_from_thread_to_thread():
    def items():
        yield 1
        raise UserError("the cable is out")

    found = video.ahead(items())
    assert next(found) == 1
    with pytest.raises(UserError, match="the cable is out"):
        next(found)

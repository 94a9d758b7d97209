"""Recordings: replaced files, links, interrupts and errors."""

import numpy as np
import pytest

from samtl.common.errors import UserError
from samtl.faces.media import output, recording, video
from tests.faces.media import clips

FPS = 25


PICTURE = np.zeros((48, 64, 3), np.uint8)


def _write(path, count):
    with recording.Writer(path, FPS) as writer:
        for index in range(count):
            writer.write(PICTURE, index / FPS)
        raise ZeroDivisionError


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*No such file"):
        _write(tmp_path / "nowhere" / "a.mp4", 2000)


def test_after_an_error_the_file_is_complete(tmp_path):
    path = tmp_path / "a.mp4"
    with pytest.raises(ZeroDivisionError):
        _write(path, 30)
    assert len(list(video.Source(str(path)).frames())) == 30


def test_the_target_of_a_link_stays(tmp_path):
    path, other = tmp_path / "a.mp4", tmp_path / "precious.mp4"
    for link in (path.symlink_to, path.hardlink_to):
        other.write_text("precious")
        link(other)
        with pytest.raises(ZeroDivisionError):
            _write(path, 30)
        assert other.read_text() == "precious"
        assert len(list(video.Source(str(path)).frames())) == 30
        path.unlink()
    assert [p.name for p in tmp_path.iterdir()] == ["precious.mp4"]


def _interrupted(path):
    with recording.Writer(path, FPS) as writer:
        writer._set_aside()
        writer._process = writer._encoder((48, 64))
        writer._process.stdin.write(bytes(100))  # of a frame's 9216


def test_without_a_complete_frame_the_existing_file_stays(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("of yesterday")
    _interrupted(path)
    assert path.read_text() == "of yesterday"
    path.write_text("")  # reserves the name
    _interrupted(path)
    assert not list(tmp_path.iterdir())


def test_ffmpeg_that_cannot_be_started(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    path.touch()
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nowhere/ffmpeg")
    with pytest.raises(UserError, match="cannot start /nowhere/ffmpeg: No su"):
        _write(path, 1)
    assert not path.exists()


def _write_until_killed(path):
    picture = np.zeros((480, 640, 3), np.uint8)  # larger than a pipe's buffer
    with recording.Writer(path, FPS) as writer:
        for index in range(200):
            writer.write(picture, index / FPS)
        writer._process.kill()


def test_after_a_kill_of_ffmpeg_the_file_plays(tmp_path):
    path = tmp_path / "a.mp4"
    with pytest.raises(UserError, match="cannot write"):
        _write_until_killed(path)
    assert len(list(video.Source(str(path)).frames())) >= FPS


def test_a_reserved_name_is_taken(tmp_path):
    free = [
        output.OutputPaths(tmp_path, False).reserve("a", ".mp4") for _ in "12"
    ]
    assert [path.name for path in free] == ["a_faces.mp4", "a_faces_2.mp4"]
    again = output.OutputPaths(tmp_path, True).reserve("a", ".mp4")
    assert again == free[0]


# Silence for a second, then a tone.
TONE = ("-f", "lavfi", "-i", "aevalsrc='gt(t,1)*sin(2000*t)':d=3:s=8000")


def _onset(path):
    """Seconds of silence at the start of a video's sound."""
    filled = ("-af", "aresample=async=1:first_pts=0")  # gaps are silence
    words = (
        "-i",
        path,
        *filled,
        "-f",
        "f32le",
        "-ac",
        "1",
        "-ar",
        "8000",
        "pipe:1",
    )
    samples = np.frombuffer(clips.ffmpeg(*words), np.float32)
    return np.flatnonzero(np.abs(samples) > 0.1)[0] / 8000, len(samples) / 8000


@pytest.mark.parametrize("start", [0, 0.5])
@pytest.mark.parametrize(
    "codec", [("a.mp4", "aac"), ("a.mkv", "libvorbis"), ("a.avi", "pcm_s16le")]
)
def test_the_sound_is_that_of_the_frames(tmp_path, start, codec):
    name, encoder = codec
    clip, copy = tmp_path / name, tmp_path / "copy.mp4"
    pattern = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=3")
    clips.ffmpeg(*pattern, *TONE, "-c:a", encoder, clip)
    source = video.Source(str(clip))
    with recording.Writer(copy, FPS, source.sound) as writer:
        for frame in source.frames(start, start + 1.5):
            writer.write(frame.pixels, frame.time)
    assert writer.has_sound
    assert video.Source(str(copy)).sound.codec == "aac"
    onset, duration = _onset(copy)
    assert onset == pytest.approx(1 - start, abs=0.05)
    assert duration == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize("late", ["picture", "sound"])
@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.vob"])
def test_a_track_that_begins_later(tmp_path, name, late):
    clip, copy = tmp_path / name, tmp_path / "copy.mp4"
    pattern = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=3")
    delay, kept = ("-itsoffset", "0.6"), ("-fps_mode", "passthrough")
    if late == "picture":
        clips.ffmpeg(*delay, *pattern, *TONE, "-ar", "32000", *kept, clip)
    else:
        clips.ffmpeg(*pattern, *delay, *TONE, "-ar", "32000", *kept, clip)
    source = video.Source(str(clip))
    with recording.Writer(copy, FPS, source.sound) as writer:
        for frame in source.frames():
            writer.write(frame.pixels, frame.time)
    onset, _ = _onset(copy)
    assert onset == pytest.approx(0.4 if late == "picture" else 1.6, abs=0.1)


def test_without_its_sound_the_video_is_finished(tmp_path):
    path = tmp_path / "a.mp4"
    sound = recording.Sound(f"file:{tmp_path / 'gone.mp4'}", "aac")
    with recording.Writer(path, FPS, sound) as writer:
        writer.write(PICTURE, 0)
    assert not writer.has_sound
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")

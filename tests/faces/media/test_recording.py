"""Recordings: replaced files, links, interrupts and errors."""

import numpy as np
import pytest

from samtl.common.errors import UserError
from samtl.faces.media import output, recording, video

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

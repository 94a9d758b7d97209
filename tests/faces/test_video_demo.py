"""The video demo from its command line, with a stand-in for the network."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import final_video_demo
from samtl.common.errors import UserError
from samtl.faces import detect
from samtl.faces.media import recording, video
from tests.faces import stand_ins
from tests.faces.media import clips


def _picture(index):
    """Two faces that move in opposite directions."""
    x, y = 10 + 3 * index, 250 - 3 * index
    boxes = [(x, 20, x + 50, 80), (y, 140, y + 60, 210)]
    return stand_ins.picture(boxes), boxes


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """50 frames, two seconds."""
    path = tmp_path_factory.mktemp("clip") / "walk.mp4"
    with recording.Writer(path, 25) as writer:
        for index in range(50):
            writer.write(_picture(index)[0], index / 25)
    return path


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """A function that runs the demo in an empty folder."""
    network = stand_ins.network(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(detect, "open", lambda *_, **__: stand_ins.Detector())

    def run(*words):
        words = map(str, words)
        final_video_demo.main([*words, f"--weights={network}"])

    return run


def _frames(path):
    return [frame.pixels for frame in video.Source(str(path)).frames()]


def test_every_frame_is_annotated_and_recorded(demo, clip, tmp_path, capsys):
    demo(clip, "--csv=rows.csv", "--jsonl=rows.jsonl")
    output = tmp_path / "demo_output" / "walk_faces.mp4"
    frames = _frames(output)
    assert len(frames) == 50
    assert frames[0].shape[1] == 320 * 2  # small frames are enlarged
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["frame"] for row in rows] == [i // 2 for i in range(100)]
    assert {row["face"] for row in rows} == {1, 2}
    for row in rows:
        assert row["time"] == pytest.approx(row["frame"] / 25, abs=1e-3)
        middle = (row["box"][0] + row["box"][2]) / 2
        boxes = _picture(row["frame"])[1]
        expected = [(b[0] + b[2]) / 2 for b in boxes]
        assert min(abs(middle - x) for x in expected) < 6
    with (tmp_path / "rows.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [row["face"] for row in table] == [str(r["face"]) for r in rows]
    assert (
        float(table[7]["pose_left"])
        == (rows[7]["labels"]["pose"]["probabilities"]["left"])
    )
    printed = capsys.readouterr().out
    assert "50 frames, 2 faces" in printed
    assert os.path.join("demo_output", "walk_faces.mp4") in printed


def test_the_expected_age_is_that_of_the_smoothed_probabilities(
    demo, clip, tmp_path
):
    stand_ins.network(tmp_path, stand_ins.WITH_AGE)
    demo(clip, "--csv=rows.csv", "--jsonl=rows.jsonl", "--every=10")
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    with (tmp_path / "rows.csv").open(encoding="utf-8") as file:
        header, *table = csv.reader(file)
    assert header[-1] == "age_years"
    for line, row in zip(lines, table, strict=True):
        found = json.loads(line)
        shares = found["labels"]["age"]["probabilities"].values()
        years = sum(p * m for p, m in zip(shares, (1, 17.5, 70), strict=True))
        assert list(found)[-1] == "age_years"
        assert found["age_years"] == pytest.approx(years, abs=0.06)
        assert float(row[-1]) == found["age_years"]


def test_start_end_every_and_max_faces(demo, clip, tmp_path):
    demo(
        *(clip, "--start=0.4", "--end=1.2", "--every=2", "--max_faces=1"),
        *("--jsonl=rows.jsonl", "--detect_every=1", "--smoothing=0"),
    )
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["frame"] for row in rows] == list(range(10, 30, 2))
    # The larger face is the lower one.
    assert all(row["box"][1] > 100 for row in rows)
    source = video.Source(str(tmp_path / "demo_output" / "walk_faces.mp4"))
    assert (source.fps, source.count) == (12.5, 10)


@pytest.mark.parametrize("every", [10, 12, 20])
def test_a_face_stays_one_however_few_frames_are_taken(
    demo, tmp_path, capsys, every
):
    with recording.Writer(tmp_path / "still.mp4", 25) as writer:
        for index in range(100):
            image = stand_ins.picture([(100, 50, 160, 120)])
            writer.write(image, index / 25)
    demo("still.mp4", f"--every={every}", "--jsonl=rows.jsonl")
    taken = len(range(0, 100, every))
    assert f"{taken} frames, 1 face," in capsys.readouterr().out
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert len(lines) == taken


def test_blurred_faces_are_anonymised(demo, clip, tmp_path):
    words = (clip, "--end=0.4", "--max_faces=1", "--min_confidence=0")
    demo(*words, "--output=clear")
    demo(*words, "--output=blurred", "--blur_faces")
    clear, blurred = (
        _frames(tmp_path / folder / "walk_faces.mp4")
        for folder in ("clear", "blurred")
    )
    for index in range(10):
        # The centre of the upper face, which has no labels.
        x, y = 2 * (35 + 3 * index), 2 * 50
        faces = [
            f[index][y - 20 : y + 20, x - 20 : x + 20] for f in (clear, blurred)
        ]
        detail = [
            np.abs(np.diff(face[..., 1].astype(int))).mean() for face in faces
        ]
        assert detail[1] < 0.3 * detail[0]


def test_the_detector_is_thorough_for_blurred_faces(demo, clip, monkeypatch):
    opened = []

    def open_detector(*arguments):
        opened.append(arguments)
        return stand_ins.Detector()

    monkeypatch.setattr(detect, "open", open_detector)
    demo(clip, "--end=0.1")
    demo(clip, "--end=0.1", "--blur_faces")
    assert opened == [(None, 640, False), (None, 1280, True)]


def test_one_frame_lasts_no_longer_than_the_source(demo, clip, tmp_path):
    demo(clip, "--every=100000000")
    source = video.Source(str(tmp_path / "demo_output" / "walk_faces.mp4"))
    assert source.duration == pytest.approx(2, abs=0.01)
    assert len(list(source.frames())) == 1


def test_no_face_is_a_result(demo, tmp_path, capsys):
    with recording.Writer(tmp_path / "empty.mp4", 25) as writer:
        for index in range(6):
            writer.write(stand_ins.picture([]), index / 25)
    demo("empty.mp4", "--csv=rows.csv")
    assert "6 frames, no face" in capsys.readouterr().out
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 1
    assert len(_frames(tmp_path / "demo_output" / "empty_faces.mp4")) == 6


def test_a_broken_source_leaves_the_frames_before(
    demo, clip, tmp_path, capsys, monkeypatch
):
    class Broken(video.Source):
        def frames(self, *arguments):
            for frame in super().frames(*arguments):
                if frame.index == 20:
                    break
                yield frame
            self.is_broken = True

    monkeypatch.setattr(video, "open_source", Broken)
    with pytest.raises(SystemExit) as caught:
        demo(clip)
    assert caught.value.code == 1
    assert "ended too early, after 0.8 s" in capsys.readouterr().err
    assert len(_frames(tmp_path / "demo_output" / "walk_faces.mp4")) == 20


def test_an_error_of_the_writer_is_passed_on(demo, clip, monkeypatch):
    def fail(*_):
        raise UserError("the disk is full")

    monkeypatch.setattr(recording.Writer, "write", fail)
    with pytest.raises(UserError, match="the disk is full"):
        demo(clip)


def test_bad_commands_are_refused(demo, clip, tmp_path):
    for words, message in (
        (("--start=2", "--end=1"), "not after"),
        (("--start=50", "--csv=rows.csv"), "no frame of walk"),
        (("--every=0",), "every"),
        (("--jsonl=walk.jsonl",), "exists"),
        (("--blur_faces", "--detect_every=2"), "omit it with --blur_faces"),
    ):
        (tmp_path / "walk.jsonl").touch()
        with pytest.raises(UserError, match=message):
            demo(clip, *words)
    assert not (tmp_path / "rows.csv").exists()
    with pytest.raises(UserError, match="cannot read"):
        demo("gone.mp4")


def test_without_a_frame_earlier_tables_stay(demo, clip, tmp_path):
    (tmp_path / "rows.csv").write_text("of yesterday")
    words = ("--csv=rows.csv", "--jsonl=rows.jsonl", "--overwrite")
    with pytest.raises(UserError, match="no frame of walk"):
        demo(clip, "--start=50", *words)
    # Nor are tables written if the video cannot be.
    (tmp_path / "demo_output" / "walk_faces.mp4").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*directory"):
        demo(clip, *words)
    assert (tmp_path / "rows.csv").read_text() == "of yesterday"
    assert not (tmp_path / "rows.jsonl").exists()


def test_the_source_is_never_replaced(demo, clip, tmp_path):
    source = tmp_path / "out" / "talk_faces.mp4"
    source.parent.mkdir()
    shutil.copy(clip, source)
    before = source.read_bytes()
    for flag in ("csv", "jsonl"):
        with pytest.raises(UserError, match="is an input"):
            demo(source, f"--{flag}={source}", "--overwrite")
    link = tmp_path / "talk.mp4"
    link.symlink_to(source)
    demo(link, "--output=out", "--overwrite", "--end=0.2")
    assert source.read_bytes() == before
    assert len(_frames(tmp_path / "out" / "talk_faces_2.mp4")) == 5


def test_names_are_reserved(demo, clip, tmp_path, monkeypatch):
    taken = []
    expected = final_video_demo._expected

    def other_program(*arguments):
        # After the name is chosen and before the first frame.
        taken.append(tmp_path / "demo_output" / "walk_faces.mp4")
        assert not taken[-1].exists()
        taken[-1].touch()
        return expected(*arguments)

    monkeypatch.setattr(final_video_demo, "_expected", other_program)
    demo(clip, "--end=0.2")
    assert taken[-1].stat().st_size == 0
    assert len(_frames(tmp_path / "demo_output" / "walk_faces_2.mp4")) == 5


def test_there_is_no_file_before_the_first_frame(
    demo, clip, tmp_path, monkeypatch
):
    there = []

    class Detector(stand_ins.Detector):
        def __call__(self, image):
            there.append(list((tmp_path / "demo_output").glob("*.mp4")))
            return super().__call__(image)

    monkeypatch.setattr(detect, "open", lambda *_, **__: Detector())
    demo(clip, "--end=0.2")
    assert there[0] == []


@pytest.mark.skipif(os.name != "posix", reason="/dev/full")
@pytest.mark.parametrize("flag", ["csv", "jsonl"])
def test_tables_that_cannot_be_written(demo, clip, flag):
    with pytest.raises(UserError, match="cannot write /dev/full: No space"):
        demo(clip, f"--{flag}=/dev/full")


ALONE = """
import signal, sys, time
# A background job of a shell ignores Ctrl-C by default.
signal.signal(signal.SIGINT, signal.default_int_handler)
import final_video_demo
from tests.faces import stand_ins
from tests.faces.media import clips
from samtl.common.errors import run_script
from samtl.faces import detect

class Slow(stand_ins.Detector):
    def __call__(self, image):
        time.sleep(seconds)
        return []

seconds = float(sys.argv.pop(1))
detect.open = lambda *_: Slow()
run_script(final_video_demo.main)
heavy = {"keras", "tensorflow", "torch", "jax", "pandas", "matplotlib"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


def _start(tmp_path, sleep, *words):
    network = stand_ins.network(tmp_path)
    words = (f"--weights={network}", f"--output={tmp_path}", *words)
    return subprocess.Popen(
        [sys.executable, "-c", ALONE, str(sleep), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_sample_clip_without_keras(tmp_path):
    process = _start(tmp_path, 0, "--end=0.4")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "10 frames" in out
    assert len(_frames(tmp_path / "sample_clip_faces.mp4")) == 10


@pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupt_or_kill_leaves_a_playable_file(tmp_path, kind):
    process = _start(tmp_path, 0.1, "--detect_every=1")
    path = tmp_path / "sample_clip_faces.mp4"
    deadline = time.monotonic() + 60
    while not path.exists() or path.stat().st_size == 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)  # a few frames
    process.send_signal(kind)
    _, err = process.communicate(timeout=60)
    if kind == signal.SIGINT:
        assert process.returncode == 130, err
        assert "stopped" in err
    else:
        # FFmpeg still runs and finishes the file.
        while b"mfra" not in path.read_bytes():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert 1 <= len(_frames(path)) < 200


def test_sound_is_kept_unless_muted(demo, tmp_path):
    words = ("-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac")
    clips.ffmpeg(*clips.PATTERN, *words, tmp_path / "talk.mp4")
    demo("talk.mp4", "--end=0.1")
    demo("talk.mp4", "--end=0.1", "--mute", "--output=silent")
    for folder, codec in (("demo_output", "aac"), ("silent", None)):
        copy = video.Source(str(tmp_path / folder / "talk_faces.mp4"))
        assert (
            copy.sound is None if codec is None else copy.sound.codec == codec
        )


def test_several_videos_share_the_tables(demo, clip, tmp_path, capsys):
    folder = tmp_path / "trip"
    folder.mkdir()
    for name in ("b.mp4", "a.mp4", "._a.mp4"):
        shutil.copy(clip, folder / name)
    (folder / "c.mov").write_text("dear diary")
    words = ("--end=0.1", "--csv=rows.csv", "--jsonl=rows.jsonl")
    with pytest.raises(SystemExit) as caught:
        demo("trip", clip, *words)
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert "1 of 4 failed:" in error
    assert "c.mov has no frame" in error
    names = [path.name for path in (tmp_path / "demo_output").iterdir()]
    expected = ["a_faces.mp4", "b_faces.mp4", "walk_faces.mp4"]
    assert sorted(names) == expected
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    files = [os.path.join("trip", "a.mp4"), os.path.join("trip", "b.mp4")]
    files.append(str(clip))
    assert [row["file"] for row in rows] == [f for f in files for _ in range(6)]
    assert sorted(row["face"] for row in rows) == [1] * 9 + [2] * 9
    with (tmp_path / "rows.csv").open(encoding="utf-8") as file:
        header, *table = csv.reader(file)
    assert header[:4] == ["file", "frame", "time", "face"]
    assert [row[0] for row in table] == [row["file"] for row in rows]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no video in empty"):
        demo("empty")


@pytest.mark.parametrize(
    ("address", "cure"),
    [
        ("rtsp://admin:secret@127.0.0.1:9/live", "in VLC or ffplay"),
        ("http://127.0.0.1:9/live", "in a browser"),
    ],
)
def test_advice_fits_the_kind_of_source(demo, address, cure):
    with pytest.raises(UserError, match=cure) as caught:
        demo(address)
    assert "secret" not in str(caught.value)


def test_advice_fits_the_kind_of_file(demo, clip, tmp_path):
    clips.ffmpeg(*clips.PATTERN, tmp_path / "whole.mp4")
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    for name in ("sound.wav", "sound.m4a"):
        clips.ffmpeg("-f", "lavfi", "-i", "sine=d=1", tmp_path / name)
    Image.new("RGB", (64, 48)).save(tmp_path / "photo.jpg")
    (tmp_path / "text.avi").write_text("dear diary")
    for name, cause in (
        ("cut.mp4", "was cut before its index; get the file again"),
        ("sound.wav", "format is that of sound"),
        ("sound.m4a", "has no frame but sound"),
        ("photo.jpg", "is an image: python final_image_demo.py"),
        ("text.avi", r"unknown codec \(.*Invalid data"),
    ):
        with pytest.raises(UserError, match=cause):
            demo(tmp_path / name)
    with pytest.raises(UserError, match=r"duration in seconds is 2\.0"):
        demo(clip, "--start", 50)

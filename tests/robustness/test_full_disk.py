"""Disks that fill up during writes, and read-only folders.

The limit is the operating system's on the size of a file: writes fail halfway,
in compiled code and in FFmpeg, too. Afterwards, with room, the same command
does its work as if nothing had happened.
"""

import contextlib
import errno
import json
import sys
import tempfile

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)

import final_image_demo
import final_video_demo
from samtl import networks
from samtl.common import files
from samtl.common.errors import UserError, run_script
from samtl.data import images
from samtl.data.tasks import POSE, Task
from samtl.faces import detect
from samtl.faces.media import output, recording, video
from samtl.runs import plots, run_folder
from tests import tiny
from tests.faces import stand_ins
from tests.robustness import small_set
from tests.robustness.trials import attempt, case, check_message, full_disk

SIZES = (0, 1, 100, 1000, 5000)


@contextlib.contextmanager
def refused():
    """A case: the block raises a UserError with cause and cure."""
    with case(), pytest.raises(UserError) as caught:
        yield
    check_message(caught.value)


def _write_text(path):
    with files.write(path) as temporary:
        temporary.write_text("x" * 10_000)


def _write_memory(path):
    with files.write(path) as temporary:
        np.savez(temporary, array=np.zeros(10_000))


def _write_table(path):
    frame = pd.DataFrame({"number": np.arange(3000)})
    with files.write(path) as temporary:
        frame.to_csv(temporary)


def _write_picture(path):
    pixels = np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)
    output.write_image(path, pixels)


def _write_figure(path):
    rng = np.random.default_rng(0)
    plots.confusion(path, rng.integers(9, size=(9, 9)), list("abcdefghi"), "")


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (_write_text, "text.json"),
        (_write_memory, "state.npz"),
        (_write_table, "table.csv"),
        (_write_picture, "picture.png"),
        (_write_picture, "picture.jpg"),
        (_write_figure, "figure.png"),
    ],
)
def test_a_file_is_whole_or_not_there(tmp_path, write, name):
    path = tmp_path / name
    for size in SIZES:
        with full_disk(size), refused():
            write(path)
        assert list(tmp_path.iterdir()) == []
    write(path)
    whole = path.read_bytes()
    with full_disk(1000), refused():
        write(path)
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_folders_that_cannot_be_written(tmp_path, monkeypatch, number):
    def fail(**_):
        raise OSError(number, "not here")

    monkeypatch.setattr(tempfile, "mkstemp", fail)
    for write in (_write_text, _write_memory, _write_picture):
        with refused():
            write(tmp_path / "sub" / "file.png")
    assert list((tmp_path / "sub").iterdir()) == []


def test_a_folder_where_a_file_is_to_be(tmp_path):
    (tmp_path / "file.json").mkdir()
    for write in (_write_text, _write_memory):
        with refused():
            write(tmp_path / "file.json")
    assert list(tmp_path.iterdir()) == [tmp_path / "file.json"]


def test_errors_without_words_have_a_name(tmp_path):
    with (
        pytest.raises(UserError, match="TimeoutError; choose"),
        files.write(tmp_path / "file"),
    ):
        raise TimeoutError


def test_names_that_are_not_utf_8(tmp_path):
    with pytest.raises(UserError, match=r"caf.* is not valid UTF-8; rename"):
        files.write_json(tmp_path / "x.json", {"path": "/a/caf\udce9/b"})
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_system_end_in_one_line(capsys):
    for number in (errno.ENOSPC, errno.EROFS, errno.ENAMETOOLONG):

        def main(number=number):
            raise OSError(number, "cause", "name")

        with case():
            with pytest.raises(SystemExit) as caught:
                run_script(main)
            assert caught.value.code == 2
            assert capsys.readouterr().err.startswith("error: name: cause; ")


def test_checkpoints_and_states(tmp_path):
    network = networks.build("mini_xception", [Task("pose", POSE)])
    for size in (*SIZES, 10**5):
        with full_disk(size), refused(), files.write(tmp_path / "x.keras") as p:
            network.save(p)
    assert list(tmp_path.iterdir()) == []
    rows = [{"round": 1, "loss": 0.5}]
    for size in (0, 10, 60):
        with full_disk(size), refused():
            run_folder.write_metrics(tmp_path, rows)
    run_folder.write_metrics(tmp_path, rows)
    assert len(pd.read_csv(tmp_path / "metrics.csv")) == 1
    rows.append({"round": 2, "loss": 0.25})
    log = tmp_path / "events.out.tfevents.metrics"
    for more in (0, 5):
        # Room for the table, but not for another record.
        with full_disk(log.stat().st_size + more), refused():
            run_folder.write_metrics(tmp_path, rows)
    run_folder.write_metrics(tmp_path, rows)
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("training/loss")
    assert [event.step for event in events] == [1, 2]
    assert [event.value for event in events] == [0.5, 0.25]


def test_the_cache_of_decoded_images(tmp_path):
    table = tiny.dataset(tmp_path, "toy", ["pose"], (8, 3, 3))
    for size in (0, 1000, 14 * 24 * 24 - 1):
        with full_disk(size), refused():
            images.open_splits(table, (24, 24, 1))
    assert list((tmp_path / "cache").iterdir()) == []
    assert len(images.open_splits(table, (24, 24, 1))["train"]) == 8


def test_a_preparation_is_resumed_when_there_is_room(tmp_path):
    source = small_set.source(tmp_path)
    whole = small_set.prepare(source, tmp_path / "whole")
    for size in (0, 300, 1000, 2000, 4000, 8000):
        data_dir = tmp_path / f"data{size}"
        with full_disk(size):
            attempt(
                lambda data_dir=data_dir: small_set.prepare(source, data_dir)
            )
        with case():
            assert small_set.prepare(source, data_dir) == whole


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """Arguments of the demos besides their input."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(detect, "open", lambda *_, **__: stand_ins.Detector())
    return [f"--weights={stand_ins.network(tmp_path)}", "--overwrite"]


def test_the_image_demo(demo, tmp_path, capsys):
    picture = stand_ins.picture([(10, 10, 60, 80)])
    output.write_image(tmp_path / "a.png", picture)
    words = ["a.png", "--csv=a.csv", "--json=a.json", *demo]
    # The picture does not fit; the results fit and report the error.
    for size, code in ((0, 2), (100, 2), (10_000, 1)):
        with full_disk(size), case(), pytest.raises(SystemExit) as caught:
            run_script(lambda: final_image_demo.main(words))
        assert caught.value.code == code
        assert "; choose a writable folder" in capsys.readouterr().err
        assert list((tmp_path / "demo_output").iterdir()) == []
        assert (tmp_path / "a.json").exists() == (code == 1)
    (image,) = json.loads((tmp_path / "a.json").read_text())["images"]
    assert "cannot write" in image["error"]
    run_script(lambda: final_image_demo.main(words))
    assert len(list((tmp_path / "demo_output").iterdir())) == 1


def test_the_video_demo(demo, tmp_path, monkeypatch, capsys):
    words = ["--end=0.4", "--jsonl=a.jsonl", *demo]
    for size in (0, 100, 10_000):
        with full_disk(size), case(), pytest.raises(SystemExit) as caught:
            run_script(lambda: final_video_demo.main(words))
        assert caught.value.code == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: ")
        assert "; " in error
    run_script(lambda: final_video_demo.main(words))
    path = tmp_path / "demo_output" / "sample_clip_faces.mp4"
    assert video.Source(str(path)).count == 10


def test_a_recording_that_fills_the_disk_plays(tmp_path):
    path = tmp_path / "a.mp4"
    rng = np.random.default_rng(0)
    with full_disk(300_000), refused(), recording.Writer(path, 25) as writer:
        for index in range(500):
            noise = rng.integers(0, 256, (96, 128, 3), np.uint8)
            writer.write(noise, index / 25)
    with case():
        assert len(list(video.Source(str(path)).frames())) >= 25


def test_without_room_for_an_index_the_file_plays(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    with case(), recording.Writer(path, 25) as writer:
        for index in range(50):
            writer.write(np.full((48, 64, 3), 4 * index, np.uint8), index / 25)
        monkeypatch.setattr(tempfile, "mkstemp", _no_room)
    assert len(list(video.Source(str(path)).frames())) == 50
    assert list(tmp_path.iterdir()) == [path]


def _no_room(**_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.skipif(sys.platform != "linux", reason="there is /dev/full")
def test_a_full_disk_as_simulated_by_linux(demo, capsys):
    words = ["--end=0.2", "--jsonl=/dev/full", *demo]
    with case(), pytest.raises(SystemExit) as caught:
        run_script(lambda: final_video_demo.main(words))
    assert caught.value.code == 2
    assert "No space left on device; " in capsys.readouterr().err

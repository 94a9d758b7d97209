"""A killed preparation is resumed; a finished one is not repeated."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from data_preparation import mtfl, staging
from samtl.common import flags
from samtl.common.errors import UserError

ROOT = Path(__file__).parents[2]
FACES = 700


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """An MTFL of one photo under many names, each with landmarks elsewhere."""
    folder = tmp_path_factory.mktemp("raw")
    rng = np.random.default_rng(0)
    photo = cv2.resize(
        rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), (400, 400)
    )
    (folder / "web").mkdir()
    cv2.imwrite(str(folder / "photo.jpg"), photo)
    lines = []
    for index in range(FACES):
        os.link(folder / "photo.jpg", folder / "web" / f"{index}.jpg")
        x, y = 100 + index % 100, 120 + index // 7
        points = [x, x + 80, x + 40, x, x + 80, y, y, y + 40, y + 80, y + 80]
        words = [f"web\\{index}.jpg", *points, index % 2 + 1, 1, 1, 3]
        lines.append(" ".join(map(str, words)))
    (folder / "training.txt").write_text("\n".join(lines[100:]))
    (folder / "testing.txt").write_text("\n".join(lines[:100]))
    return folder


def prepare(source, data_dir, *more):
    parser = flags.parser("", None)
    mtfl.add_arguments(parser)
    words = [f"--source={source}", f"--data_dir={data_dir}", *more]
    mtfl.prepare(parser.parse_args(words))


def tree(folder):
    """{path: content} of all files below."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def stamps(folder):
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    """The data folder of an undisturbed run."""
    data_dir = tmp_path_factory.mktemp("whole")
    prepare(source, data_dir, "--jobs=1")
    return data_dir


def killed(source, data_dir):
    """Start a run and kill it while it crops; returns its finished crops."""
    words = ["-m", "data_preparation", "mtfl", f"--source={source}"]
    run = subprocess.Popen(
        [sys.executable, *words, f"--data_dir={data_dir}", "--jobs=2"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    partial = data_dir / "db" / ".mtfl.partial"
    while run.poll() is None:
        journal = partial / "journal"
        if journal.exists() and len(journal.read_text().splitlines()) > 60:
            break
        time.sleep(0.002)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    lines = (partial / "journal").read_text().splitlines(keepends=True)[1:]
    assert 60 <= len(lines) < FACES
    assert not (data_dir / "db" / "mtfl").exists()
    names = [json.loads(line[9:])[0] for line in lines if line.endswith("\n")]
    return {n: (partial / "crops" / n).stat().st_mtime_ns for n in names}


def test_a_killed_run_is_resumed_and_ends_with_the_same_files(
    source, whole, tmp_path, capsys
):
    done = killed(source, tmp_path)
    prepare(source, tmp_path)
    assert "resuming after" in capsys.readouterr().out
    assert tree(tmp_path) == tree(whole)
    now = stamps(tmp_path / "db" / "mtfl")
    assert {name: now[name] for name in done} == done


def test_two_preparations_of_one_set_do_not_run_at_once(source, tmp_path):
    with staging.lock("mtfl", tmp_path):
        with pytest.raises(UserError, match="another preparation of mtfl is"):
            prepare(source, tmp_path)
        with staging.lock("utkface", tmp_path):
            pass
    assert list((tmp_path / "db").iterdir()) == []


def test_a_lock_can_be_waited_for_even_after_a_failure(tmp_path):
    ends = []

    def wait():
        with staging.lock("toy", tmp_path, is_patient=True):
            ends.append("second")

    second = threading.Thread(target=wait)
    with contextlib.suppress(ZeroDivisionError), staging.lock("toy", tmp_path):
        second.start()
        second.join(0.1)
        ends.append("first")
        raise ZeroDivisionError
    second.join()
    assert ends == ["first", "second"]
    assert list((tmp_path / "db").iterdir()) == []


def arguments(tmp_path, **changes):
    values = {"source": tmp_path, "data_dir": tmp_path / "data"}
    parser = flags.parser("", None)
    mtfl.add_arguments(parser)
    args = parser.parse_args([f"--{k}={v}" for k, v in values.items()])
    return type(args)(**{**vars(args), **changes})


def crop_of(work, name, content=b"whole"):
    (work.crops / name).write_bytes(content)
    return {name: staging.Crop("digest", 2**64 - 1, len(content), "")}


def test_half_written_crops_and_lines_do_not_count(tmp_path):
    args = arguments(tmp_path)
    work = staging.Staging("toy", args, {"labels": "x"})
    for name in ("a.png", "b.png", "c.png"):
        work.note(crop_of(work, name))
    work.note({"d.png": staging.Crop("", 0, 0, "too dark")})
    (work.crops / "a.png").write_bytes(b"half")
    (work.crops / "b.png").unlink()
    journal = tmp_path / "data" / "db" / ".toy.partial" / "journal"
    journal.write_text(journal.read_text() + '["e.png", "dig')
    again = staging.Staging("toy", args, {"labels": "x"})
    assert again.done == {name: work.done[name] for name in ("c.png", "d.png")}
    again.note(crop_of(again, "e.png"))
    assert set(staging.Staging("toy", args, {"labels": "x"}).done) == {
        "c.png",
        "d.png",
        "e.png",
    }


def test_crops_of_another_origin_are_removed(tmp_path):
    args = arguments(tmp_path)
    work = staging.Staging("toy", args, {"labels": "x"})
    work.note(crop_of(work, "a.png"))
    other = staging.Staging("toy", args, {"labels": "y"})
    assert other.done == {}
    assert list(other.crops.iterdir()) == []


def test_a_journal_of_other_content_is_removed(tmp_path):
    folder = tmp_path / "data" / "db" / ".toy.partial"
    folder.mkdir(parents=True)
    (folder / "journal").write_text("\0\0\n")
    assert staging.Staging("toy", arguments(tmp_path), {}).done == {}


def test_a_second_run_writes_nothing(source, whole, capsys, monkeypatch):
    before = stamps(whole)
    monkeypatch.setattr("data_preparation.crops.cut", None)
    monkeypatch.chdir(source)
    for spelling in (source, Path()):
        prepare(spelling, whole, "--jobs=2")
        assert capsys.readouterr().out == f"mtfl is up to date in {whole}\n"
    assert stamps(whole) == before


def touch(path):
    os.utime(path, (0, 0))


def remove(path):
    path.unlink()


def add_line(path):
    text = path.read_text()
    path.write_text(f"{text}\n{text.splitlines()[0].replace('.jpg', 'x.jpg')}")


@pytest.mark.parametrize(
    ("change", "words", "message"),
    [
        ((), ["--margin=0.5"], "--margin was 0.7 and is 0.5"),
        ((), ["--seed=1", "--size=64"], "--seed was 0 and is 1, --size was"),
        ((touch, "raw/web/3.jpg"), [], "the images in --source have changed"),
        ((add_line, "raw/testing.txt"), [], "the labels in --source have"),
        ((remove, "data/db/mtfl/web/9.jpg"), [], "699 of 700 crops are there"),
    ],
)
def test_a_changed_origin_is_reported_and_changes_nothing(
    source, whole, tmp_path, change, words, message
):
    subprocess.run(["cp", "-a", source, tmp_path / "raw"], check=True)
    subprocess.run(["cp", "-a", whole, tmp_path / "data"], check=True)
    if change:
        function, path = change
        function(tmp_path / path)
    before = stamps(tmp_path / "data")
    with pytest.raises(UserError, match=message) as caught:
        prepare(tmp_path / "raw", tmp_path / "data", *words)
    assert "give --overwrite to replace it" in str(caught.value)
    assert stamps(tmp_path / "data") == before


def test_sets_without_an_origin_are_kept(source, whole, tmp_path):
    subprocess.run(["cp", "-a", whole, tmp_path / "data"], check=True)
    path = tmp_path / "data" / "db" / "mtfl.json"
    description = json.loads(path.read_text())
    del description["origin"]
    path.write_text(json.dumps(description))
    before = tree(tmp_path / "data")
    with pytest.raises(UserError, match="its JSON does not name its origin"):
        prepare(source, tmp_path / "data")
    assert tree(tmp_path / "data") == before

"""Two processes on one run, one set, one comparison: never a mixed result."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from samtl.common import files, locks
from samtl.common.errors import UserError
from samtl.runs import run_folder
from tests.robustness.trials import case, check_message

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from samtl.common import locks
locks.acquire(Path(sys.argv[1]), "x", "y")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock tmp_path/lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path / "lock"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path, holder):
    path = tmp_path / "lock"
    with case(), pytest.raises(UserError) as error:
        locks.acquire(path, "it is in use", "wait")
    check_message(error.value)
    assert f"(process {holder.pid} on " in str(error.value)
    holder.kill()
    holder.wait()
    with case(), locks.held(path, "it is in use", "wait"):
        assert f"process {os.getpid()} on " in locks._holder(path)
    assert not list(tmp_path.iterdir())


def test_no_two_hold_a_lock_whose_file_comes_and_goes(tmp_path):
    path, inside, most = tmp_path / "lock", [], []

    def work():
        for _ in range(25):
            with locks.held(path, None):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.0005)
                inside.pop()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with case():
        assert len(most) == 100
        assert max(most) == 1
    assert not list(tmp_path.iterdir())


def test_leftovers_of_killed_writers_are_swept(tmp_path):
    keep = [
        "args.json",
        ".args.json",
        ".x.settings.json",
        ".tmp",
        ".a.tmp.json",
    ]
    for name in keep:
        (tmp_path / name).touch()
    with files.write(tmp_path / "curves.png") as path:
        left = path.name
    for name in (left, ".state.12345678.tmp.npz", ".a.b.abcd_fgh.tmp"):
        (tmp_path / name).touch()
    (tmp_path / ".moods.abcdefgh.tmp.csv").touch()
    files.sweep(tmp_path, "moods.")
    assert left in os.listdir(tmp_path)
    files.sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([*keep, "curves.png"])


def test_a_run_is_held_by_one_process(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    code = HOLDER.replace('Path(sys.argv[1]), "x", "y"', "Path(sys.argv[1])")
    code = code.replace("locks.acquire", "run_folder.hold").replace(
        "common import locks", "runs import run_folder"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, run], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout.readline() == b"held\n"
        for start in (
            lambda: run_folder.hold(run),
            lambda: run_folder.create("", "s", ["a"], "m", 0, run),
        ):
            with case(), pytest.raises(UserError, match="in use") as error:
                start()
            assert str(other.pid) in str(error.value)
    finally:
        other.kill()
        other.wait()
    with case():  # what the killed one has left does not count
        assert run_folder.create("", "s", ["a"], "m", 0, run) == run
    run_folder.release(run)
    assert not list(run.iterdir())


def test_a_resume_is_recorded_and_changes_are_told(tmp_path, capsys):
    run_folder.write_args(tmp_path, {"images_fingerprint": {"a": ["1"]}})
    run_folder.go_on(tmp_path, {"a": ["1"]})
    assert not capsys.readouterr().err
    path = tmp_path / "args.json"
    saved = files.read_json(path)
    assert len(saved["resumed"]) == 1
    saved["resumed"][0]["commit"] = {"id": "f" * 40, "dirty": False}
    saved["resumed"][0]["backend"] = "abacus"
    files.write_json(path, saved, is_sealed=True)
    run_folder.go_on(tmp_path, {"a": ["2"], "b": ["3"]})
    warning = capsys.readouterr().err
    assert len(warning.splitlines()) == 1
    for part in ("commit fffffff, now", "backend abacus, now", "images of a"):
        assert part in warning
    saved = files.read_json(path)
    assert len(saved["resumed"]) == 2
    assert len(run_folder.commits(saved)) == 2
    assert json.loads(path.read_text())["checksum"]

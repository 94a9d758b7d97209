"""Run folders: their names, and what a run began with."""

import json
import subprocess

import keras
import numpy as np
import pytest

from samtl.common.errors import UserError
from samtl.runs import run_folder


def test_create_names_the_folder(tmp_path):
    run = run_folder.create(tmp_path, "ALTERNATIVE_EP", ["a", "b"], "hard", 3)
    assert run.is_dir()
    assert run.parent == tmp_path / "ALTERNATIVE_EP" / "a+b"
    moment, _, rest = run.name.partition("-hard-")
    assert rest == "seed3"
    assert len(moment) == len("20200101-000000")


def test_runs_of_the_same_second_have_folders_of_their_own(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(run_folder.time, "strftime", lambda _: "now")
    found = [run_folder.create(tmp_path, "s", ["a"], "m", 0) for _ in range(3)]
    assert [run.name for run in found] == [
        "now-m-seed0",
        "now-m-seed0-2",
        "now-m-seed0-3",
    ]


def test_create_takes_an_empty_folder_as_given(tmp_path):
    run = tmp_path / "mine"
    run.mkdir()
    assert (
        run_folder.create(tmp_path, "s", ["a"], "m", 0, run_dir=str(run)) == run
    )


def test_create_refuses_a_folder_in_use(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(UserError, match=r"not empty.*--resume"):
        run_folder.create("runs", "s", ["a"], "m", 0, run_dir=tmp_path)
    assert (tmp_path / "result.json").read_text() == "{}"


def test_create_refuses_an_impossible_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for run_dir in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserError, match="--run_dir"):
            run_folder.create("runs", "s", ["a"], "m", 0, run_dir=run_dir)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for root in (tmp_path / "file", tmp_path / "link"):
        with pytest.raises(UserError, match="--runs"):
            run_folder.create(root, "s", ["a"], "m", 0)


def test_args_come_back(tmp_path):
    args = {"epoch": 3, "data_dir": tmp_path, "weights": None, "flag": True}
    run_folder.write_args(tmp_path, args)
    assert run_folder.read_args(tmp_path) == args | {"data_dir": str(tmp_path)}
    saved = json.loads((tmp_path / "args.json").read_text())
    assert saved["backend"] == keras.backend.backend()
    assert saved["versions"]["keras"] == keras.__version__
    assert saved["versions"]["numpy"] == np.__version__
    assert saved["versions"][saved["backend"]]


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_a_folder_without_args_is_not_a_run(tmp_path, text):
    if text is not None:
        (tmp_path / "args.json").write_text(text)
    with pytest.raises(UserError, match="not the folder of a run"):
        run_folder.read_args(tmp_path)


def test_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, "REPOSITORY", tmp_path)
    assert run_folder._commit() is None

    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        return subprocess.run(
            ["git", *identity, *words],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    git("init")
    assert run_folder._commit() is None  # nothing committed yet
    git("commit", "--allow-empty", "-m", "start")
    head = git("rev-parse", "HEAD")
    assert run_folder._commit() == {"id": head, "dirty": False}
    (tmp_path / "new.py").write_text("")
    assert run_folder._commit() == {"id": head, "dirty": True}

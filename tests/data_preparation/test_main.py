"""The command line of data_preparation."""

import subprocess
import sys
from pathlib import Path

import pytest

from data_preparation import __main__ as command
from samtl.common.errors import UserError
from tests.robustness import small_set

ROOT = Path(__file__).parents[2]


def test_without_a_name_the_datasets_are_listed(capsys):
    command.main([])
    shown = capsys.readouterr().out
    for name, module in command.DATASETS.items():
        assert f"{name}: {module.DATASET.title}" in " ".join(shown.split())
    assert "python -m data_preparation ferplus --source FOLDER" in shown
    assert "python -m data_preparation synthetic\n" in shown


@pytest.mark.parametrize("name", command.DATASETS)
def test_every_dataset_has_its_own_help(name, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main([name, "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert f"python -m data_preparation {name}" in shown
    assert command.DATASETS[name].__doc__.strip() in shown
    assert "--overwrite" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_help_of_photo_datasets_shows_the_files(capsys):
    for name, file in (("Fer+", "fer2013new.csv"), ("mtfl", "training.txt")):
        with pytest.raises(SystemExit):
            command.main([name, "--help"])
        assert file in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["faces"], "'faces' is not a dataset; give one of synthetic, "),
        (["--source=x", "mtfl"], "give one of"),
        (["mtfl"], "--source"),
        (["mtfl", "--source=x", "--margin=-1"], "--margin"),
        (["mtfl", "--source=x", "--size=0"], "--size"),
        (["ferplus", "--source=x", "--side=3"], "--side"),
        (["ferplus", "--source=x"], "--source=x is not a directory"),
    ],
)
def test_mistakes_are_one_line(words, message):
    with pytest.raises(UserError) as caught:
        command.main(words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_module_exits_with_2_and_one_line():
    words = [sys.executable, "-m", "data_preparation", "mtfl", "--source=x"]
    done = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: --source=x is not a directory")


def test_a_cluster_writes_the_same_files(tmp_path, scheduler, monkeypatch):
    source = small_set.source(tmp_path, count=100)
    (source / "25_0_0_1.jpg.chip.jpg").write_bytes(b"no image")
    here = small_set.prepare(source, tmp_path / "here")
    # The workers were started in another folder.
    monkeypatch.chdir(tmp_path)
    source, there = Path("UTKFace"), Path("there")
    there = small_set.prepare(source, there, f"--scheduler={scheduler}")
    assert here.keys() == there.keys()
    assert "utkface.csv" in here
    for name, content in here.items():
        assert there[name] == content, name


def test_the_source_may_hold_the_folder_of_the_archive(tmp_path, monkeypatch):
    (tmp_path / "MTFL").mkdir()
    found = []
    monkeypatch.setattr(command.mtfl, "prepare", found.append)
    command.main(["mtfl", f"--source={tmp_path}"])
    assert found[0].source == tmp_path / "MTFL"

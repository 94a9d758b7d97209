"""The commands of docs/own_data.md, on drawn digits and smiles."""

import importlib
import json
import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

import compare
from data_preparation import __main__ as preparation
from samtl.cli import command_line
from samtl.data import tables
from samtl.data.tasks import Task
from samtl.runs import run_folder
from tests import quick

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "own_data.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
    for line in block.splitlines()
]
PREPARATION = [c for c in COMMANDS if "data_preparation" in c]
SCRIPTS = [c for c in COMMANDS if "data_preparation" not in c]


def write(path, text, seed):
    """Write an image with a text on it."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = rng.integers(160, 256, (64, 64, 3), dtype=np.uint8)
    place = (int(rng.integers(2, 20)), int(rng.integers(40, 60)))
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 1.5, (0, 0, 0), 2)
    cv2.imwrite(str(path), image)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with the reader's images, and the prepared sets in data/."""
    desk = tmp_path_factory.mktemp("desk")
    for digit in range(10):
        for index in range(3):
            path = desk / "digits" / str(digit) / f"{index}.png"
            write(path, str(digit), 10 * digit + index)
    rows = ["path,smile,glasses,subject"]
    for index in range(30):
        name = f"{2019 + index % 2}/{index}.jpg"
        write(desk / "photos" / name, ":)" if index % 3 else ":(", 200 + index)
        smile = ("no", "yes", "yes")[index % 3] if index < 24 else ""
        rows.append(f"{name},{smile},{index % 2},person {index // 2}")
    table = desk / "photos" / "labels.csv"
    table.write_text("\n".join(rows), encoding="utf-8")
    for index in range(12):
        write(desk / "album" / f"{index}.png", ":|", 300 + index)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(desk)
        for command in PREPARATION:
            preparation.main([*shlex.split(command)[3:]])
    return desk


def test_the_page_has_commands():
    assert len(PREPARATION) == 5
    assert len(SCRIPTS) == 7


def test_digits_become_a_dataset(desk):
    table = tables.read("digits", desk / "data")
    classes = tuple(map(str, range(10)))
    assert table.tasks == {"digit": Task("digit", classes, can_flip=False)}
    for split in tables.SPLITS:
        # Three of each digit: one for every split.
        assert sorted(table.split(split).labels("digit")) == list(range(10))
    assert (desk / "data" / "db" / "digits.check" / "report.json").exists()


def test_smiles_become_a_dataset(desk):
    table = tables.read("smiles", desk / "data")
    assert table.tasks == {
        "smile": Task("smile", ("no", "yes")),
        "glasses": Task("glasses", ("0", "1")),
    }
    assert len(table) == 30
    assert table.is_labelled("smile").sum() == 24
    assert table.is_labelled("glasses").all()
    only = tables.read("smiles_only", desk / "data")
    assert list(only.tasks) == ["smile"]


def test_an_album_becomes_a_pool(desk):
    table = tables.read("album", desk / "data")
    assert table.tasks == {}
    assert set(table.rows["split"]) == {"train"}


@pytest.mark.parametrize("command", SCRIPTS)
def test_training_commands_are_parsed(command, monkeypatch):
    _, script, *words = shlex.split(command)
    parser = importlib.import_module(Path(script).stem).parser()
    defaults = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(parser.parse_args([])).items()
    }
    monkeypatch.setattr(run_folder, "read_args", lambda run: defaults)
    command_line.parse(parser, words)


def test_the_plan_lists_its_runs(desk, monkeypatch, capsys):
    (plan,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    (desk / "own.toml").write_text(plan, encoding="utf-8")
    monkeypatch.chdir(desk)
    assert compare.main(["--plan=own.toml", "--dry_run"]) == 0
    shown = capsys.readouterr().out
    # Two tasks alone, jointly, and alternating: three seeds each.
    assert shown.count("python ") == 12
    assert "--dataset=smiles --task_type=smile" in shown


def test_the_training_commands_run(desk, monkeypatch):
    """Of the page, one round each and with a tiny network."""
    quick.shrink(monkeypatch)
    monkeypatch.chdir(desk)
    trained = [c for c in SCRIPTS if "--epoch" in c]
    assert len(trained) == 3
    for number, command in enumerate(trained):
        _, script, *words = shlex.split(command)
        words += ["--epoch=1", f"--run_dir=run{number}", "--cluster_k=1"]
        importlib.import_module(Path(script).stem).main(words)
    results = [
        json.loads((desk / f"run{number}" / "result.json").read_text())
        for number in range(3)
    ]
    tasks = [set(result["tasks"]) for result in results]
    assert tasks == [{"smile"}, {"smile", "digit"}, {"smile", "digit"}]
    labels = json.loads((desk / "run1" / "labels.json").read_text())
    assert labels["no_flip"] == ["digit"]

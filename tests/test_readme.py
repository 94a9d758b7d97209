"""Every command of the README is real: the scripts' own parsers read it."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from data_preparation import __main__ as preparation
from data_preparation import check
from utils import cli, flags, runs

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [
    line
    for block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    if line
]


def test_the_readme_has_commands():
    assert len(COMMANDS) > 10


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_real(command, monkeypatch):
    match shlex.split(command):
        case ["make", target]:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
        case ["pip", "install", "-r", path]:
            assert (ROOT / path).is_file()
        case ["python", "-m", "data_preparation", *words]:
            _check_preparation(words)
        case ["python", script, *words]:
            _check_script(script, words, monkeypatch)
        case words:
            assert words in (
                ["python3", "-m", "venv", ".venv"],
                [".", ".venv/bin/activate"],
                ["tensorboard", "--logdir", "runs"],
            )


def _check_preparation(words):
    if not words:
        return
    name, *words = words
    parser = flags.parser("", "")
    modules = {"check": check, **preparation.DATASETS}
    modules[name].add_arguments(parser)
    if words != ["--help"]:
        parser.parse_args(words)


def _check_script(script, words, monkeypatch):
    parser = importlib.import_module(Path(script).stem).parser()
    defaults = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(parser.parse_args([])).items()
    }
    monkeypatch.setattr(runs, "read_args", lambda run: defaults)
    cli.parse(parser, words)


@pytest.mark.parametrize(
    "path", re.findall(r"^\| `([\w/.]+)` \|", README, flags=re.MULTILINE)
)
def test_paths_exist(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize(
    "link", re.findall(r"""(?:\]\(|src=")([^):#"]+)[)"]""", README)
)
def test_links_lead_somewhere(link):
    assert (ROOT / link).is_file()


def test_table_of_methods_names_what_it_says():
    rows = re.findall(r"^\| ([^|]+) \| `(--is_[^|]+)` \|", README, re.MULTILINE)
    parser = importlib.import_module("ALTERNATIVE_EP").parser()
    names = [
        cli.method_name(cli.parse(parser, shlex.split(words)))
        for _, words in rows
    ]
    assert names == [
        "naive",
        "dml-lwf",
        "distilled",
        "sa-mtl-hard",
        "sa-mtl-interpolation",
    ]

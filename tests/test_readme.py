"""Every command of the README is real: the scripts' own parsers read it."""

import importlib
import re
import shlex
import tomllib
from pathlib import Path

import pandas as pd
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


def test_the_table_of_results_is_that_of_the_runs():
    results = pd.read_csv(ROOT / "docs" / "results" / "small" / "results.csv")
    results = results.set_index(["pair", "task", "method"]).sort_index()
    shown = re.findall(
        r"^\| ([^|]+) \|((?: \**\d+\.\d ± \d+\.\d\** \|){7})$",
        README,
        re.MULTILINE,
    )
    plan = (ROOT / "docs" / "results" / "small" / "plan.toml").read_text()
    titles = {
        name: method["title"]
        for name, method in tomllib.loads(plan)["methods"].items()
    }
    assert [title for title, _ in shown] == list(titles.values())
    for name, (_, cells) in zip(titles, shown, strict=True):
        numbers = map(float, re.findall(r"\d+\.\d", cells))
        for pair, task in (
            ("emotion-pose", "emotion"),
            ("emotion-pose", "pose"),
            ("emotion-age", "emotion"),
            ("emotion-age", "age"),
            ("emotion-gender-age", "emotion"),
            ("emotion-gender-age", "gender"),
            ("emotion-gender-age", "age"),
        ):
            accuracy = 100 * results.loc[(pair, task, name), "accuracy"]
            assert next(numbers) == pytest.approx(accuracy.mean(), abs=0.051)
            assert next(numbers) == pytest.approx(accuracy.std(), abs=0.051)


def test_the_tables_of_the_results_are_those_of_the_reports():
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    tables = sorted((ROOT / "docs" / "results").glob("*/table.md"))
    assert len(tables) == 2
    for path in tables:
        rows = re.findall(
            r"^\| .* \|$", path.read_text(encoding="utf-8"), re.MULTILINE
        )
        heads = [row for row in rows if re.match(r"\| (method|---) ", row)]
        assert len(rows) > len(heads) > 0
        for row in set(rows) - set(heads):
            assert row in text

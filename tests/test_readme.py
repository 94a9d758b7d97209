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
from samtl.cli import command_line
from samtl.common import flags
from samtl.runs import run_folder

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
    monkeypatch.setattr(run_folder, "read_args", lambda run: defaults)
    command_line.parse(parser, words)


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
        command_line.method_name(command_line.parse(parser, shlex.split(words)))
        for _, words in rows
    ]
    assert names == [
        "naive",
        "dml-lwf",
        "distilled",
        "sa-mtl-hard",
        "sa-mtl-interpolation",
    ]


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        (
            "taught",
            {
                "emotion-pose": ("emotion", "pose"),
                "emotion-age": ("emotion", "age"),
                "emotion-gender-age": ("emotion", "gender", "age"),
            },
        ),
        (
            "full",
            {
                "emotion-pose": ("emotion", "pose"),
                "emotion-gender-age": ("emotion", "gender", "age"),
            },
        ),
    ],
)
def test_the_tables_of_results_are_those_of_the_runs(name, columns):
    """Mean and deviation from results.csv; bold where comparisons.csv says."""
    folder = ROOT / "docs" / "results" / name
    places = [(pair, task) for pair in columns for task in columns[pair]]
    cell = r" (\*\*)?(\d+\.\d)(?: ± (\d+\.\d))?(?:\*\*)? \|"
    shown = re.findall(
        rf"^\| ([^|]+) \|((?:{cell}){{{len(places)}}})$", README, re.MULTILINE
    )
    plan = tomllib.loads((folder / "plan.toml").read_text())
    titles = [method["title"] for method in plan["methods"].values()]
    assert [row[0] for row in shown] == titles
    keys = ["pair", "task", "method"]
    results = pd.read_csv(folder / "results.csv").set_index(keys).sort_index()
    tests = pd.read_csv(folder / "comparisons.csv")
    tests = tests[tests["baseline"] == "single-task"].set_index(keys)
    for method, row in zip(plan["methods"], shown, strict=True):
        cells = re.findall(cell, row[1])
        for place, (bold, mean, spread) in zip(places, cells, strict=True):
            accuracy = 100 * results.loc[[(*place, method)], "accuracy"]
            assert float(mean) == pytest.approx(accuracy.mean(), abs=0.051)
            assert bool(spread) == (len(accuracy) > 1)
            if spread:
                assert float(spread) == pytest.approx(accuracy.std(), abs=0.051)
            is_tested = method != "single-task"
            p = tests.loc[(*place, method), "corrected_p"] if is_tested else 1
            assert bool(bold) == (p < 0.05)


def test_the_tables_of_the_results_are_those_of_the_reports():
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    tables = sorted((ROOT / "docs" / "results").glob("*/table.md"))
    assert len(tables) == 6
    for path in tables:
        rows = re.findall(
            r"^\| .* \|$", path.read_text(encoding="utf-8"), re.MULTILINE
        )
        heads = [row for row in rows if re.match(r"\| (method|---) ", row)]
        assert len(rows) > len(heads) > 0
        for row in set(rows) - set(heads):
            assert row in text

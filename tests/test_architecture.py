"""docs/architecture.md says what may import what; here it is held to it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROWS = [
    re.findall(r"`(\w+)`", names)
    for names in re.findall(r"^\| \d \| ([^|]+) \|", PAGE, flags=re.MULTILINE)
]
SCRIPTS = {path.stem for path in ROOT.glob("*.py")}
# Nothing here knows of a command line.
BELOW = ("data", "networks", "pseudo_labels", "training", "evaluation", "runs")


def imported(path):
    """Full names of the modules and objects that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def heads(path):
    """First parts of what a file imports."""
    return {name.split(".")[0] for name in imported(path)}


def test_every_package_has_its_row():
    packages = {path.parent.name for path in files("samtl")}
    packages -= {"samtl", "drawing", "media"}  # parts of faces
    assert sorted(name for names in ROWS for name in names) == sorted(packages)


@pytest.mark.parametrize("row", range(len(ROWS)))
def test_packages_import_lower_rows_only(row):
    lower = {name for names in ROWS[:row] for name in names}
    for package in ROWS[row]:
        for path in files(f"samtl/{package}"):
            for name in imported(path):
                root, _, rest = name.partition(".")
                target = rest.split(".")[0]
                if root == "samtl" and target != package:
                    assert target in lower, f"{path} imports {name}"


def test_the_library_imports_no_script():
    above = {"utils", "data_preparation", "benchmarks", "tests", *SCRIPTS}
    for path in files("samtl"):
        assert not heads(path) & above, path


@pytest.mark.parametrize("folder", ["utils", "data_preparation"])
def test_generators_and_preparation_import_the_library_only(folder):
    above = {"utils", "data_preparation", *SCRIPTS} - {folder}
    for path in files(folder):
        assert not heads(path) & above, path


def test_utils_holds_the_three_ways_of_training():
    folders = {path.name for path in (ROOT / "utils").iterdir()}
    folders -= {"__pycache__"}
    assert folders == {"__init__.py", "stl", "alternative", "confusion"}


def test_flags_end_at_the_command_line():
    below = [path for name in BELOW for path in files(f"samtl/{name}")]
    for path in [*below, *files("utils")]:
        assert "argparse" not in heads(path), path
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bargs\.(?!json)", text), path

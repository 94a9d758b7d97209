"""Commands, paths and modules of the README and the docs."""

import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import pytest

from data_preparation import __main__ as preparation
from data_preparation import check
from samtl.cli import command_line
from samtl.common import flags
from samtl.faces import inputs
from samtl.runs import run_folder

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TRAINING = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
LIBRARY = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
# Files that a reader of docs/extending.md writes.
EXAMPLES = ("samtl/pseudo_labels/margin.py", "samtl/networks/plain.py")
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "weights" / "MODEL_CARD.md",
]


def commands(text):
    """The command lines in the bash blocks of a page."""
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line]


def test_the_pages_have_commands():
    assert len(commands(README)) > 10
    assert len(commands(TRAINING)) > 15


def test_the_readme_is_short_and_starts_with_its_contents():
    assert len(README.splitlines()) <= 250
    titles = re.findall(r"^## (.+)$", README, flags=re.MULTILINE)
    entries = re.findall(r"^- \[(.+)\]\(#(.+)\)$", README, flags=re.MULTILINE)
    assert titles == ["Contents", *[title for title, _ in entries]]
    for title, anchor in entries:
        assert anchor == title.lower().replace(" ", "-")


@pytest.mark.parametrize(
    "command", dict.fromkeys(commands(README + TRAINING + LIBRARY))
)
def test_command_is_real(command, monkeypatch):
    match shlex.split(command):
        case ["make", target]:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
        case ["pip", "install", "-r", path]:
            assert (ROOT / path).is_file()
        case ["samtl", *words]:
            _check_script("final_image_demo", words, monkeypatch)
        case ["python", "-m", "data_preparation", *words]:
            _check_preparation(words)
        case ["python", script, *words]:
            _check_script(script, words, monkeypatch)
        case words:
            assert words in (
                ["python3", "-m", "venv", ".venv"],
                ["pip", "install", "."],
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


def test_examples_in_python_run(tmp_path, monkeypatch):
    shutil.copy(inputs.portrait(), tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", README + LIBRARY, re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        names = {}
        exec(example, names)
        faces = names.get("faces", [])
        assert len(faces) == ("analyze" in example)


@pytest.mark.parametrize(
    "path", re.findall(r"^\| `([\w/.]+)` \|", CONTRIBUTING, flags=re.MULTILINE)
)
def test_paths_exist(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_in_the_docs_exist(page):
    text = page.read_text(encoding="utf-8")
    if page.name == "CHANGELOG.md":
        text = re.sub(r"formerly `[^`]*`", "", text)
    for path in re.findall(r"\b(?:samtl|utils)(?:/\w+)+(?:\.py)?\b", text):
        assert path in EXAMPLES or (ROOT / path).exists(), path
    for name in re.findall(r"python -m ([\w.]+)", text):
        if name.split(".")[0] in ("samtl", "utils", "benchmarks", "docs"):
            assert importlib.util.find_spec(name), name


def test_table_of_methods_has_the_names_of_its_flags():
    rows = re.findall(
        r"^\| ([^|]+) \| `(--is_[^|]+)` \|", TRAINING, re.MULTILINE
    )
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

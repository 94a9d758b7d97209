"""docs/quickstart.ipynb from its first to its last cell."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "docs" / "quickstart.ipynb"
# In the notebook, and here: enough to run every cell.
SMALLER = {"--images=200": "--images=80", "--epoch=8": "--epoch=2"}


def test_the_notebook_runs(tmp_path):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    # What it writes stays out of the repository.
    for name in ("data_preparation", "samtl", "utils"):
        (tmp_path / name).symlink_to(ROOT / name)
    for path in ROOT.glob("*.py"):
        (tmp_path / path.name).symlink_to(path)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    found = set()
    for cell in notebook.cells:
        for word, smaller in SMALLER.items():
            if word in cell.source:
                found.add(word)
                cell.source = cell.source.replace(word, smaller)
    assert found == set(SMALLER)
    nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": tmp_path}}
    ).execute()
    # A command that fails stops no notebook.
    for name in ("run", "smiles"):
        result = tmp_path / "quickstart" / name / "result.json"
        assert json.loads(result.read_text())["rounds"] == 2
    *_, last = (c for c in notebook.cells if c.cell_type == "code")
    assert "'smile': {'label'" in last.outputs[0]["data"]["text/plain"]


def test_the_notebook_is_without_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells)

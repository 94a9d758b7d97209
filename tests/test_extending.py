"""The steps of docs/extending.md, executed on a copy of the code."""

import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
MARGIN = """
from pathlib import Path
import numpy as np
import pandas as pd
from samtl import pseudo_labels
from samtl.cli import command_line
from samtl.data import images, tables
from samtl.data.tasks import Task
from samtl.pseudo_labels.diagnostics import write_diagnostics
import ALTERNATIVE_EP
default = command_line.parse(ALTERNATIVE_EP.parser(), [])
assert command_line.method_name(default) == "sa-mtl-hard"
assert not command_line.method(default).margin
args = command_line.parse(ALTERNATIVE_EP.parser(), ["--is_pseudo_margin=True"])
assert command_line.method_name(args) == "hard-margin"
logits = np.log([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25]]).astype("float32")
method = command_line.method(args)
_, found = pseudo_labels.fill(method, logits, None, None, None)
np.testing.assert_allclose(found["margin"], [0.5, 0.05], atol=1e-6)
np.testing.assert_allclose(found["weight"], [1, 0.1], atol=1e-6)
rows = pd.DataFrame({"path": ["1.png", "2.png"], "split": "train"})
table = tables.Table("mtfl", Path(), rows, {})
split = images.Split(table, np.zeros((2, 64, 64, 1), "uint8"), np.arange(2))
task = Task("size", ("small", "middle", "large"))
write_diagnostics(Path(), 1, task, split, found)
assert pd.read_csv("weights_round1.csv")["margin"].tolist() == [0.5, 0.05]
"""
NETWORK = """
import numpy as np
from samtl import networks
from samtl.cli import command_line
from samtl.cli.configuration import configure
from samtl.data.tasks import GENDER, POSE, Task
import ALTERNATIVE_EP
args = command_line.parse(ALTERNATIVE_EP.parser(), ["--model=plain"])
config = configure(args, ALTERNATIVE_EP.TASKS, "ALTERNATIVE_EP.py")
assert config.training.learning_rate == 2e-3
tasks = [Task("pose", POSE), Task("gender", GENDER)]
network = networks.build(config.network, tasks)
assert network.name == "plain"
images = np.zeros((3, *networks.image_shape(config.network)), "uint8")
outputs = network(images)
assert outputs["logits"]["pose"].shape == (3, 5)
assert outputs["logits"]["gender"].shape == (3, 2)
assert outputs["features"]["gender"].shape == (3, 128)
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """A copy of the code with all changes of the guide."""
    copy = tmp_path_factory.mktemp("code")
    for name in ("utils", "samtl", "data_preparation", "ALTERNATIVE_EP.py"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name)
        else:
            shutil.copy(source, copy / name)
    files = re.findall(r"\*\*1\. Write `([^`]+)`", GUIDE)
    blocks = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
    for name, block in zip(files, blocks, strict=True):
        (copy / name).write_text(block, encoding="utf-8")
    for change in re.findall(r"```diff\n(.*?)```", GUIDE, flags=re.DOTALL):
        _apply(change, copy)
    return copy


def _apply(change, folder):
    """Apply a diff block: a file name and hunks without line numbers."""
    title, *hunks = change.split("@@\n")
    path = folder / title.removeprefix("--- ").strip()
    text = path.read_text(encoding="utf-8")
    for hunk in hunks:
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] != "+")
        new = "".join(line[1:] for line in lines if line[0] != "-")
        assert text.count(old) == 1, f"{path.name}: {old}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def _run(code, *words):
    done = subprocess.run(
        [sys.executable, *words], cwd=code, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_dataset_is_prepared(code, tmp_path):
    rng = np.random.default_rng(0)
    # As many people as the set has, and as many pictures of each.
    codes = ("AN", "DI", "FE", "HA", "SA", "SU", "NE")
    for person in range(10):
        for number, (take, code_) in enumerate(product("123", codes)):
            name = f"K{chr(65 + person)}.{code_}{take}.{number}.tiff"
            pixels = rng.integers(0, 256, (16, 16), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "KA.XX1.9.tiff").write_bytes(b"")
    words = ["-m", "data_preparation", "jaffe", "--source"]
    data = tmp_path / "data"
    out = _run(code, *words, tmp_path, "--data_dir", data)
    assert "malformed name" in out
    rows = (data / "db" / "jaffe.csv").read_text().splitlines()
    assert len(rows) == 1 + 10 * 21


def test_the_weight_is_multiplied(code):
    _run(code, "-c", MARGIN)


def test_the_network_is_built(code):
    _run(code, "-c", NETWORK)

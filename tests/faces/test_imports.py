"""Faces and inference load no tensor library and nothing of training."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"keras", "tensorflow", "torch", "jax", "pandas", "matplotlib"}
# Imports inside functions are not checked: .keras files need samtl.networks.
ALLOWED = {
    "faces": {"common", "faces"},
    "inference": {"common", "data", "faces", "inference"},
}


def _files(package):
    return sorted((ROOT / "samtl" / package).rglob("*.py"))


def _modules(package):
    names = [path.relative_to(ROOT).with_suffix("") for path in _files(package)]
    return [".".join(name.parts).removesuffix(".__init__") for name in names]


@pytest.mark.parametrize("package", ALLOWED)
def test_no_tensor_library_is_loaded(package):
    modules = _modules(package)
    assert len(modules) > 2
    code = (
        f"import sys, {', '.join(modules)}; print({HEAVY} & set(sys.modules))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout
    assert shown.strip() == "set()"


def _imported(path):
    """Packages of samtl that a file imports at its top level."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.ImportFrom(module="samtl", names=names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(module=module) if module:
                first, _, rest = module.partition(".")
                found |= {rest.partition(".")[0]} if first == "samtl" else set()
            case ast.Import(names=names):
                assert not any(a.name.startswith("samtl") for a in names), path
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_nothing_above_is_imported(package):
    for path in _files(package):
        assert _imported(path) <= ALLOWED[package], path

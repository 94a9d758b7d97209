"""How large are the functions and files?

python -m benchmarks.counts
"""

import ast
import subprocess
from pathlib import Path

LINES, PARAMETERS, FILE_LINES = 60, 6, 400
ROOT = Path(__file__).resolve().parent.parent


def sources():
    """Python files of the repository but for its tests."""
    found = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "*.py"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return [ROOT / name for name in found if not name.startswith("tests/")]


def parameters(function):
    """Names of a function's parameters but for self and cls."""
    given = function.args
    every = given.posonlyargs + given.args + given.kwonlyargs
    return [a.arg for a in every if a.arg not in ("self", "cls")]


def offenders():
    """What is above the limits: {"file" or "file:function": what}."""
    found = {}
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text(encoding="utf-8")
        count = len(text.splitlines())
        if count > FILE_LINES:
            found[name] = f"{count} lines"
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef):
                continue
            length = node.end_lineno - node.lineno + 1
            width = len(parameters(node))
            if length > LINES or width > PARAMETERS:
                found[f"{name}:{node.name}"] = (
                    f"{length} lines, {width} parameters"
                )
    return found


if __name__ == "__main__":
    for where, what in offenders().items():
        print(f"{where}: {what}")

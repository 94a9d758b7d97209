"""How large are the functions, the files, and the way from a flag to the loss?

    python -m benchmarks.counts

Lists functions and files above the limits, then what a reader opens to follow
a flag of ALTERNATIVE_EP.py from the command line to the loss: the functions in
which the flag's value is declared, read or changed. What only carries triples
along, the generators and a step of Keras, is not opened.
"""

import ast
import subprocess
from pathlib import Path

LINES, PARAMETERS, FILE_LINES = 60, 6, 400
PATH_FILES, PATH_LINES = 6, 500
ROOT = Path(__file__).resolve().parent.parent
SCRIPT = "ALTERNATIVE_EP.py"
METHODS = "samtl/cli/methods.py"
CONFIGURATION = "samtl/cli/configuration.py"
TARGETS = "samtl/pseudo_labels/targets.py"
START = [(SCRIPT, "alternating_parser"), (SCRIPT, "run")]
METHOD = [
    *START,
    (METHODS, "add_method_flags"),
    (CONFIGURATION, "configure"),
    (METHODS, "method"),
    (SCRIPT, "alternate"),
    ("samtl/pseudo_labels/filling.py", "fill_missing"),
    (TARGETS, "fill"),
]
WEIGHTS = [*METHOD, (TARGETS, "_chosen_weights"), (TARGETS, "combine")]
LOSS = [(TARGETS, "hard_triples"), (TARGETS, "triple_loss")]
# flag: the functions, from the script on.
PATHS = {
    "distill_t": [*METHOD, (TARGETS, "distilled_triples"), *LOSS],
    "selection_threshold": [*METHOD, (TARGETS, "select"), *LOSS],
    "is_pseudo_confidence": [
        *WEIGHTS,
        ("samtl/pseudo_labels/confidence.py", "confidence"),
        *LOSS,
    ],
    "density_t": [
        *WEIGHTS,
        ("samtl/pseudo_labels/density.py", "bounded_density"),
        *LOSS,
    ],
    "gamma": [
        *WEIGHTS,
        ("samtl/pseudo_labels/distribution.py", "distribution_similarity"),
        *LOSS,
    ],
    "P_loss_weights": [
        *START,
        ("samtl/cli/flag_groups.py", "add_dataset_flags"),
        (CONFIGURATION, "configure"),
        (CONFIGURATION, "_loss_weight"),
        ("samtl/training/learner.py", "compute_loss"),
    ],
}
# Called by name elsewhere: by the script's main, and by Keras in a step.
ENTRIES = ("alternating_parser", "run", "compute_loss", "triple_loss")


def sources():
    """Python files of the repository but for its tests."""
    found = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "*.py"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return [ROOT / name for name in found if not name.startswith("tests/")]


def functions(path):
    """{name: ast.FunctionDef} of a file; methods too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))
    return {node.name: node for node in nodes}


def length(node):
    """Lines of a function."""
    return node.end_lineno - node.lineno + 1


def parameters(node):
    """Names of a function's parameters but for self and cls."""
    given = node.args
    every = given.posonlyargs + given.args + given.kwonlyargs
    return [a.arg for a in every if a.arg not in ("self", "cls")]


def offenders():
    """What is above the limits: {"file" or "file:function": what}."""
    found = {}
    for path in filter(Path.exists, sources()):
        name = path.relative_to(ROOT).as_posix()
        count = len(path.read_text(encoding="utf-8").splitlines())
        if count > FILE_LINES:
            found[name] = f"{count} lines"
        for node in functions(path).values():
            lines, width = length(node), len(parameters(node))
            if lines > LINES or width > PARAMETERS:
                what = f"{lines} lines, {width} parameters"
                found[f"{name}:{node.name}"] = what
    return found


def cost(path):
    """(files, lines) that a reader of a path opens."""
    lines = [length(functions(ROOT / file)[name]) for file, name in path]
    return len({file for file, _ in path}), sum(lines)


def main():
    for where, what in offenders().items():
        print(f"{where}: {what}")
    for flag, path in PATHS.items():
        files, lines = cost(path)
        print(f"--{flag} to the loss: {files} files, {lines} lines")


if __name__ == "__main__":
    main()

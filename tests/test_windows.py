"""The scripts without the modules that Windows lacks."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CODE = """
import contextlib, importlib, io, pkgutil, sys

import psutil  # on Linux, it uses resource itself

for name in ("fcntl", "resource"):
    sys.modules[name] = None
for package in ("samtl.common", "samtl.comparison", "samtl.runs", "samtl.cli",
                "samtl.faces", "samtl.inference", "data_preparation"):
    where = importlib.import_module(package).__path__
    for found in pkgutil.walk_packages(where, f"{package}."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
from data_preparation import __main__ as preparation

scripts = {name: importlib.import_module(name).main for name in sys.argv[1:]}
mains = [lambda words, main=main: main(words) for main in scripts.values()]
mains += [
    lambda words, name=name: preparation.main([name, *words])
    for name in preparation.DATASETS
]
for main in mains:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        main(["--help"])
    assert shown.getvalue().startswith("usage:"), shown.getvalue()
print(len(mains))
"""


def test_scripts_need_neither_fcntl_nor_resource():
    scripts = sorted(path.stem for path in ROOT.glob("*.py"))
    done = subprocess.run(
        [sys.executable, "-c", CODE, *scripts],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= len(scripts) + 10

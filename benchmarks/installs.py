"""Which Pythons and machines the requirements can be installed on.

    pip install uv
    python -m benchmarks.installs

Resolves the requirements of the demos and of everything for each version and
platform, as `pip install --dry-run --only-binary=:all:` would do there, and
prints a table. uv, unlike pip, also applies the environment markers of the
other platform. Nothing is installed; needs the network for a few minutes.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from samtl.common.errors import UserError, run_script

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = {
    "Linux x86-64": "x86_64-manylinux_2_28",
    "Linux ARM": "aarch64-manylinux_2_28",
    "macOS ARM": "aarch64-apple-darwin",
    "macOS Intel": "x86_64-apple-darwin",
    "Windows x86-64": "x86_64-pc-windows-msvc",
}
FILES = ("requirements-demo.txt", "requirements.txt")
MACOS = "15.0"  # whose wheels may be used


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.parse_args(argv)
    if not shutil.which("uv"):
        raise UserError("uv is not installed; pip install uv")
    print("| machine |", " | ".join(f"Python {v}" for v in PYTHONS), "|")
    print("|---|", "---|" * len(PYTHONS), sep="")
    for name, platform in PLATFORMS.items():
        cells = [_cell(version, platform) for version in PYTHONS]
        print(f"| {name} |", " | ".join(cells), "|", flush=True)


def _cell(version, platform):
    """What can be installed, with the backend of training."""
    demos, training = (
        _resolved(ROOT / path, version, platform) for path in FILES
    )
    if training is not None:
        backend = {"tensorflow": "TensorFlow", "jax": "JAX"}
        return next(backend[name] for name in backend if name in training)
    return "nothing" if demos is None else "demos only"


def _resolved(path, version, platform):
    """Names of the packages to install, or None where one has no wheel."""
    done = subprocess.run(
        [
            *("uv", "pip", "compile", "--quiet", "--no-header"),
            *("--no-annotate", "--only-binary", ":all:"),
            *("--python-version", version, "--python-platform", platform),
            str(path),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": MACOS},
    )
    if done.returncode:
        why = " ".join(done.stderr.split()[:40])
        print(f"{version} {platform}: {why} ...", file=sys.stderr)
        return None
    return set(re.findall(r"^([\w-]+)==", done.stdout, flags=re.MULTILINE))


if __name__ == "__main__":
    run_script(main)

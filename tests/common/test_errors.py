"""How scripts end, seen from outside."""

import subprocess
import sys

import pytest

RUN = """
import subprocess, sys
from samtl.common.errors import run_script
def much():
    for _ in range(9999):
        print("x" * 99)
def elsewhere():
    process = subprocess.Popen(["true"], stdin=subprocess.PIPE)
    process.wait()
    process.stdin.write(b"x" * 99999)
run_script({main})
"""


def _run(main, shell):
    words = [sys.executable, "-c", RUN.format(main=main)]
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", shell, "bash", *words],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("main", "shell", "code", "message"),
    [
        ("much", '"$@" | head -1', 141, ""),
        ("much", '"$@"', 0, ""),
        ("lambda: None", '"$@" >&-', 0, ""),
        # Not the reader of standard output.
        ("elsewhere", '"$@"', 1, "BrokenPipeError"),
        ("lambda: print('\\ud800')", '"$@"', 0, ""),
    ],
)
def test_exit_codes(main, shell, code, message):
    result = _run(main, shell)
    assert result.returncode == code, result.stderr
    assert message in result.stderr
    assert message or not result.stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [("KeyboardInterrupt", "interrupted\n"), ("ZeroDivisionError", "Trace")],
)
def test_interrupted_among_the_imports(error, message):
    code = f"import samtl; raise {error}"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert result.stderr.startswith(message)
    assert ("Trace" in result.stderr) == (message == "Trace")

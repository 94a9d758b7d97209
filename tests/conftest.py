"""What holds for all tests: quiet backends, no window, repeatable examples."""

import importlib
import os
import sys
from pathlib import Path

import hypothesis
import joblib
import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
sys.path.insert(0, str(Path(__file__).parent.parent))
importlib.import_module("samtl")  # before OpenCV, whose limit it sets
COUNTS = importlib.import_module("tests.robustness.trials").COUNTS


@pytest.fixture(scope="session")
def scheduler(tmp_path_factory):
    """Address of a Dask scheduler with two workers on this machine.

    A worker that dies is replaced; the second that dies at one call is the
    last. Workers have the cores and the environment of this process.
    """
    import dask
    import distributed

    settings = {
        "distributed.scheduler.allowed-failures": 1,
        "distributed.nanny.pre-spawn-environ": {},
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=joblib.cpu_count(),
            dashboard_address=":0",
            local_directory=tmp_path_factory.mktemp("dask"),
        ) as cluster,
    ):
        yield cluster.scheduler_address


# Compiling a Keras op takes longer than hypothesis allows one example.
hypothesis.settings.register_profile(
    "repeatable", deadline=None, derandomize=True
)
hypothesis.settings.load_profile("repeatable")


def pytest_sessionfinish(session):
    """A worker of pytest-xdist hands its counts over."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["robustness"] = COUNTS


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    counts = getattr(node, "workeroutput", {}).get("robustness", {})
    for name, count in counts.items():
        COUNTS[name] += count


def pytest_terminal_summary(terminalreporter):
    if not COUNTS["tried"]:
        return
    terminalreporter.write_line(
        f"robustness: {COUNTS['tried']:,} cases tried, "
        f"{COUNTS['survived']:,} survived"
    )

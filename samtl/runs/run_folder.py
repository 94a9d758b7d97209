"""The folder of a run: how it is made, and what the run began with.

What a run writes there later is in the modules beside this one, and can be
used from here, too.
"""

import contextlib
import importlib
import importlib.metadata
import itertools
import platform
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from samtl.common import files, locks
from samtl.common.errors import UserError
from samtl.runs.onnx_export import export
from samtl.runs.printing import print_results
from samtl.runs.results import (
    SPLITS,
    draw,
    peak_memory,
    write_metrics,
    write_predictions,
    write_result,
)

__all__ = [
    "SPLITS",
    "create",
    "draw",
    "export",
    "go_on",
    "hold",
    "origin",
    "peak_memory",
    "print_results",
    "read_args",
    "release",
    "require_unfinished",
    "write_args",
    "write_metrics",
    "write_predictions",
    "write_result",
]

REPOSITORY = Path(__file__).resolve().parents[2]
LOCK = ".lock"  # in a run's folder
PACKAGES = (
    "keras",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "opencv-python-headless",
)


def create(
    root: Path | str,
    script: str,
    datasets: Sequence[str],
    method: str,
    seed: int,
    run_dir: Path | str | None = None,
) -> Path:
    """Make the folder of a new run.

    Args:
        root: the folder of all runs.
        script: its name without suffix.
        datasets: names of the datasets, in the order of the script.
        method: short name of the method.
        seed: of the run.
        run_dir: this folder instead of a new one below `root`.

    Returns:
        Path: root/script/<datasets joined by +>/<time>-<method>-seed<seed>,
        with -2, -3 ... where others began in the same second, or `run_dir`;
        it exists, is empty, and is held by this process (see `hold`).

    Raises:
        UserError: the folder is in use or cannot be made.
    """
    moment = time.strftime("%Y%m%d-%H%M%S")
    name = f"{moment}-{method}-seed{seed}"
    run = Path(run_dir or Path(root, script, "+".join(datasets), name))
    try:
        if run_dir:
            run.mkdir(parents=True, exist_ok=True)
        else:
            run = _new_folder(run)
        hold(run)
        is_empty = all(
            locks.is_of_lock(path, run / LOCK) for path in run.iterdir()
        )
    except OSError as error:
        raise UserError(
            f"cannot make the run folder {run}: {error.strerror}; choose "
            "another with --run_dir or --runs"
        ) from error
    if not is_empty:
        release(run)
        raise UserError(
            f"run folder {run} is not empty; choose another --run_dir, or "
            f"continue that run with --resume {shlex.quote(str(run))}"
        )
    return run


def _new_folder(path):
    """Make a folder that nobody else makes: `path`, or with -2, -3 ..."""
    # Alone, as it fails where a link leads nowhere, whatever the number.
    path.parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = path.with_name(f"{path.name}-{number}") if number > 1 else path
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder


def hold(run: Path) -> None:
    """Keep other processes from training in a run's folder, until `release`.

    What killed processes have left half written there is removed.

    Raises:
        UserError: another process trains there.
    """
    release(run)  # a failed run of this process may hold it
    locks.acquire(
        run / LOCK,
        f"{run} is in use by another training",
        "wait until it ends, or start a run in another folder",
    )
    files.sweep(run)


def release(run: Path) -> None:
    """Let other processes train in a run's folder."""
    locks.release(run / LOCK)


def require_unfinished(run: Path) -> None:
    """Refuse to go on with a run that has its result.

    Raises:
        UserError: it has.
    """
    if (run / "result.json").exists():
        raise UserError(
            f"{run} is finished: its result.json is there; start a new run "
            "instead"
        )


def write_args(run: Path, arguments: dict) -> None:
    """Write args.json: what is needed to repeat the run.

    Args:
        run: folder of the run.
        arguments: the script's arguments, JSON-able but for paths.
    """
    plain = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in arguments.items()
    }
    path = run / "args.json"
    content = {"arguments": plain, **_record()}
    if script := plain.get("script"):
        words = ["python", f"{script}.py", f"--config={path}"]
        content = {"repeated_by": shlex.join(words), **content}
    files.write_json(path, content, is_sealed=True)


def go_on(run: Path, images: dict[str, list[str]]) -> None:
    """Add to args.json with what a run goes on, and warn of what is new.

    Args:
        run: its folder.
        images: fingerprints of each dataset's images.
    """
    path = run / "args.json"
    saved = files.read_json(path)
    before = [saved, *saved.get("resumed", [])][-1]
    now = _record()
    changed = [
        f"{name} {_shown(before[name])}, now {_shown(now[name])}"
        for name in ("commit", "backend", "versions")
        if before.get(name, now[name]) != now[name]
    ]
    known = saved["arguments"].get("images_fingerprint", {})
    changed += [
        f"the images of {name}"
        for name, found in images.items()
        if known.get(name, found) != found
    ]
    if changed:
        print(
            f"warning: {run} goes on with changes ({'; '.join(changed)}); its "
            f"result will be of both, and {path.name} says so",
            file=sys.stderr,
        )
    resumed = [*saved.get("resumed", []), now]
    files.write_json(path, {**saved, "resumed": resumed}, is_sealed=True)


def commits(saved: dict) -> list[dict | None]:
    """The commits that a run was trained with, in order: `_commit` of each.

    Args:
        saved: content of args.json.
    """
    found = [entry["commit"] for entry in (saved, *saved.get("resumed", []))]
    return [c for place, c in enumerate(found) if c not in found[:place]]


def _record():
    """What a training runs with, at this moment."""
    # Imported here so that reading a run does not load a backend.
    from keras.config import backend

    name = backend()
    return {
        "command": shlex.join(["python", *sys.argv]),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "commit": _commit(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "backend": name,
        "versions": {
            "python": platform.python_version(),
            name: importlib.import_module(name).__version__,
            **{package: _version(package) for package in PACKAGES},
        },
    }


def _shown(value):
    """A commit, a backend or versions in words."""
    if not isinstance(value, dict):
        return str(value)
    if "id" in value:
        return value["id"][:7] + " with changes" * value["dirty"]
    return " ".join(f"{name} {number}" for name, number in value.items())


def read_args(run: Path | str) -> dict:
    """The arguments that `write_args` wrote; paths are strings.

    Raises:
        UserError: the folder holds no run.
    """
    path = Path(run) / "args.json"
    try:
        return {**files.read_json(path)["arguments"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{run} is not the folder of a run: it has no readable args.json "
            f"({error}); give the folder that the training script printed"
        ) from error


def origin(path: Path) -> dict:
    """Where a trained network comes from.

    Args:
        path: its file, in the folder of a run or elsewhere.

    Returns:
        {"sha256", "command", "commit"}; the last two are the run's, None
        outside one.
    """
    try:
        run = files.read_json(path.parent / "args.json")
        found = {name: run[name] for name in ("command", "commit")}
    except (OSError, ValueError, KeyError, TypeError):
        found = {"command": None, "commit": None}
    return {"sha256": files.sha256(path), **found}


def _commit():
    """{"id", "dirty"} of the code, or None outside a git checkout."""
    if not (REPOSITORY / ".git").exists():
        return None
    try:
        head, status = (
            subprocess.run(
                ["git", "-C", REPOSITORY, *words],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"id": head.strip(), "dirty": bool(status.strip())}


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

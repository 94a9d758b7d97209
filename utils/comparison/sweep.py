"""Trains the runs of a comparison: skips, resumes, records what fails.

Every run is the training script's own `main`, in worker processes of joblib
that serve many runs each, as TensorFlow takes ten seconds to load.
"""

import contextlib
import fcntl
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from utils import cli, runs
from utils.errors import UserError

DONE, STOPPED, TO_DO = "done", "stopped", "to do"
# Arguments that say where a run is, not what it is.
PLACES = ("data_dir", "cache_gb", "runs", "run_dir", "resume")
WATCH_SECONDS = 1.0


def state(run, out, data_dir):
    """Whether a run is done, stopped or still to do.

    Args:
        run: `plan.Run`.
        out: folder of the comparison.
        data_dir: folder of the prepared datasets.

    Raises:
        UserError: its folder holds a run with other arguments.
    """
    folder = out / run.folder
    if not (folder / "args.json").exists():
        return TO_DO
    saved, args = runs.read_args(folder), run.parse()
    args.batch_size = min(args.batch_size, _largest(args, run, data_dir))
    given = [word[2:].split("=")[0] for word in run.words if word[:2] == "--"]
    for name, value in vars(args).items():
        # A flag that is newer than the run does not matter unless it is given.
        if name in PLACES or (name not in saved and name not in given):
            continue
        asked = str(value) if isinstance(value, Path) else value
        if saved.get(name) != asked:
            raise UserError(
                f"{folder} was trained with {name} {saved.get(name)}, but the "
                f"plan asks for {asked}; move that folder away or choose "
                "another --out"
            )
    return DONE if (folder / "result.json").exists() else STOPPED


def train(todo, out, data_dir, jobs):
    """Train runs, `jobs` at a time.

    Args:
        todo: list of `plan.Run`, in order.
        out, data_dir: see `state`.
        jobs: number of worker processes; 1 trains in this one.

    Yields:
        (run, error) as the runs end; the error is a line, or None.
    """
    threads = max(1, joblib.cpu_count() // jobs)
    left = {run.folder: run for run in todo}
    while left:
        started = []
        with joblib.parallel_config("loky", inner_max_num_threads=threads):
            parallel = joblib.Parallel(
                jobs,
                return_as="generator_unordered",
                pre_dispatch=jobs,
                batch_size=1,
            )
            tasks = (
                joblib.delayed(_train)(run, out, data_dir, os.getpid(), threads)
                for run in _noted(list(left.values()), started)
            )
            try:
                for folder, error in parallel(tasks):
                    yield left.pop(folder), error
            except TerminatedWorkerError:
                # Nobody knows which of those under way has killed it.
                for run in started:
                    if left.pop(run.folder, None):
                        yield run, "a worker process died; out of memory?"


def _noted(todo, started):
    for run in todo:
        started.append(run)
        yield run


def _train(run, out, data_dir, parent, threads):
    """Train a run, or go on with it; returns (its folder, error or None)."""
    folder = out / run.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_name(f"{folder.name}.log")
    with (
        log.open("a", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        if os.getpid() != parent:
            _settle_worker(parent, threads)
            # Libraries in C write past sys.stderr.
            os.dup2(file.fileno(), 2)
        # A worker of a killed comparison may still be at this run.
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            if state(run, out, data_dir) != DONE:
                _call_script(run, folder, data_dir)
        # Training can fail in any way; the other runs go on.
        except Exception as error:
            traceback.print_exc()
            return run.folder, _one_line(error)
    return run.folder, None


def _settle_worker(parent, threads):
    """Make a worker process quiet, modest, and end with its parent."""
    if getattr(_settle_worker, "is_done", False):
        return
    _settle_worker.is_done = True
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, str(threads))
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    # Ctrl-C reaches all processes of a terminal; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch():
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    if os.getppid() == parent:
        threading.Thread(target=watch, daemon=True).start()


def _call_script(run, folder, data_dir):
    words = [f"--data_dir={data_dir}"]
    if (folder / "args.json").exists():
        words += [f"--resume={folder}"]
    else:
        words += [*run.words, f"--run_dir={folder}"]
        # What was killed before it wrote its arguments left nothing else.
        for path in folder.glob(".args.*"):
            path.unlink()
    before, sys.argv = sys.argv, [f"{run.script}.py", *words]
    _forget_peak_memory()
    try:
        importlib.import_module(run.script).main(words)
    finally:
        sys.argv = before
        import keras

        # Without it, each run would leave its graphs to the next.
        keras.utils.clear_session()


def _forget_peak_memory():
    """Let the kernel measure the peak of this run, where it can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _largest(args, run, data_dir):
    """Training images of the largest dataset, as a script would see them."""
    sizes = []
    for name, limit in cli.limits(args, run.datasets).items():
        path = Path(data_dir) / "db" / f"{name}.json"
        with contextlib.suppress(OSError, ValueError, KeyError):
            facts = json.loads(path.read_text(encoding="utf-8"))
            rows = facts["counts"]["train"]["rows"]
            sizes.append(min(rows, limit or rows))
    return max(sizes, default=args.batch_size)


def _one_line(error):
    lines = str(error).strip().splitlines() or [""]
    if isinstance(error, UserError):
        return lines[0]
    return f"{type(error).__name__}: {lines[0]}"

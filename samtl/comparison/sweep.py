"""Trains the runs of a comparison: skips, resumes, notes what fails.

Every run is the training script's own `main`. Worker processes of joblib
serve many runs each, as TensorFlow takes ten seconds to load.
"""

import contextlib
import dataclasses
import fcntl
import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from samtl.cli import command_line
from samtl.common.errors import UserError
from samtl.comparison import plan
from samtl.distributed import cluster
from samtl.runs import run_folder

DONE, STOPPED, TO_DO = "done", "stopped", "to do"
# Arguments that say where a run is and not what it is.
ELSEWHERE = "move that folder away or choose another --out"
PLACES = (*command_line.CHANGEABLE_ON_RESUME, "runs", "run_dir", "resume")
WATCH_SECONDS = 1.0  # how long a worker outlives its parent
SHARED_SECONDS = 90  # NFS may show a file a minute after it was written
ALONE = threading.Lock()  # held by the run of a Dask worker
DIED = "its process died, perhaps out of memory"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def share(runs, out, data_dir):
    """Let single-task runs that several pairs have in common be trained once.

    Args:
        runs: list of `plan.Run`.
        out, data_dir: see `state`.

    Returns:
        The runs, where equal ones have one folder: that of the first pair
        whose run is there already, or else of the first.
    """
    equal = {}
    for run in runs:
        if len(run.tasks) == 1:
            equal.setdefault((run.tasks, run.words), []).append(run)
    folders = {
        key: _found(several, out, data_dir).folder
        for key, several in equal.items()
    }
    return [
        dataclasses.replace(
            run, folder=folders.get((run.tasks, run.words), run.folder)
        )
        for run in runs
    ]


def _found(equal, out, data_dir):
    """The first of equal runs that is there already, or else the first."""
    for wanted in (DONE, STOPPED):
        for run in equal:
            with contextlib.suppress(UserError):  # another run has its folder
                if state(run, out, data_dir) == wanted:
                    return run
    return equal[0]


def state(run, out, data_dir):
    """Whether a run is done, stopped or still to do.

    Args:
        run: `plan.Run`.
        out: folder of the comparison.
        data_dir: folder of the prepared datasets.

    Raises:
        UserError: its folder holds a run with other arguments, or a damaged
            one.
    """
    folder = out / run.folder
    if not (folder / "args.json").exists():
        return TO_DO
    try:
        saved = run_folder.read_args(folder)
    except UserError as error:
        raise UserError(
            f"{folder}/args.json was damaged; delete that folder and run the "
            "comparison again"
        ) from error
    script = run.script.rpartition(".")[2]
    if saved.get("script", script) != script:
        raise UserError(
            f"{folder} was trained by {saved['script']}.py, but the plan asks "
            f"for {script}.py; {ELSEWHERE}"
        )
    given = [word[2:].split("=")[0] for word in run.words if word[:2] == "--"]
    size = _batch_size(run, data_dir, saved.get("batch_size"))
    asked = vars(run.args) | {"batch_size": size}
    for name, value in asked.items():
        # What the plan leaves open may be newer than the run.
        is_open = name not in given and name not in saved
        if name in PLACES or is_open:
            continue
        value = str(value) if isinstance(value, Path) else value
        if saved.get(name) != value:
            is_size = name == "batch_size"
            asks = "plan and its data ask" if is_size else "plan asks"
            raise UserError(
                f"{folder} was trained with {name} {saved.get(name)}, but the "
                f"{asks} for {value}; {ELSEWHERE}"
            )
    return DONE if (folder / "result.json").exists() else STOPPED


def words(run, out, data_dir):
    """The script's command line: from the start, or on from a stopped run."""
    folder = out / run.folder
    if state(run, out, data_dir) == STOPPED:
        return [f"--resume={folder}", f"--data_dir={data_dir}"]
    return [*run.words, f"--run_dir={folder}", f"--data_dir={data_dir}"]


def train(todo, out, data_dir, jobs, on_start, client=None):
    """Train runs, several at a time.

    Where a worker is lost, its run goes on elsewhere; one that ends its
    workers is given up.

    Args:
        todo: list of `plan.Run`, in order.
        out, data_dir: see `state`.
        jobs: number of worker processes; 1 trains in this process. On a
            cluster, the least number of runs to have under way, which lets
            one grow that does so on demand.
        on_start: called with each run that is handed to a worker.
        client: of `cluster.connect`; the cluster's workers train, one run at
            a time each. None: processes of this machine do.

    Yields:
        (run, error) as the runs end; the error is one line, or None.

    Raises:
        UserError: the scheduler is lost, or what its workers write is not
            seen here.
    """
    if client is None:
        yield from _train_here(todo, out, data_dir, jobs, on_start)
    else:
        yield from _train_there(todo, out, data_dir, jobs, on_start, client)


def _train_here(todo, out, data_dir, jobs, on_start):
    left = {run.folder: run for run in todo}
    suspects = []
    while left:
        # Who dies alone is guilty; in company, nobody knows who it was.
        alone = suspects.pop(0) if suspects else None
        batch = [left[alone]] if alone else list(left.values())
        started = []

        def note(run, started=started):
            started.append(run)
            on_start(run)

        try:
            for folder, error in _parallel(
                _noted(batch, note), out, data_dir, jobs
            ):
                yield left.pop(folder), error
        except TerminatedWorkerError:
            under_way = [run for run in started if run.folder in left]
            for run in under_way:
                if state(run, out, data_dir) == DONE:
                    # It ended, but its worker could not say so.
                    yield left.pop(run.folder), None
                elif alone:
                    yield left.pop(run.folder), DIED
                else:
                    suspects.append(run.folder)


def _train_there(todo, out, data_dir, jobs, on_start, client):
    # The workers may have been started elsewhere.
    out, data_dir = out.absolute(), data_dir.absolute()
    tasks = ((run, out, data_dir) for run in _noted(todo, on_start))
    ended = cluster.results(
        client, _train_alone, tasks, lambda threads: max(jobs, len(threads))
    )
    for (run, *_), result, error in ended:
        if error is not None:
            yield run, cluster.explain(error)
            continue
        folder, error = result
        if not error:
            _await_result(out / folder)
        yield run, error


def _await_result(folder):
    """Wait until what a worker has written can be read here."""
    since = time.monotonic()
    while not (folder / "result.json").exists():
        if time.monotonic() - since > SHARED_SECONDS:
            raise UserError(
                f"a worker has trained {folder}, but its files are not here; "
                "choose an --out that all machines see under the same path"
            )
        time.sleep(0.1)


def _parallel(todo, out, data_dir, jobs):
    """Results of `_train` as they come, from `jobs` processes."""
    threads = max(1, joblib.cpu_count() // jobs)
    with joblib.parallel_config("loky", inner_max_num_threads=threads):
        parallel = joblib.Parallel(
            jobs,
            return_as="generator_unordered",
            pre_dispatch=jobs,
            batch_size=1,
        )
        yield from parallel(
            joblib.delayed(_train)(run, out, data_dir, os.getpid(), threads)
            for run in todo
        )


def _noted(todo, note):
    for run in todo:
        note(run)
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
        try:
            # A worker that was given up, or whose comparison was killed, may
            # still be at this run.
            fcntl.flock(file, fcntl.LOCK_EX)
            if state(run, out, data_dir) != DONE:
                _call_script(run, out, data_dir)
        # Training can fail in any way; the other runs go on.
        except Exception as error:
            traceback.print_exc()
            return run.folder, _one_line(error)
    return run.folder, None


def _train_alone(run, out, data_dir):
    """`_train` in a process beside a Dask worker, with the worker's threads.

    Dask's own threads draw from Python's random numbers: in the worker itself,
    no run would end like another. And a run that ends its process takes
    nothing else along.
    """
    import distributed

    if not ALONE.acquire(timeout=WATCH_SECONDS):
        raise distributed.Reschedule
    try:
        threads = distributed.get_worker().state.nthreads
        facts = {**vars(run), "folder": str(run.folder), "args": None}
        places = str(out), str(data_dir)
        done = subprocess.run(
            [sys.executable, "-m", "samtl.comparison.sweep"],
            input=json.dumps([facts, *places, os.getpid(), threads]),
            env=_environment(threads),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        ALONE.release()
    if done.returncode:
        return run.folder, DIED
    return run.folder, json.loads(done.stdout.splitlines()[-1])


def _environment(threads):
    """That of this process, its places of modules, and numbers of threads."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        **dict.fromkeys(THREADS, str(threads)),
    }


@functools.cache
def _settle_worker(parent, threads):
    """Make a worker process modest, and let it end with its parent."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, str(threads))
    # Workers that share a GPU must not take all of its memory.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # Ctrl-C reaches all processes of a terminal; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch():
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    if os.getppid() == parent:
        threading.Thread(target=watch, daemon=True).start()


def _call_script(run, out, data_dir):
    argv = words(run, out, data_dir)
    # One that was killed while it wrote its arguments left half a file.
    for path in (out / run.folder).glob(".args.*"):
        path.unlink()
    before, sys.argv = sys.argv, [f"{run.script}.py", *argv]
    _forget_peak_memory()
    try:
        importlib.import_module(run.script).main(argv)
    finally:
        sys.argv = before
        if "keras" in sys.modules:
            # Without it, every run would leave its graphs to the next.
            sys.modules["keras"].utils.clear_session()


def _forget_peak_memory():
    """Let the peak that a run reports be its own, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _batch_size(run, data_dir, saved):
    """The batch size of a run: its largest training set may be smaller.

    Where the data is not, that of the saved run may have been lowered so.
    """
    asked, sizes = run.args.batch_size, []
    for name, limit in command_line.limits(run.args, run.datasets).items():
        path = Path(data_dir) / "db" / f"{name}.json"
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            rows = facts["counts"]["train"]["rows"]
        except (OSError, ValueError, KeyError):
            return min(asked, saved or asked)
        sizes.append(min(rows, limit or rows))
    return min(asked, max(sizes))


def _one_line(error):
    line = next(iter(str(error).strip().splitlines()), "")
    is_plain = isinstance(error, UserError)
    return line if is_plain else f"{type(error).__name__}: {line}"


def main():
    """The other end of `_train_alone`; prints the run's error as JSON."""
    facts, out, data_dir, parent, threads = json.load(sys.stdin)
    script = importlib.import_module(facts["script"])
    args = command_line.parse(script.parser(), facts["words"])
    facts |= {"folder": Path(facts["folder"]), "args": args}
    run = plan.Run(**facts)
    _, error = _train(run, Path(out), Path(data_dir), parent, threads)
    print(json.dumps(error))


if __name__ == "__main__":
    main()

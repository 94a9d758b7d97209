"""Trains the runs of a comparison, on this machine or on a Dask cluster.

Every run is the training script's own `main`, in a process of
`samtl.comparison.worker`. Here each job has one, which lives on from run to
run. On a cluster every run has its own, beside the Dask worker: that one
outlives the comparison, and must neither keep the memory of a GPU nor train
with code that has changed since.
"""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from pathlib import Path

import joblib

from samtl.common.errors import UserError
from samtl.comparison.plan import Run
from samtl.comparison.states import DONE, state
from samtl.comparison.worker import DIED, Worker
from samtl.distributed import cluster

BUSY_SECONDS = 1.0  # how long a Dask worker waits for the run that it trains
SHARED_SECONDS = 90  # NFS may show a file a minute after it was written
BUSY = threading.Lock()  # held by the run of a Dask worker


def train(
    todo: list[Run],
    out: Path,
    data_dir: Path,
    jobs: int,
    on_start: Callable[[Run], None],
    client=None,
) -> Iterator[tuple[Run, str | None]]:
    """Train runs, several at a time.

    A run whose process dies ends no other. If others ran beside it, it is tried
    again at the end, alone. On a cluster, a run goes on elsewhere when it loses
    its Dask worker.

    Args:
        todo: the runs, in order.
        out, data_dir: see `states.state`.
        jobs: number of worker processes. On a cluster, the least number of
            runs to have under way, which lets one grow that does so on demand.
        on_start: called with each run that is handed to a worker.
        client: of `cluster.connect`; the cluster's workers train, one run at
            a time each. None: processes of this machine do.

    Yields:
        (run, error) as the runs end; the error is one line, or None.

    Raises:
        UserError: the scheduler is lost, or the files of its workers are not
            visible here.
    """
    if client is None:
        yield from _train_here(todo, out, data_dir, jobs, on_start)
    else:
        yield from _train_there(todo, out, data_dir, jobs, on_start, client)


def _train_here(todo, out, data_dir, jobs, on_start):
    """Train in workers; a run that dies beside others is tried again alone."""
    is_shared = jobs > 1
    threads = max(1, joblib.cpu_count() // jobs) if is_shared else None
    workers = [Worker(threads) for _ in range(jobs)]
    died = []
    for run, error in _work(_noted(todo, on_start), out, data_dir, workers):
        # The memory may have been too small for all of them, not for this one.
        if error == DIED and is_shared:
            died.append(run)
        else:
            yield run, error
    yield from _work(_noted(died, on_start), out, data_dir, workers[:1])


def _work(runs, out, data_dir, workers):
    """(run, error) of each run, as it ends in one of the workers."""
    runs, idle, busy = iter(runs), list(workers), {}
    try:
        while True:
            for run in itertools.islice(runs, len(idle)):
                worker = idle.pop()
                worker.start(run, out, data_dir)
                busy[worker] = run
            if not busy:
                return
            for worker in wait(busy):
                run, error = busy.pop(worker), worker.error()
                idle.append(worker)
                if error == DIED and state(run, out, data_dir) == DONE:
                    error = None  # it ended before its worker died
                yield run, error
    finally:
        for worker in workers:
            worker.close()


def _noted(runs, on_start):
    for run in runs:
        on_start(run)
        yield run


def _train_there(todo, out, data_dir, jobs, on_start, client):
    # The workers may have been started in another folder.
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
    """Wait until the files of a worker can be read here."""
    since = time.monotonic()
    while not (folder / "result.json").exists():
        if time.monotonic() - since > SHARED_SECONDS:
            raise UserError(
                f"a worker has trained {folder}, but its files are not here; "
                "choose an --out that all machines see under the same path"
            )
        time.sleep(0.1)


def _train_alone(run, out, data_dir):
    """Train a run in a process beside a Dask worker, with its threads.

    Dask's own threads draw from Python's random numbers: in the Dask worker
    itself, no run would be reproducible. And a run that ends its process ends
    nothing else.

    Returns:
        (the run's folder, its error or None).
    """
    import distributed

    if not BUSY.acquire(timeout=BUSY_SECONDS):
        raise distributed.Reschedule
    try:
        threads = distributed.get_worker().state.nthreads
        with contextlib.closing(Worker(threads)) as worker:
            worker.start(run, out, data_dir)
            return run.folder, worker.error()
    finally:
        BUSY.release()

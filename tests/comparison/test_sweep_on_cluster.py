"""A cluster trains what this machine would, whatever becomes of a worker."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import distributed
import psutil
import pytest

import compare
from samtl.common.errors import UserError
from samtl.comparison import sweep
from samtl.distributed import cluster
from tests.comparison import small_plan, stub


def test_a_run_that_ends_its_process_ends_no_other(scheduler, tmp_path):
    seeds = [stub.DEATH, stub.GOOD, stub.MISTAKE]
    todo = [stub.run(seed, number=n) for n, seed in enumerate(seeds)]
    started = []
    with cluster.connect(scheduler) as client:
        ended = list(
            sweep.train(
                todo, tmp_path, tmp_path / "data", 1, started.append, client
            )
        )
    assert started == todo
    assert sorted(todo.index(run) for run, _ in ended) == [0, 1, 2]
    errors = {run.folder: error for run, error in ended}
    assert [errors[run.folder] for run in todo] == [
        "its process died, perhaps out of memory",
        None,
        "no such file; choose another",
    ]


def test_results_that_are_not_seen_here(tmp_path, monkeypatch):
    run = stub.run(stub.GOOD)
    ended = [((run,), (run.folder, None), None)]
    monkeypatch.setattr(cluster, "results", lambda *arguments: ended)
    monkeypatch.setattr(sweep, "SHARED_SECONDS", 0)
    with pytest.raises(UserError, match="choose an --out that all machines"):
        list(sweep.train([run], tmp_path, tmp_path, 1, print, "a client"))


def _kill(scheduler, run):
    """Kill the worker of a run after a round; returns when it wrote that."""
    small_plan.wait((run / "state.npz").exists)
    written = (run / "weights_round1.csv").stat().st_mtime_ns
    with distributed.Client(scheduler, set_as_default=False) as client:
        workers = client.run(os.getpid).values()
    (worker,) = {
        worker
        for worker in workers
        for trainer in psutil.Process(worker).children()
        for file in trainer.open_files()
        if file.path == str(run.with_suffix(".log"))
    }
    os.kill(worker, signal.SIGKILL)
    assert not (run / "result.json").exists(), "killed too late"
    return written


def test_a_killed_worker_does_not_change_the_results(
    data_dir, whole, scheduler, tmp_path, monkeypatch
):
    run = tmp_path / "runs/emotion-pose/sa-mtl-hard/seed0"
    small_plan.shrink(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(_kill, scheduler, run)
        words = small_plan.words(data_dir, tmp_path)
        assert compare.main([*words, f"--scheduler={scheduler}"]) == 0
        written = killed.result()
    # The run went on after its first round.
    assert (run / "weights_round1.csv").stat().st_mtime_ns == written
    small_plan.assert_same(whole, tmp_path)

"""Runs are skipped, resumed, compared and outlived, whatever happens."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import joblib
import pandas as pd
import pytest

import compare
from samtl.common import files, locks
from samtl.common.errors import UserError
from samtl.comparison import plan, results, states, sweep
from tests.comparison import small_plan, stub

ROOT = Path(__file__).parents[2]


def _train(todo, out, jobs):
    """{folder: error} of all runs, and the folders in the order of starting."""
    started = []
    ended = list(
        sweep.train(
            todo,
            out,
            out / "data",
            jobs,
            lambda run: started.append(run.folder),
        )
    )
    errors = {run.folder: error for run, error in ended}
    assert len(errors) == len(ended), "a run was counted twice"
    return errors, started


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failed_run_does_not_stop_the_others(tmp_path, jobs):
    seeds = [stub.GOOD, stub.MISTAKE, stub.DEFECT, stub.GOOD]
    todo = [stub.run(seed, number=n) for n, seed in enumerate(seeds)]
    errors, started = _train(todo, tmp_path, jobs)
    assert started == [run.folder for run in todo]
    assert [errors[folder] for folder in started] == [
        None,
        "no such file; choose another",
        "RuntimeError: out of range",
        None,
    ]
    logs = [(tmp_path / f"{run.folder}.log").read_text() for run in todo]
    assert "second line" in logs[2]
    workers = {_process(log) for log in logs}
    assert len(workers) <= jobs, "a worker should serve many runs"
    assert os.getpid() not in workers
    threads = max(1, joblib.cpu_count() // 2) if jobs == 2 else None
    assert all(f"threads {threads}\n" in log for log in logs)
    found = [states.state(run, tmp_path, tmp_path / "data") for run in todo]
    assert found == ["done", "stopped", "stopped", "done"]


def _process(log):
    """The process of a stub's log."""
    return int(log.split()[1])


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_dead_worker_does_not_stop_the_others(tmp_path, jobs):
    """A run that dies beside others is tried again, alone and last."""
    seeds = [stub.DEATH, stub.GOOD, stub.MISTAKE, stub.GOOD]
    todo = [stub.run(seed, number=n) for n, seed in enumerate(seeds)]
    errors, started = _train(todo, tmp_path, jobs)
    again = [todo[0].folder] if jobs == 2 else []
    assert started == [*(run.folder for run in todo), *again]
    log = (tmp_path / f"{todo[0].folder}.log").read_text()
    assert log.count("process ") == jobs
    assert [errors[run.folder] for run in todo] == [
        "its process died, perhaps out of memory",
        None,
        "no such file; choose another",
        None,
    ]


def test_a_log_that_cannot_be_written_is_the_runs_error(tmp_path):
    out = tmp_path / "file"
    out.touch()
    errors, _ = _train([stub.run(stub.GOOD)], out, 1)
    (error,) = errors.values()
    assert error.startswith("NotADirectoryError: ")


def test_a_sweep_that_is_interrupted_ends_its_workers(tmp_path):
    waiting = stub.run(stub.WAIT)
    sweeping = sweep.train(
        [waiting, stub.run(stub.GOOD)], tmp_path, tmp_path, 2, print
    )
    assert next(sweeping)[1] is None
    log = tmp_path / f"{waiting.folder}.log"
    small_plan.wait(lambda: log.exists() and log.read_text().count("\n"))
    worker = _process(log.read_text())
    assert _is_alive(worker)
    sweeping.close()  # as Ctrl-C does
    assert not _is_alive(worker)


def test_a_worker_ends_with_its_parent(tmp_path):
    code = (
        "import pathlib, sys\n"
        "from tests.comparison import stub\n"
        "from samtl.comparison import sweep\n"
        "todo = [stub.run(stub.WAIT, number=n) for n in (0, 1)]\n"
        "out = pathlib.Path(sys.argv[1])\n"
        "list(sweep.train(todo, out, out, 2, print))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, tmp_path], cwd=ROOT)
    log = tmp_path / f"{stub.run(stub.WAIT).folder}.log"
    small_plan.wait(
        lambda: log.exists() and log.read_text().count("\n"), parent
    )
    worker = _process(log.read_text())
    assert worker != parent.pid
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    small_plan.wait(lambda: not _is_alive(worker))


def _is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # A dead child that nobody has waited for still has its number.
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or ") Z" not in status.read_text()


def _save(out, run, result=False, **changes):
    arguments = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(run.args).items()
    }
    arguments |= changes
    for name in [name for name, value in changes.items() if value is ...]:
        del arguments[name]
    folder = out / run.folder
    files.write_json(folder / "args.json", {"arguments": arguments})
    if result:
        files.write_json(folder / "result.json", {})


def test_a_run_is_known_by_its_arguments(tmp_path):
    run = stub.run(0, "--is_dropout=True")
    data = tmp_path / "data"
    assert states.state(run, tmp_path, data) == "to do"
    _save(tmp_path, run, cache_gb=1.0, data_dir="elsewhere", run_dir="there")
    assert states.state(run, tmp_path, data) == "stopped"
    assert states.command(run, tmp_path, data)[0].startswith("--resume=")
    _save(tmp_path, run, result=True)
    assert states.state(run, tmp_path, data) == "done"
    _save(tmp_path, run, patience=...)  # a flag that came later
    assert states.state(run, tmp_path, data) == "done"
    _save(tmp_path, run, is_dropout=...)  # one that the plan asks for
    with pytest.raises(UserError, match=r"is_dropout None, but .* True"):
        states.state(run, tmp_path, data)
    _save(tmp_path, run, class_weights=["pose"])  # no longer in the plan
    with pytest.raises(UserError, match=r"class_weights .*pose.* for None"):
        states.state(run, tmp_path, data)
    _save(tmp_path, run, script="STL_general_train")
    with pytest.raises(UserError, match=r"trained by STL_general_train\.py"):
        states.state(run, tmp_path, data)
    _save(tmp_path, run, learning_rate=0.1)
    with pytest.raises(UserError, match=r"_rate 0\.1, but .* 0\.003"):
        states.state(run, tmp_path, data)


def test_a_batch_size_that_the_data_has_lowered_is_the_same(tmp_path):
    run = stub.run(0, "--batch_size=64", "--limit", "mtfl:30")
    for name, rows in (("ferplus", 40), ("mtfl", 50)):
        counts = {"train": {"rows": rows}}
        files.write_json(tmp_path / f"db/{name}.json", {"counts": counts})
    _save(tmp_path, run, batch_size=40)
    assert states.state(run, tmp_path, tmp_path) == "stopped"
    _save(tmp_path, run, batch_size=30)
    with pytest.raises(UserError, match=r"batch_size 30, but .* 40"):
        states.state(run, tmp_path, tmp_path)


def test_a_lowered_batch_size_is_known_without_the_data(tmp_path):
    run = stub.run(0, "--batch_size=64")
    nowhere = tmp_path / "nowhere"
    _save(tmp_path, run, result=True, batch_size=40)
    assert states.state(run, tmp_path, nowhere) == "done"
    _save(tmp_path, run, batch_size=65)
    with pytest.raises(UserError, match=r"batch_size 65, .* data ask for 64"):
        states.state(run, tmp_path, nowhere)


def test_a_run_with_damaged_arguments_is_named(tmp_path):
    run = stub.run(stub.GOOD)
    _save(tmp_path, run, result=True)
    path = tmp_path / run.folder / "args.json"
    path.write_text(path.read_text()[:20])
    with pytest.raises(UserError, match=r"args\.json was damaged; delete"):
        states.state(run, tmp_path, tmp_path)


def test_a_single_task_is_trained_once_for_all_pairs(tmp_path):
    """By the first pair, unless another has trained it before."""
    first, second, other = (
        dataclasses.replace(
            stub.run(seed), pair=pair, tasks=("emotion",), folder=Path(pair)
        )
        for seed, pair in ((0, "first"), (0, "second"), (3, "other"))
    )
    several = dataclasses.replace(first, tasks=("emotion", "pose"))

    def folders():
        runs = [first, other, several, second, several]
        shared = states.share(runs, tmp_path, tmp_path / "data")
        assert [run.pair for run in shared] == [run.pair for run in runs]
        return [str(run.folder) for run in shared]

    assert folders() == ["first", "other", "first", "first", "first"]
    _save(tmp_path, second)
    assert folders() == ["second", "other", "first", "second", "first"]
    _save(tmp_path, first, result=True)
    assert folders() == ["first", "other", "first", "first", "first"]
    _save(tmp_path, first, result=True, epoch=9)  # that of another plan
    assert folders() == ["second", "other", "first", "second", "first"]


def test_half_written_arguments_are_deleted(tmp_path):
    run = stub.run(stub.GOOD)
    folder = tmp_path / run.folder
    folder.mkdir(parents=True)
    (folder / ".args.abcdefgh.tmp.json").write_text("{")
    errors, _ = _train([run], tmp_path, 1)
    assert errors == {run.folder: None}
    assert not list(folder.glob(".args*"))


def test_a_killed_comparison_ends_with_the_same_results(
    data_dir, request, tmp_path, capsys, monkeypatch
):
    """And a run's bits do not depend on what its process trained before."""
    small_plan.shrink(monkeypatch)
    killed = tmp_path / "killed"
    code = (
        "import pytest, compare\n"
        "from tests.comparison import small_plan\n"
        "small_plan.shrink(pytest.MonkeyPatch())\n"
        "compare.main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *small_plan.words(data_dir, killed)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    whole = request.getfixturevalue("whole")  # beside it
    second = killed / "runs/emotion-pose/sa-mtl-hard/seed0"
    small_plan.wait((second / "metrics.csv").exists, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (second / "result.json").exists(), "killed too late"
    assert compare.main([*small_plan.words(data_dir, killed), "--dry_run"]) == 0
    assert "1 done, 1 stopped" in capsys.readouterr().out
    assert compare.main(small_plan.words(data_dir, killed)) == 0
    output = capsys.readouterr().out
    assert "2/2  emotion-pose/sa-mtl-hard/seed0  " in output
    small_plan.assert_same(whole, killed)
    assert (killed / "report.html").exists()


def test_failures_stay_until_their_runs_are_tried_again(
    data_dir, tmp_path, monkeypatch
):
    words = small_plan.words(data_dir, tmp_path)
    (run, *_) = plan.runs(plan.read_plan(words[0].partition("=")[2]))
    results.write_failed([run], tmp_path, {run.folder: "no memory"})
    before = (tmp_path / "failed.csv").read_text()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(compare, "_train", stop)
    with pytest.raises(KeyboardInterrupt):
        compare.main(words)
    assert (tmp_path / "failed.csv").read_text() == before


def test_another_plan_does_not_overwrite_runs(data_dir, tmp_path):
    run, _ = plan.runs(plan.read_plan(data_dir / "plan.toml"))
    _save(tmp_path, run, result=True, epoch=9)
    with pytest.raises(UserError, match=r"with epoch 9, but .* 4; move"):
        compare.main(small_plan.words(data_dir, tmp_path))


@pytest.mark.parametrize("gone", ["emotion-pose/sa-mtl-hard", ""])
def test_tables_outlive_the_folders_of_their_runs(
    whole, data_dir, tmp_path, monkeypatch, gone
):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    words = small_plan.words(data_dir, out)
    names = ("results.csv", "rounds.csv", "plan.toml")
    before = [(out / name).read_bytes() for name in names]
    monkeypatch.setattr(sweep, "train", _none_to_train)
    shutil.rmtree(out / "runs" / gone)
    assert compare.main(words) == 0
    assert [(out / name).read_bytes() for name in names] == before
    with locks.held(out / ".lock", "another one trains"):
        assert compare.main([*words, "--report_only=True"]) == 0
    assert [(out / name).read_bytes() for name in names] == before


def _none_to_train(todo, *_):
    assert not todo
    return []


def test_rows_that_the_plan_would_lose_are_kept(whole, data_dir, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    words = small_plan.words(data_dir, out)
    shutil.rmtree(out / "runs" / "emotion-pose" / "sa-mtl-hard")
    one = r"sa-mtl-hard/seed0 is in .*python -m samtl\.comp"
    with pytest.raises(UserError, match=one):
        compare.main([*words, "--seeds", "1"])
    text = (data_dir / "plan.toml").read_text()
    other = tmp_path / "other.toml"
    other.write_text(f"{text}cluster_k = 9\n")
    with pytest.raises(UserError, match=r"from other arguments .*--epoch=8"):
        compare.main([f"--plan={other}", *words[1:]])
    # A table of an earlier version does not say what it is from.
    table = pd.read_csv(out / "results.csv", dtype=str)
    assert len(table) == 4
    table.drop(columns="command").to_csv(out / "results.csv", index=False)
    with pytest.raises(UserError, match=one):
        compare.main([*words, "--report_only=True"])


def test_the_plan_in_the_folder_is_that_of_its_tables(
    whole, data_dir, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    monkeypatch.setattr(sweep, "train", lambda *_: [])
    words = [f"--out={out}", f"--data_dir={data_dir}"]
    own = f"--plan={out / 'plan.toml'}"
    assert compare.main([own, *words]) == 0
    assert pd.read_csv(out / "results.csv")["seed"].tolist() == [0] * 4
    assert compare.main([own, *words, "--seeds", "0", "1"]) == 0
    assert plan.read_plan(out / "plan.toml")["seeds"] == [0, 1]


def test_listing_the_runs_needs_no_keras(data_dir, tmp_path):
    code = "import sys, compare; compare.main(); print('keras' in sys.modules)"
    words = [*small_plan.words(data_dir, tmp_path / "out"), "--dry_run"]
    result = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = result.stdout.splitlines()
    assert lines[-2:] == ["2 to do", "False"]
    assert lines[1].startswith(
        "to do  emotion-pose  All-in-one    0     python"
    )
    assert lines[1].count("--") > 5
    assert not (tmp_path / "out").exists()

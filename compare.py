"""Compare methods: methods x pairs of datasets x seeds, one protocol.

A plan (plans/*.toml) names them; each run is the training script of its
method. A plan whose rows see unequal labels, batches or steps is refused.
Finished runs are skipped, stopped ones are resumed, failed ones are recorded
and the rest go on: the same command may be stopped and repeated at any time,
and a plan that has grown trains only the new runs.

The output in --out: results.csv, one row a run and task; rounds.csv, one row a
round; failed.csv; table.md and report.html. runs/ below it has the runs'
folders and logs.
"""

# What loads pandas is imported in functions: it takes seconds, and --help and
# a wrong flag should not.

import collections
import contextlib
import shlex
from pathlib import Path

from samtl.cli import command_line
from samtl.common import files, flags
from samtl.common.errors import REPEAT, UserError, on_interrupt, run_script
from samtl.common.text import counted, printable
from samtl.distributed import cluster

EXAMPLES = """examples:
  python compare.py
      four methods on synthetic faces, in a few minutes
  python compare.py --dry_run
      list the runs, with the command line of each
  python compare.py --plan=plans/small.toml --jobs=2
      every method on few labelled images of real faces
  python compare.py --plan=plans/main.toml --scheduler=tcp://10.0.0.1:8786
      on the machines of a Dask cluster (docs/cluster.md)
"""


def parser():
    parser = command_line.parser(__doc__, EXAMPLES)
    flag = command_line.add_flag
    text = "TOML file of methods, pairs and seeds"
    flag(parser, "plan", Path, Path("plans/smallest.toml"), text)
    text = "folder of the comparison (default: comparison/<name of the plan>)"
    flag(parser, "out", Path, None, text)
    text = "folder of the prepared datasets"
    flag(parser, "data_dir", Path, Path("data"), text)
    text = (
        "runs at a time, each in a process with its share of the cores; on a "
        "cluster, one a worker or so many, if that is more"
    )
    flag(parser, "jobs", flags.Number(int, 1), 1, text)
    cluster.add_flag(parser, "the runs")
    text = "seeds to use instead of the plan's"
    number = flags.Number(int, 0, 2**32 - 1)
    flag(parser, "seeds", number, None, text, many=True)
    text = (
        "images of every dataset, or of one as in ferplus:1000, used for "
        "training and at most for validation, instead of the plan's; 0: all"
    )
    flag(parser, "limit", flags.limit, None, text, many=True)
    text = (
        "train the plan's trials instead, other settings of each method, and "
        "print which of them is best on validation"
    )
    flag(parser, "trials", flags.boolean, False, text)
    text = "list the runs and train none"
    flag(parser, "dry_run", flags.boolean, False, text)
    text = "train none, write the tables and the report of the finished runs"
    flag(parser, "report_only", flags.boolean, False, text)
    return parser


def main(argv=None):
    """Returns the exit code: 1 where a run has failed."""
    args = command_line.parse(parser(), argv)
    from samtl.common import locks
    from samtl.comparison import plan, protocol, states

    name = args.plan.stem + ("-trials" if args.trials else "")
    out = args.out or Path("comparison", name)
    wanted = _wanted(args)
    runs = states.share(plan.runs(wanted), out, args.data_dir)
    once = {}
    for run in runs:
        once.setdefault(run.folder, run)
    if not (args.dry_run or args.report_only):
        _draw(runs, args.data_dir)
    fault = None
    if not args.report_only:
        fault = protocol.fault(wanted, runs, args.data_dir)
    if args.dry_run:
        found = {
            f: states.state(r, out, args.data_dir) for f, r in once.items()
        }
        _list(once.values(), found, out, args.data_dir)
        if fault:
            print(fault)
        return 0
    if fault:
        raise UserError(fault)
    if args.report_only:
        found = [(r, states.state(r, out, args.data_dir)) for r in runs]
        done = {run.folder for run, state in found if state == states.DONE}
        return _report(args, wanted, runs, done, out)
    on_interrupt(REPEAT)
    with locks.held(
        out / ".lock",
        f"another compare.py works in {out}",
        "wait until it ends, or choose another --out",
    ):
        return _compare(args, wanted, runs, once, out)


def _compare(args, wanted, runs, once, out):
    """Train what is left, and write the tables and the report."""
    from samtl.comparison import results, states

    results.require_runs(out, once)
    # Another comparison may have trained some meanwhile.
    found = {f: states.state(r, out, args.data_dir) for f, r in once.items()}
    # Those of an earlier call, until they are tried again.
    left = [f for f, state in found.items() if state != states.DONE]
    failures = results.read_failed(out, left)
    try:
        _train(list(once.values()), found, out, args, failures)
    finally:
        with _tables(out):
            results.write_failed(runs, out, failures)
    if failures:
        count = counted(len(failures), "run")
        print(f"{count} failed: {out / 'failed.csv'} says why")
    _report(args, wanted, runs, once, out)
    return 1 if failures else 0


def _report(args, wanted, runs, safe, out):
    """Write the tables and the report of the finished runs.

    Args:
        safe: see `results.require_runs`.

    Returns:
        the exit code, 0.
    """
    from samtl.comparison import plan, report, results, tuning

    with _tables(out):
        results.require_runs(out, safe)
        plan.write_plan(wanted, args.plan, out / "plan.toml")
        results.write_tables(runs, out)
        caveats = report.write_report(out)
    if args.trials:
        tuning.print_choice(out, wanted)
    print(out / "report.html")
    if caveats:
        print("not to be concluded from this:", "; ".join(caveats))
    return 0


@contextlib.contextmanager
def _tables(out):
    """Write tables as the only process, once others have; for `with`."""
    from samtl.common import locks

    with locks.held(out / ".tables", None):
        for folder in (out, out / "figures"):
            files.sweep(folder)
        yield


def _wanted(args):
    """The plan that a command line asks for."""
    from samtl.comparison import plan, tuning

    if args.trials and args.seeds:
        raise UserError("--trials have seeds of their own; omit --seeds")
    wanted = plan.override(plan.read_plan(args.plan), args.seeds, args.limit)
    return tuning.trial_plan(wanted) if args.trials else wanted


def _list(runs, found, out, data_dir):
    from samtl.comparison import states

    rows = [("state", "pair", "method", "seed", "command")]
    for run in runs:
        words = states.command(run, out, data_dir)
        command = shlex.join(["python", f"{run.script}.py", *words])
        command = printable(command)
        names = (found[run.folder], run.pair, run.title, str(run.seed))
        rows.append((*names, command))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for *names, command in rows:
        # The command is last and never cut, so that it can be pasted.
        cells = (f"{n:{w}}" for n, w in zip(names, widths, strict=False))
        print(*cells, command, sep="  ")
    counts = collections.Counter(found.values())
    print(*(f"{count} {state}" for state, count in counts.items()), sep=", ")


def _draw(runs, data_dir):
    """Draw the synthetic datasets; two workers must not do so at a time."""
    from data_preparation import synthetic

    names = {name for run in runs for name in run.datasets}
    synthetic.ensure(names, data_dir)


def _train(runs, found, out, args, failures):
    """Train the runs to do, and add the errors of failed ones to `failures`."""
    from samtl.comparison import progress, states, sweep

    done = [f for f, state in found.items() if state == states.DONE]
    todo = [run for run in runs if run.folder not in done]
    with (
        cluster.connect(args.scheduler) as client,
        progress.Progress(runs, done, out) as shown,
    ):
        for run, error in sweep.train(
            todo, out, args.data_dir, args.jobs, shown.start, client
        ):
            shown.end(run, error)
            failures.pop(run.folder, None)
            if error:
                failures[run.folder] = error


if __name__ == "__main__":
    run_script(main)

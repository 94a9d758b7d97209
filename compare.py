"""Compare methods: methods x pairs of datasets x seeds, one protocol.

A plan (plans/*.toml) names them; each run is the training script of its
method. Finished runs are skipped, stopped ones go on, failed ones are written
down and the rest go on: the same command may be stopped and given again at
any time, and a plan that has grown trains what is new.

Into --out go results.csv, one row a run and task; rounds.csv, one row a round;
failed.csv; table.md and report.html. runs/ below it has the runs' folders and
logs.
"""

import shutil
import time
from pathlib import Path

from utils import cli, flags
from utils.comparison import plan, results, sweep
from utils.errors import run_script

EXAMPLES = """examples:
  python compare.py
      four methods on drawn faces, in a few minutes
  python compare.py --dry_run
      list the runs, with the command line of each
  python compare.py --plan=plans/small.toml --jobs=2
      every method on few labelled images of real faces
"""


def parser():
    parser = cli.parser(__doc__, EXAMPLES)
    flag = cli.add_flag
    text = "TOML file of methods, pairs and seeds"
    flag(parser, "plan", Path, Path("plans/smallest.toml"), text)
    text = "folder of the comparison (default: comparison/<name of the plan>)"
    flag(parser, "out", Path, None, text)
    text = "folder of the prepared datasets"
    flag(parser, "data_dir", Path, Path("data"), text)
    text = "runs at a time, each in a process with its share of the cores"
    flag(parser, "jobs", flags.Number(int, 1), 1, text)
    text = "seeds to use instead of the plan's"
    number = flags.Number(int, 0, 2**32 - 1)
    flag(parser, "seeds", number, None, text, many=True)
    text = (
        "training images of every dataset, or of one as in ferplus:1000, "
        "instead of the plan's; 0: all"
    )
    flag(parser, "limit", flags.limit, None, text, many=True)
    text = "list the runs and train none"
    flag(parser, "dry_run", flags.boolean, False, text)
    text = "train none, write the tables and the report of the finished runs"
    flag(parser, "report_only", flags.boolean, False, text)
    return parser


def main(argv=None):
    args = cli.parse(parser(), argv)
    out = args.out or Path("comparison", args.plan.stem)
    runs = plan.runs(plan.load(args.plan), args.seeds, args.limit)
    states = {
        run.folder: (run, sweep.state(run, out, args.data_dir)) for run in runs
    }
    if args.dry_run:
        for run, state in states.values():
            print(state, plan.command(run))
        return
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(args.plan, out / "plan.toml")
    failures = {}
    todo = [run for run, state in states.values() if state != sweep.DONE]
    if not args.report_only:
        from data_preparation import synthetic

        synthetic.ensure({n for r in runs for n in r.datasets}, args.data_dir)
        start = time.time()
        for number, (run, error) in enumerate(
            sweep.train(todo, out, args.data_dir, args.jobs), 1
        ):
            print(
                f"{number}/{len(todo)} {run.folder} {error or ''} "
                f"{time.time() - start:.0f} s",
                flush=True,
            )
            if error:
                failures[run.folder] = error
            results.write(runs, out, failures)
    results.write(runs, out, failures)
    return 1 if failures else 0


if __name__ == "__main__":
    run_script(main)

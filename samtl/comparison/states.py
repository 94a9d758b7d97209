"""Which runs of a comparison are done, stopped or still to do."""

import contextlib
import csv
import dataclasses
import functools
from pathlib import Path

from samtl.cli import command_line
from samtl.common import files
from samtl.common.errors import UserError
from samtl.comparison.plan import Run
from samtl.runs import run_folder

DONE, STOPPED, TO_DO = "done", "stopped", "to do"
CURE = "move that folder away or choose another --out"
# Arguments that do not change what is trained.
IRRELEVANT = (
    *command_line.CHANGEABLE_ON_RESUME,
    *("runs", "run_dir", "resume", "figures_every"),
)


def share(runs: list[Run], out: Path, data_dir: Path) -> list[Run]:
    """Let pairs share the single-task runs that they have in common.

    Args:
        runs: all runs of a plan.
        out, data_dir: see `state`.

    Returns:
        The runs, where equal ones have one folder: that of the first run that
        is done already, or else stopped, or else of the first.
    """
    equal = {}
    for run in runs:
        if len(run.tasks) == 1:
            equal.setdefault((run.tasks, run.words), []).append(run)
    folders = {
        key: _furthest(several, out, data_dir).folder
        for key, several in equal.items()
    }
    return [
        dataclasses.replace(
            run, folder=folders.get((run.tasks, run.words), run.folder)
        )
        for run in runs
    ]


def _furthest(equal, out, data_dir):
    """The first of equal runs that is done, else stopped, else the first."""
    for wanted in (DONE, STOPPED):
        for run in equal:
            with contextlib.suppress(UserError):  # another run has its folder
                if state(run, out, data_dir) == wanted:
                    return run
    return equal[0]


def state(run: Run, out: Path, data_dir: Path) -> str:
    """Whether a run is done, stopped or still to do.

    A run without a folder is done where results.csv has it, so that tables
    outlive their runs' folders.

    Args:
        run: of the plan.
        out: folder of the comparison.
        data_dir: folder of the prepared datasets.

    Raises:
        UserError: its folder or results.csv holds a run with other arguments,
            or the folder a damaged one.
    """
    folder = out / run.folder
    if not (folder / "args.json").exists():
        return DONE if is_recorded(run, out) else TO_DO
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
            f"for {script}.py; {CURE}"
        )
    given = [word[2:].split("=")[0] for word in run.words if word[:2] == "--"]
    size = _batch_size(run, data_dir, saved.get("batch_size"))
    asked = vars(run.args) | {"batch_size": size}
    for name, value in asked.items():
        # A flag that the plan does not set may be newer than the run.
        is_open = name not in given and name not in saved
        if name in IRRELEVANT or is_open:
            continue
        value = str(value) if isinstance(value, Path) else value
        if saved.get(name) != value:
            is_size = name == "batch_size"
            asks = "plan and its data ask" if is_size else "plan asks"
            raise UserError(
                f"{folder} was trained with {name} {saved.get(name)}, but the "
                f"{asks} for {value}; {CURE}"
            )
    return DONE if (folder / "result.json").exists() else STOPPED


def is_recorded(run: Run, out: Path) -> bool:
    """Whether results.csv has a run whose folder has gone.

    Raises:
        UserError: it has one of that name with other arguments.
    """
    if (out / run.folder / "args.json").exists():
        return False
    found = _recorded(out).get(str(run.folder))
    if found and found != run.command:
        raise UserError(
            f"{out}/results.csv has {run.folder} from other arguments than the "
            f"plan asks for: {found}; move that table away or choose another "
            "--out"
        )
    return bool(found)


def _recorded(out):
    """{run's folder: its command} of results.csv; empty if it is damaged."""
    path = out / "results.csv"
    try:
        facts = path.stat()
    except OSError:
        return {}
    return _commands(path, facts.st_mtime_ns, facts.st_size)


@functools.lru_cache(maxsize=1)
def _commands(path, *_changes):
    try:
        with path.open(newline="", encoding="utf-8") as file:
            # Tables of earlier versions have no commands.
            return {
                row["run"]: row["command"]
                for row in csv.DictReader(file)
                if row.get("command")
            }
    except (OSError, ValueError, KeyError, csv.Error):
        return {}


def command(run: Run, out: Path, data_dir: Path) -> list[str]:
    """The script's command line: a new run, or the rest of a stopped one."""
    folder = out / run.folder
    if state(run, out, data_dir) == STOPPED:
        return [f"--resume={folder}", f"--data_dir={data_dir}"]
    return [*run.words, f"--run_dir={folder}", f"--data_dir={data_dir}"]


def training_images(run: Run, data_dir: Path) -> dict[str, int] | None:
    """{dataset: images that a run trains on}; None where one is not known."""
    found = {}
    for name, limit in command_line.limits(run.args, run.datasets).items():
        path = Path(data_dir) / "db" / f"{name}.json"
        try:
            rows = files.read_json(path)["counts"]["train"]["rows"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        found[name] = min(rows, limit or rows)
    return found


def _batch_size(run, data_dir, saved):
    """The batch size of a run: its largest training set may be smaller.

    Where the data is missing, that of the saved run may have been lowered so.
    """
    asked = run.args.batch_size
    if not isinstance(asked, int):
        return asked  # one of each dataset, never lowered
    images = training_images(run, data_dir)
    return min(asked, max(images.values()) if images else saved or asked)

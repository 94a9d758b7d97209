"""Progress of a comparison: a live table, or one line a run."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from samtl.common.text import counted
from samtl.comparison.plan import Run

LIVE_PER_SECOND = 1


class Progress:
    """Follows the runs; a context manager.

    On a terminal, a table of methods and pairs with the runs done of those
    wanted, the runs under way with their rounds, and the time left; otherwise
    a line for every run that ends.

    Args:
        runs: list of `plan.Run`, each folder once.
        done: folders of those that are done.
        out: folder of the comparison.
    """

    def __init__(self, runs: list[Run], done: Iterable[Path], out: Path):
        self.out = out
        self.runs = runs
        self.done = set(done)
        self.failed = set()
        self.started = {}  # folder -> time.monotonic()
        self.work = sum(map(_work, runs)) - self._work_done()
        self.begin = time.monotonic()
        # The table stays here, whatever is redirected later.
        self.console = Console(file=sys.stdout)
        self.live = None

    def __enter__(self):
        if self.console.is_terminal:
            self.live = Live(
                console=self.console,
                get_renderable=self.view,
                refresh_per_second=LIVE_PER_SECOND,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self.live.start()
        return self

    def __exit__(self, *exception):
        if self.live:
            self.live.stop()

    def start(self, run: Run) -> None:
        """A run is handed to a worker."""
        self.started[run.folder] = time.monotonic()

    def end(self, run: Run, error: str | None) -> None:
        """A run is over; `error` is a line or None."""
        seconds = time.monotonic() - self.started.pop(run.folder)
        (self.failed if error else self.done).add(run.folder)
        if self.live:
            return
        count = len(self.done) + len(self.failed)
        print(
            f"{count}/{len(self.runs)}  {run.folder.relative_to('runs')}  "
            f"{f'failed: {error}' if error else duration(seconds)}  "
            f"({self._left()})",
            flush=True,
        )

    def view(self) -> Group:
        """The content of the terminal at this moment, for rich."""
        pairs = list(dict.fromkeys(run.pair for run in self.runs))
        table = Table()
        table.add_column("method")
        for pair in pairs:
            table.add_column(pair, justify="right")
        methods = {run.method: run.title for run in self.runs}
        for method, title in methods.items():
            cells = [self._cell(method, pair) for pair in pairs]
            table.add_row(escape(title), *cells)
        # Copied, as runs start and end while this is drawn.
        under_way = list(self.started.items())
        lines = [self._under_way(folder, since) for folder, since in under_way]
        return Group(self._headline(), table, *lines)

    def _cell(self, method, pair):
        found = [
            run.folder
            for run in self.runs
            if run.method == method and run.pair == pair
        ]
        if not found:
            return ""
        done, failed = self.done & set(found), self.failed & set(found)
        text = f"{len(done)}/{len(found)}"
        return f"[red]{len(failed)} failed[/red] {text}" if failed else text

    def _headline(self):
        failed = f", {len(self.failed)} failed" if self.failed else ""
        runs = counted(len(self.runs), "run")
        return f"{len(self.done)} of {runs} done{failed}, {self._left()}"

    def _under_way(self, folder, since):
        seconds = time.monotonic() - since
        rounds = _rounds(self.out / folder / "metrics.csv")
        name = folder.relative_to("runs")
        return f"{name}: round {rounds + 1}, {duration(seconds)}"

    def _left(self):
        """The time left, estimated from the runs of this call."""
        left = sum(map(_work, self.runs)) - self._work_done()
        worked = self.work - left
        if not left or not worked:
            return "time left unknown" if left else "none left"
        seconds = (time.monotonic() - self.begin) * left / worked
        return f"{duration(seconds)} left"

    def _work_done(self):
        over = self.done | self.failed
        return sum(_work(run) for run in self.runs if run.folder in over)


def duration(seconds: float) -> str:
    """A time in usual units: 35 s, 4 min, 3 h 20 min."""
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _work(run):
    """Relative cost of a run: passes are equal, datasets are not."""
    return len(run.datasets)


def _rounds(path):
    try:
        return max(0, path.read_text(encoding="utf-8").count("\n") - 1)
    except OSError:
        return 0

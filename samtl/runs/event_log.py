"""The TensorBoard log of a run."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from samtl.common import files

NAME = "events.out.tfevents.metrics"


class EventLog:
    """Adds the rounds of a run to its TensorBoard log.

    Each start of a run begins a new file, with all rounds so far. Its session
    start tells TensorBoard to drop what earlier files have of these rounds, so
    that each round is shown once. Earlier files may be damaged. TensorBoard's
    own writers would load TensorFlow under any backend.

    Args:
        run: folder of the run.
    """

    def __init__(self, run: Path):
        self._run = run
        self._path = None
        self._size = 0  # of the file, in bytes
        self._last = 0  # round

    def write(self, rows: Sequence[dict]) -> None:
        """Log the rounds that are not logged yet.

        Args:
            rows: as in `results.write_metrics`.

        Raises:
            UserError: a new file cannot be written.
            OSError: the file cannot be appended to.
        """
        if self._is_intact() and rows[-1]["round"] > self._last:
            new = [row for row in rows if row["round"] > self._last]
            with self._path.open("ab") as file:
                _write(file, _events(new))
        else:
            self._path = self._next_path()
            with files.write(self._path) as path, path.open("wb") as file:
                _write(file, [*_start(rows[0]["round"]), *_events(rows)])
        self._size = self._path.stat().st_size
        self._last = rows[-1]["round"]

    def _is_intact(self):
        """Whether the file is as the last call left it."""
        if not (self._path and self._path.exists()):
            return False
        return self._path.stat().st_size == self._size

    def _next_path(self):
        """TensorBoard reads the files in the order of their names."""
        count = len(list(self._run.glob(f"{NAME}*")))
        return self._run / (f"{NAME}.{count + 1:04}" if count else NAME)


def _write(file, events):
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())


def _start(step):
    """Header of a file, and the order to drop earlier events from `step` on."""
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    now = time.time()
    return (
        event_pb2.Event(wall_time=now, file_version="brain.Event:2"),
        event_pb2.Event(wall_time=now, step=step, session_log=start),
    )


def _events(rows) -> Iterator[event_pb2.Event]:
    """One event a round, at the time when it ended.

    The interruption of a resumed run is left out of these times.
    """
    left = sum(row.get("seconds", 0.0) for row in rows)
    for row in rows:
        left -= row.get("seconds", 0.0)
        values = [
            summary_pb2.Summary.Value(tag=_tag(name), simple_value=value)
            for name, value in row.items()
            if name != "round" and isinstance(value, int | float)
        ]
        yield event_pb2.Event(
            wall_time=time.time() - left,
            step=row["round"],
            summary=summary_pb2.Summary(value=values),
        )


def _tag(name):
    group, _, rest = name.partition("_")
    is_group = group in ("validation", "pseudo")
    return f"{group}/{rest}" if is_group else f"training/{name}"

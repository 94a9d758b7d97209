"""What a comparison shows of itself while it runs."""

import contextlib
import dataclasses
import io

import pytest
from rich.console import Console

from samtl.comparison import progress
from tests.comparison import stub


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (61, "1 min"),
        (3569, "59 min"),
        (3571, "1 h 0 min"),
        (12000, "3 h 20 min"),
    ],
)
def test_durations_read_as_people_say_them(seconds, text):
    assert progress.duration(seconds) == text


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Two of four runs are done, one of them by this session in a minute."""
    clock = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    runs = [stub.run(seed) for seed in range(4)]
    shown = progress.Progress(runs, [runs[0].folder], tmp_path)
    shown.start(runs[1])
    clock[0] += 60
    shown.end(runs[1], None)
    return shown


def test_a_run_that_ends_is_a_line(shown, capsys):
    for run, error in zip(shown.runs[2:], (None, "no memory"), strict=True):
        shown.start(run)
        shown.end(run, error)
    assert capsys.readouterr().out == (
        "3/4  emotion-pose/stub/seed2-0  0 s  (30 s left)\n"
        "4/4  emotion-pose/stub/seed3-0  failed: no memory  (none left)\n"
    )


def test_the_table_is_shown_where_a_run_prints_elsewhere(tmp_path, capsys):
    shown = progress.Progress([stub.run(0)], [], tmp_path)
    with contextlib.redirect_stdout(io.StringIO()) as log:
        shown.console.print("the table")
    assert "the table" in capsys.readouterr().out
    assert not log.getvalue()


def test_a_title_is_shown_as_it_is_written(tmp_path):
    run = dataclasses.replace(stub.run(0), title="SA-MTL [ours] [/x]")
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(progress.Progress([run], [], tmp_path).view())
    assert "SA-MTL [ours] [/x]" in console.export_text()


def test_the_table_counts_runs_and_rounds(shown, tmp_path):
    folder = tmp_path / shown.runs[3].folder
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text("round,loss\n1,0.5\n2,0.4\n")
    shown.start(shown.runs[3])
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(shown.view())
    text = console.export_text()
    assert "2 of 4 runs done, 2 min left" in text
    assert "Stub" in text
    assert "2/4" in text
    assert "emotion-pose/stub/seed3-0: round 3, 0 s" in text

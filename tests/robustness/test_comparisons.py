"""Tables and results of strangers lead a report or a release nowhere."""

import csv
import io

import pytest

from samtl.common import files
from samtl.comparison import report
from samtl.release import publish
from samtl.runs import run_folder
from tests.comparison import invented
from tests.robustness.trials import REFUSED, attempt


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A comparison of two methods."""
    out = tmp_path_factory.mktemp("compared") / "out"
    pairs = {"emotion-pose": invented.PAIRS["emotion-pose"]}
    out.mkdir()
    invented.write(out, ("single-task", "naive"), pairs, (0,), 20, 2)
    return out


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("pair", "../../outside"),
        ("pair", "/outside"),
        ("method", "a/b"),
        ("task", "../outside"),
        ("task", "emotion\x1b[2J"),
        ("run", "../outside"),
        ("run", "/etc"),
        ("seed", "many"),
        ("seed", "1e400"),
        ("count", "-3"),
        ("count", "1e15"),
        ("accuracy", "inf"),
        ("seconds", "fast"),
        ("confusion", "[[1"),
        ("confusion", "[1, 2]"),
        ("confusion", "[" * 5000),
        ("confusion", '[["a"]]'),
        ("correct", "xyz"),
        ("classes", "3"),
        ("classes", "[[]]"),
    ],
)
def test_tables_of_a_comparison_lead_nowhere(compared, column, value):
    path = compared / "results.csv"
    whole = path.read_text()
    lines = _rows(whole)
    lines[1][lines[0].index(column)] = value
    path.write_text(_text(lines))
    before = _files(compared.parent)
    try:
        assert attempt(lambda: report.write_report(compared)) is REFUSED
    finally:
        path.write_text(whole)
    assert _files(compared.parent) == before


def _rows(text):
    return list(csv.reader(io.StringIO(text)))


def _text(rows):
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()


def _files(folder):
    return sorted(str(p) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("name", ["results.csv", "rounds.csv"])
def test_rows_with_more_cells_than_the_header(compared, name):
    path = compared / name
    whole = path.read_text()
    header, *rows = whole.splitlines(keepends=True)
    path.write_text(header + "".join(f"x,{row}" for row in rows))
    try:
        assert attempt(lambda: report.write_report(compared)) is REFUSED
    finally:
        path.write_text(whole)


@pytest.mark.parametrize("name", ["rounds.csv", "failed.csv"])
@pytest.mark.parametrize("column", ["pair", "method", "seed"])
def test_other_tables_of_a_comparison(compared, name, column):
    path = compared / name
    whole = path.read_text()
    lines = _rows(whole)
    row = dict.fromkeys(lines[0], "1") | {"pair": "p", "method": "m"}
    row[column] = "../x"
    path.write_text(_text([*lines, list(row.values())]))
    try:
        assert attempt(lambda: report.write_report(compared)) is REFUSED
    finally:
        path.write_text(whole)


@pytest.mark.parametrize(
    "text",
    ["", "\0" * 50, "path,task\na,pose\n", "task,weight,selected\npose,x,1\n"],
)
def test_tables_of_weights(compared, text):
    run = compared / "runs" / "emotion-pose" / "naive" / "seed0"
    run.mkdir(parents=True, exist_ok=True)
    path = run / "weights_round1.csv"
    path.write_text(text)
    try:
        assert attempt(lambda: report.write_report(compared)) is REFUSED
    finally:
        path.unlink()


def test_figures_behind_a_link_are_not_written(compared, tmp_path):
    figures = compared / "figures"
    figures.symlink_to(tmp_path)
    try:
        assert attempt(lambda: report.write_report(compared)) is REFUSED
    finally:
        figures.unlink()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "tasks",
    [
        *(None, [], {}, "tasks", {"pose": None}, {"pose": {"test": []}}),
        *({"pose": {"validation": {"accuracy": x}}} for x in ("1", None, [1])),
        *(
            {"pose": {k: {"accuracy": x} for k in ("validation", "test")}}
            for x in (2, -1, float("nan"), "many", [0.5], {})
        ),
    ],
)
def test_results_of_a_release_that_no_run_has_written(tmp_path, tasks):
    run_folder.write_args(tmp_path, {"seed": 0})
    files.write_json(tmp_path / "result.json", {"tasks": tasks})
    assert attempt(lambda: publish.compare_seeds([tmp_path])) is REFUSED

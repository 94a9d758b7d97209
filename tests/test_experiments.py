"""The pages of results and experiments have the figures of their runs."""

import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from samtl.comparison.convergence import ENOUGH, gains
from samtl.comparison.loading import Comparison

ROOT = Path(__file__).parent.parent
EXPERIMENTS = ROOT / "docs" / "experiments"
PAGES = sorted(set(EXPERIMENTS.glob("*.md")) - {EXPERIMENTS / "README.md"})
# A table of runs follows the link to its CSV.
TABLE = re.compile(
    r"([^.]*)\[results\.csv\]\((\S+)/results\.csv\)[^|]*?\n\n((?:\|.*\n)+)"
)


def tables():
    """(page, folder, column, Markdown rows) of every table of runs."""
    for page in [ROOT / "README.md", ROOT / "docs" / "results.md", *PAGES]:
        text = page.read_text(encoding="utf-8")
        for before, folder, rows in TABLE.findall(text):
            column = "forgetting" if "points" in before else "accuracy"
            yield page, page.parent / folder, column, rows


def cells(rows):
    """{(pair, task, title): text} of a table."""
    head, _, *lines = [
        [cell.strip() for cell in row.strip("|").split("|")]
        for row in rows.splitlines()
    ]
    return {
        (*place.split(": "), title): text
        for title, *line in lines
        for place, text in zip(head[1:], line, strict=True)
    }


@pytest.mark.parametrize(
    ("page", "folder", "column", "rows"),
    list(tables()),
    ids=lambda value: value.stem if isinstance(value, Path) else "",
)
def test_tables_are_those_of_the_runs(page, folder, column, rows):
    """Mean and deviation of all runs, and of nothing else."""
    plan = tomllib.loads((folder / "plan.toml").read_text())
    titles = {name: row["title"] for name, row in plan["methods"].items()}
    results = pd.read_csv(folder / "results.csv").dropna(subset=[column])
    results["title"] = results["method"].map(titles)
    runs = results.groupby(["pair", "task", "title"])[column]
    expected = (100 * runs.agg(["mean", "std", "count"])).T.to_dict()
    shown = cells(rows)
    assert shown.keys() == expected.keys()
    for place, text in shown.items():
        mean, deviation = map(float, text.split(" ± "))
        assert mean == pytest.approx(expected[place]["mean"], abs=0.051)
        assert deviation == pytest.approx(expected[place]["std"], abs=0.051)
        assert expected[place]["count"] == 100 * len(plan["seeds"])


def test_all_runs_are_shown():
    shown = {folder.resolve() for _, folder, _, _ in tables()}
    assert shown == {path.parent for path in EXPERIMENTS.rglob("results.csv")}


@pytest.mark.parametrize("folder", ["few_labels", "all_labels"])
def test_curves_that_still_rise_are_counted(folder):
    results, rounds = (
        pd.read_csv(EXPERIMENTS / folder / name)
        for name in ("results.csv", "rounds.csv")
    )
    runs = Comparison(results, rounds, results[:0], None, [], [], {})
    gained = gains(runs)["gain"]
    text = (EXPERIMENTS / f"{folder}.md").read_text(encoding="utf-8")
    count = f"{(gained > ENOUGH).sum()} of {len(gained)} validation curves"
    assert count in text


def test_forgetting_in_the_summaries_is_that_of_the_runs():
    forgotten = {}
    for folder in ("few_labels", "all_labels"):
        rows = pd.read_csv(EXPERIMENTS / folder / "results.csv")
        rows = rows.dropna(subset=["forgetting"])
        runs = rows.groupby(["method", "pair", "task"])["forgetting"]
        forgotten[folder] = 100 * runs.mean()
    few, full = forgotten["few_labels"], forgotten["all_labels"]
    naive, others = few["naive"], few.drop("naive")
    span = f"{naive.min():.1f} to {naive.max():.1f} points"
    for name in ("README.md", "docs/results.md"):
        text = " ".join((ROOT / name).read_text(encoding="utf-8").split())
        assert span in text
        assert f"at most {others.max():.1f}" in text
    page = (EXPERIMENTS / "forgetting.md").read_text(encoding="utf-8")
    assert f"forget {full.max():.1f}" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_answers_a_question(page):
    text = page.read_text(encoding="utf-8")
    parts = ["Question", "Command", "Commit", "Result", "What follows"]
    assert re.findall(r"^\*\*([^*]+)\.\*\*", text, re.MULTILINE) == parts
    index = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
    assert f"]({page.name}) |" in index

"""The report of an invented comparison, every number of it worked out anew."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import invented
import numpy as np
import pandas as pd
import pytest
from reading import Page, Truth
from scipy import stats

from samtl.common.errors import UserError
from samtl.comparison import diagnostics, loading, report, results, summary
from samtl.comparison.page import html
from samtl.comparison.text import percent

REPOSITORY = Path(__file__).parent.parent.parent
METHODS = ("single-task", "naive", "sa-mtl-hard", "sa-mtl-plus")
JOINT = "naive"  # whose cost is 1
PAIRS = {
    "emotion-pose": ("emotion", "pose"),
    "emotion-gender-age": ("emotion", "gender", "age"),
}
PLAN = """
seeds = [0, 1, 2]
[settings]
passes = 16
batch_size = 32
limit = { ferplus = 1000 }
[pairs.emotion-gender-age]
dataset_emotion = "ferplus"
[pairs.emotion-pose]
dataset_emotion = "ferplus"
[methods.single-task]
title = "Single task"
family = "single"
[methods.sa-mtl-plus]
title = "SA-MTL+ <new> & better"
family = "alternating"
batch_size = 64
[methods.naive]
title = "naive"
family = "joint"
is_naive = true
[methods.never-run]
title = "Never run"
family = "joint"
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison") / "invented"
    invented.write(folder, METHODS, PAIRS, images=300, rounds=8)
    (folder / "plan.toml").write_text(PLAN, encoding="utf-8")
    report.write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(out):
    return Page((out / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def truth(out):
    return Truth(out, METHODS)


def signed(value):
    text = f"{value:+.1f}"
    return "0.0" if text in ("-0.0", "+0.0") else text.replace("-", "\u2212")


def test_percents_have_a_true_minus_but_no_negative_zero():
    values = (0.1234, -0.1234, -0.0001, 1)
    expected = ["12.3", "\u221212.3", "0.0", "100.0"]
    assert [percent(value) for value in values] == expected


def p_text(p):
    return "<0.001" if p < 0.001 else f"{p:.3f}"


@pytest.mark.parametrize("pair", PAIRS)
def test_scores_of_the_main_table(page, truth, pair):
    for task in PAIRS[pair]:
        for method in METHODS:
            key = (pair, task, method)
            names = {"pair": pair, "task": task, "method": method}
            right = truth.right(key)
            accuracies = right.mean(axis=1)
            assert truth.mean(key, "accuracy") == accuracies.mean()
            mean = f"{100 * accuracies.mean():.1f}"
            assert mean in page.found("accuracy", **names)
            deviation = f"{100 * stats.tstd(accuracies):.1f}"
            assert page.found("accuracy_deviation", **names) == [deviation]
            balanced = f"{100 * truth.balanced(key):.1f}"
            assert page.found("balanced_accuracy", **names) == [balanced]


@pytest.mark.parametrize("pair", PAIRS)
def test_differences_and_verdicts(page, truth, pair):
    tasks = PAIRS[pair]
    family = truth.family(pair, tasks, "single-task")
    for (task, method), (test, p) in family.items():
        names = {"pair": pair, "task": task, "method": method}
        difference = signed(100 * test.difference)
        assert page.found("difference", **names) == [difference]
        assert page.found("corrected_p", **names) == [p_text(p)]
    for method in METHODS[1:]:
        task = min(tasks, key=lambda task: family[task, method][0].difference)
        worst = signed(100 * family[task, method][0].difference)
        names = {"pair": pair, "task": task, "method": method}
        assert page.found("worst", **names) == [worst]
    told_apart = 0
    for task in tasks:
        tests = [family[task, method] for method in METHODS[1:]]
        names = {"pair": pair, "task": task}
        better = sum(p < 0.05 and test.difference > 0 for test, p in tests)
        worse = sum(p < 0.05 and test.difference < 0 for test, p in tests)
        assert page.found("better", **names) == [str(better)]
        assert page.found("worse", **names) == [str(worse)]
        assert page.found("tested", **names) == [str(len(tests))]
        told_apart += better + worse
    assert told_apart, "the example should tell some apart"


@pytest.mark.parametrize("pair", PAIRS)
def test_delta_m(out, page, truth, pair):
    """The change that the table's means give, and its interval and p."""
    table = pd.read_csv(out / "delta_m.csv").set_index(["pair", "baseline"])
    rows = table.loc[(pair, "single-task")].set_index("method")
    assert len(rows) == len(METHODS) - 1
    assert page.found("delta_m", pair=pair, method="single-task") == ["0.0"]
    found = {}
    for method, row in rows.iterrows():
        change, _ = truth.changes(pair, PAIRS[pair], method, "single-task")
        assert row["difference"] == pytest.approx(100 * change, rel=1e-4)
        names = {"pair": pair, "method": method}
        assert set(page.found("delta_m", **names)) == {signed(100 * change)}
        ends = f"{signed(row['low'])} to {signed(row['high'])}"
        assert set(page.found("delta_m_interval", **names)) == {ends}
        assert page.found("delta_m_p", **names) == [p_text(row["corrected_p"])]
        found[method] = change
    best = max(found, key=found.get)
    assert len(page.found("delta_m", pair=pair, method=best)) == 2
    differs = rows[rows["corrected_p"] < 0.05]["difference"]
    names = {"pair": pair, "task": "all"}
    assert page.found("better", **names) == [str((differs > 0).sum())]
    assert page.found("worse", **names) == [str((differs < 0).sum())]
    assert page.found("tested", **names) == [str(len(rows))]


@pytest.mark.parametrize("pair", PAIRS)
def test_gains_of_the_last_quarter(out, page, pair):
    """Of eight rounds, the sixth and the last one are compared."""
    rounds = pd.read_csv(out / "rounds.csv")
    rounds = rounds[rounds["pair"] == pair]
    for task in PAIRS[pair]:
        names = {"pair": pair, "task": task}
        found = []
        for method in METHODS:
            own = rounds[rounds["method"] == method].groupby("round")
            means = own[f"validation_{task}_accuracy"].mean()
            found.append(100 * (means[8] - means[6]))
            shown = page.found("gain", method=method, **names)
            assert shown == [signed(found[-1])]
        assert page.found("curves", **names) == [str(len(METHODS))]
        still = sum(gain > 0.3 for gain in found)
        assert page.found("still_gaining", **names) == [str(still)]
        assert page.found("slowest_gain", **names) == [signed(max(found))]
        assert page.found("enough", **names) == ["0.3"]


def test_every_pair_of_methods_is_in_comparisons(out, truth):
    table = pd.read_csv(out / "comparisons.csv")
    assert len(table) == 5 * 4 * 3
    for pair, tasks in PAIRS.items():
        for baseline in METHODS:
            family = truth.family(pair, tasks, baseline)
            rows = table[table["pair"] == pair]
            rows = rows[rows["baseline"] == baseline]
            assert len(rows) == len(family)
            for row in rows.itertuples():
                test, p = family[row.task, row.method]
                found = (row.difference, row.low, row.high)
                expected = [100 * value for value in test[:3]]
                assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)
                assert row.p == pytest.approx(test.p, rel=1e-4)
                assert row.corrected_p == pytest.approx(p, rel=1e-4)
                assert row.seeds == 3


def test_forgetting_and_costs(page, truth):
    for (pair, task, method), seeds in truth.cells.items():
        names = {"pair": pair, "task": task, "method": method}
        expected = []
        if all(row["forgetting"] for row in seeds.values()):
            drop = truth.mean((pair, task, method), "forgetting")
            expected = [f"{100 * drop:.1f}"]
        assert page.found("forgetting", **names) == expected
    for pair, tasks in PAIRS.items():
        for method in METHODS:
            names = {"pair": pair, "method": method}
            runs = {
                row["run"]: row
                for row in truth.rows
                if (row["pair"], row["method"]) == (pair, method)
            }.values()
            seconds = sum(float(run["seconds"]) for run in runs) / 3
            pseudo = sum(float(run["pseudo_seconds"]) for run in runs) / 3
            speed = np.mean([float(run["images_per_second"]) for run in runs])
            assert len(runs) == 3 * (len(tasks) if method == METHODS[0] else 1)
            assert page.found("seconds", **names) == [f"{seconds / 60:.0f} min"]
            share = [f"{100 * pseudo / seconds:.1f}"] if pseudo else []
            assert page.found("pseudo_share", **names) == share
            assert page.found("images_per_second", **names) == [f"{speed:.0f}"]
            one = [
                row
                for row in truth.rows
                if (row["pair"], row["method"]) == (pair, JOINT)
                and row["task"] == tasks[0]
            ]
            base = sum(float(run["seconds"]) for run in one) / 3
            shown = page.found("relative_seconds", **names)
            assert shown == [f"{seconds / base:.2f}"]
            trained = sum(float(run["trained_images"]) for run in runs)
            predicted = sum(float(run["predicted_images"]) for run in runs)
            base = sum(float(run["trained_images"]) for run in one)
            shown = page.found("backward", **names)
            assert shown == [f"{trained / base:.2f}"]
            shown = page.found("forward", **names)
            assert shown == [f"{(trained + predicted) / base:.2f}"]
            memory = np.mean([float(run["peak_memory_mib"]) for run in runs])
            assert page.found("peak_memory_mib", **names) == [f"{memory:,.0f}"]


def test_confusion_matrices(page, truth):
    assert len(page.matrices) == len(truth.cells)
    for around, rows in page.matrices:
        key = tuple(around[name] for name in ("pair", "task", "method"))
        matrices = [
            json.loads(row["confusion"]) for row in truth.cells[key].values()
        ]
        mean = np.mean(matrices, axis=0)
        found = [cells for cells in rows if cells]
        assert len(found) == len(mean)
        for cells, counts in zip(found, mean, strict=True):
            for texts, count in zip(cells, counts, strict=True):
                share = f"{100 * count / counts.sum():.0f}"
                shown = f"{count:.0f}" if count >= 10 else f"{count:.1f}"
                assert texts == ([share, shown] if count else [])


def test_ranks(page, truth):
    blocks = []
    for pair, tasks in PAIRS.items():
        for task in tasks:
            rights = [
                truth.right((pair, task, method)).mean(axis=1)
                for method in METHODS
            ]
            blocks += list(np.transpose(rights))
    blocks = np.array(blocks)
    assert page.found("blocks") == [str(len(blocks))]
    p = stats.friedmanchisquare(*blocks.T).pvalue
    assert page.found("friedman_p") == [p_text(p)]
    difference = 2.569 * np.sqrt(4 * 5 / 6 / len(blocks))
    assert page.found("critical_difference") == [f"{difference:.1f}"]


def test_header(page, truth):
    assert page.found("runs") == [str(len({r["run"] for r in truth.rows}))]
    for metric, count in (("methods", 4), ("pairs", 2), ("failed", 1)):
        assert page.found(metric) == [str(count)]
    assert "20d4129c0f-dirty" in page.prose


def test_no_number_stands_outside_the_marked_elements(page):
    """But for the plan, names, and the words of the captions."""
    prose = page.prose
    for words in (
        *("20d4129c0f-dirty", "passes 16", "limit ferplus 1000", "p < 0.05"),
        "batch_size 32 (but for SA-MTL+ <new> & better)",
        *("its 95 % interval", "1 is best", "below zero"),
        *(name for names in invented.CLASSES.values() for name in names),
    ):
        prose = prose.replace(words, "")
    assert re.findall(r".*\d.*", prose) == []


def test_every_metric_of_the_page_is_tested(page):
    """By one of the tests above."""
    source = Path(__file__).read_text(encoding="utf-8")
    for metric in {around["metric"] for around, _ in page.numbers}:
        assert f'found("{metric}"' in source or f'("{metric}", ' in source


def test_failed_runs_and_seeds_are_named(page):
    """A run that two pairs share has failed once."""
    assert page.found("error") == ["training has diverged"]
    assert page.found("run") == ["runs/x"]
    assert page.found("seed") == ["3"]
    # In the header and below the main table of every pair.
    assert page.found("seeds") == ["3"] * (1 + len(PAIRS))


def test_the_page_needs_nothing_else(out, page):
    text = (out / "report.html").read_text(encoding="utf-8")
    addresses = set(re.findall(r'https?://[^"\s]+', text))
    assert addresses <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert not {"script", "link", "img", "iframe"} & page.tags
    ids = re.findall(r'<(?:section|g)[^>]* id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    anchors = re.findall(r'<a href="#([^"]+)"', text)
    assert set(anchors) <= set(ids)


def test_titles_are_the_plans_and_escaped(out, page):
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "<new>" not in text
    assert "SA-MTL+ <new> & better" in page.prose
    assert "Never run" not in page.prose


def test_all_text_of_a_comparison_is_escaped(tmp_path):
    attack = "<script>alert('\"&')</script>"
    methods, pairs = ("naive", "distilled"), {"emotion-pose": ("emotion",)}
    table = invented.write(tmp_path, methods, pairs, images=20, rounds=2)
    classes = [f"{attack}{name}" for name in invented.CLASSES["emotion"]]
    table = table.assign(commit=attack, classes=json.dumps(classes))
    table.to_csv(tmp_path / "results.csv", index=False)
    (tmp_path / "rounds.csv").unlink()
    row = ("emotion-pose", "naive", 0, attack, attack)
    pd.DataFrame([row], columns=results.FAILED).to_csv(
        tmp_path / "failed.csv", index=False
    )
    plan = PLAN.replace("16", json.dumps(attack), 1).replace("passes", "model")
    plan = plan.replace("[settings]", "[settings]\npasses = 1")
    (tmp_path / "plan.toml").write_text(plan, encoding="utf-8")
    comparison = loading.read_comparison(tmp_path)
    comparison.titles["naive"] = attack
    numbers = summary.numbers(comparison)
    page = Page(html(attack, comparison, numbers, {}))
    assert "script" not in page.tags
    assert page.found("error") == page.found("run") == [attack]
    assert f"model {attack}" in page.prose
    classes = len(invented.CLASSES["emotion"])
    assert [len(rows) for _, rows in page.matrices] == [classes + 1] * 2


def test_order_is_the_plans_then_that_of_the_results(out):
    comparison = loading.read_comparison(out)
    assert comparison.pairs == ["emotion-gender-age", "emotion-pose"]
    assert comparison.methods == [
        *("single-task", "sa-mtl-plus", "naive", "sa-mtl-hard")
    ]


def test_markdown_has_the_numbers_of_the_page(out, page):
    text = (out / "table.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.*)$", text, flags=re.M)[1:]
    titles = {"single-task": "Single task", "naive": "naive"}
    for pair, part in zip(parts[::2], parts[1::2], strict=True):
        lines = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in part.splitlines()
            if line.startswith("| ")
        ]
        rows = {line[0]: line[1:] for line in lines}
        for method, title in titles.items():
            for place, task in enumerate(PAIRS[pair]):
                names = {"pair": pair, "task": task, "method": method}
                cells = rows[title][4 * place : 4 * place + 4]
                plain = [cell.replace("**", "") for cell in cells]
                accuracy, deviation = plain[0].split(" ± ")
                assert accuracy in page.found("accuracy", **names)
                assert [deviation] == page.found("accuracy_deviation", **names)
                for metric, cell in zip(
                    ("balanced_accuracy", "difference", "corrected_p"),
                    plain[1:],
                    strict=True,
                ):
                    assert (page.found(metric, **names) or [""]) == [cell]
            names = {"pair": pair, "method": method}
            change, p, *costs = (c.replace("**", "") for c in rows[title][-5:])
            for place, metric in enumerate(
                ("relative_seconds", "forward", "backward")
            ):
                assert [costs[place]] == page.found(metric, **names)
            shown = page.found("delta_m", **names)[-1]
            interval = page.found("delta_m_interval", **names)
            assert change == " ".join(
                [shown, *(f"({i})" for i in interval[:1])]
            )
            assert (page.found("delta_m_p", **names) or [""]) == [p]
    assert "difference to single task" in " ".join(text.split())


@pytest.mark.parametrize("pair", PAIRS)
def test_best_is_bold(out, page, pair):
    text = (out / "report.html").read_text(encoding="utf-8")
    section = text[text.index(f'<section id="pair-{pair}"') :]
    section = section[: section.index("</table>")]
    bold = re.findall(r'<b><span data-metric="(\w+)">([\d.]+)', section)
    for place, task in enumerate(PAIRS[pair]):
        for metric in ("accuracy", "balanced_accuracy"):
            texts = page.found(metric, pair=pair, task=task)
            best = max(texts, key=float)
            assert (metric, best) in bold, place
    assert len(bold) >= 2 * len(PAIRS[pair])


def test_figures_are_written(out):
    names = {path.name for path in (out / "figures").iterdir()}
    expected = {"ranks.svg"} | {
        f"{kind}_{pair}_{task}.svg"
        for kind in ("forest", "wins", "curves", "weights")
        for pair, tasks in PAIRS.items()
        for task in tasks
    }
    expected |= {f"pseudo_{pair}_emotion.svg" for pair in PAIRS}
    expected |= {f"delta_m_{pair}.svg" for pair in PAIRS}
    assert names == expected


def test_the_module_writes_the_same_again_without_keras(out):
    names = ("table.md", "comparisons.csv", "delta_m.csv", "report.html")
    before = [(out / name).read_bytes() for name in names]
    code = (
        "import runpy, sys\n"
        "runpy.run_module('samtl.comparison.report', run_name='__main__')\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(out)], cwd=REPOSITORY, check=True
    )
    assert [(out / name).read_bytes() for name in names] == before


@pytest.mark.parametrize("methods", [("single-task",), ("naive", "distilled")])
@pytest.mark.parametrize("seeds", [(4,), (0, 1)])
def test_a_few_rows_are_enough(tmp_path, methods, seeds):
    pairs = {"emotion-pose": ("emotion", "pose")}
    invented.write(tmp_path / "out", methods, pairs, seeds, images=20, rounds=2)
    for name in ("rounds.csv", "failed.csv"):
        (tmp_path / "out" / name).unlink()
    report.write_report(tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.found("methods") == [str(len(methods))]
    # Without single tasks, the first method is what others are compared with.
    compared = [
        page.found("difference", method=method, task=task)
        for method in methods[1:]
        for task in ("emotion", "pose")
    ]
    assert all(len(found) == 1 for found in compared)
    assert len(page.found("difference")) == len(compared)
    assert ("paired test" in text) == bool(compared)
    # One seed says nothing of how much seeds differ.
    table = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert ("tested over" in table) == bool(compared)
    for told in (text, table) if compared else ():
        assert ("images alone" in told) == (len(seeds) == 1)
        assert ("images and seeds" in told) == (len(seeds) == 2)
    assert "nan" not in page.prose + "".join(t for _, t in page.numbers)


def test_only_failures_are_enough(tmp_path):
    invented.write(tmp_path, ("naive",), {})
    report.write_report(tmp_path)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.found("error") == ["training has diverged"]
    assert page.found("runs") == ["0"]


def test_a_folder_without_results_says_what_to_give(tmp_path):
    with pytest.raises(UserError, match=r"--out"):
        report.write_report(tmp_path)


def test_rejected_pseudo_labels_are_counted_in_the_runs(out):
    comparison = loading.read_comparison(out)
    table = diagnostics.accuracies(comparison, out)
    assert set(table["task"]) == {"emotion"}
    keys = ["pair", "method", "seed"]
    for row in table.sample(5, random_state=0).itertuples():
        number = round(row.share * 8 / 100)
        folder = out / "runs" / row.pair / row.method / f"seed{row.seed}"
        counts = [0, 0]
        path = folder / f"weights_round{number}.csv"
        with path.open(encoding="utf-8") as file:
            for line in csv.DictReader(file):
                if line["task"] == "emotion" and line["selected"] == "0":
                    counts[line["pseudo_label"] == line["truth"]] += 1
        assert row.rejected == pytest.approx(counts[1] / sum(counts))
        rounds = comparison.rounds
        for key in keys:
            rounds = rounds[rounds[key] == getattr(row, key)]
        rounds = rounds[rounds["round"] == number].iloc[0]
        assert row.all == rounds["pseudo_emotion_accuracy"]
        assert row.selected == rounds["pseudo_emotion_accuracy_selected"]


def test_last_weights_are_those_of_the_last_round_of_each_task(out):
    comparison = loading.read_comparison(out)
    found = diagnostics.last_weights(comparison, out, "emotion-pose")
    assert set(found["method"]) == {"sa-mtl-hard", "sa-mtl-plus"}
    folder = out / "runs" / "emotion-pose" / "sa-mtl-hard" / "seed0"
    last = pd.read_csv(folder / "weights_round7.csv")
    rows = found[found["method"] == "sa-mtl-hard"]
    for task in PAIRS["emotion-pose"]:
        np.testing.assert_array_equal(
            rows[rows["task"] == task]["weight"],
            last[last["task"] == task]["weight"],
        )

"""Delta_m against hand-made numbers, scipy and the jackknife."""

import dataclasses

import invented
import numpy as np
import pandas as pd
import pytest
from reading import Truth
from scipy import stats

from samtl.comparison import delta_m, loading, resampling, statistics

METHODS = ("single-task", "naive", "distilled")
TASKS = ("emotion", "gender", "age")
PAIRS = {"emotion-gender-age": TASKS}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    invented.write(folder, METHODS, PAIRS, range(5), images=100, rounds=2)
    return folder


def _found(comparison, draws):
    images = resampling.image_sets(comparison, draws)
    return delta_m.delta_m(comparison, images)


def test_a_change_by_hand():
    """55 instead of 50 on average is a tenth more."""
    found = delta_m.relative_change(np.array([50, 60]), np.array([40, 60]))
    assert found == pytest.approx(0.1)
    by_seed = delta_m.change_by_seed(np.array([50, 60]), np.array([40, 60]))
    # 50 - 1.1 * 40 = 6 of 50, and its mirror image.
    np.testing.assert_allclose(by_seed, [0.1 + 0.12, 0.1 - 0.12])


def test_against_a_constant_it_is_the_one_sample_t_test():
    scores = np.random.default_rng(0).normal(0.6, 0.02, 5)
    single = np.full(5, 0.58)
    by_seed = delta_m.change_by_seed(scores, single)
    expected = stats.ttest_1samp(scores / 0.58 - 1, 0)
    found = statistics.paired_test(by_seed, 0.0)
    assert found.p == pytest.approx(expected.pvalue)


def test_every_test_is_that_of_the_jackknife(out):
    """Whose pseudo-values have the variance over the seeds (Tukey 1958)."""
    truth, table = (
        Truth(out, METHODS),
        _found(loading.read_comparison(out), statistics.DRAWS),
    )
    (pair,) = PAIRS

    def change(method, seeds):
        parts = []
        for task in TASKS:
            one, two = (
                truth.right((pair, task, name))[seeds].mean()
                for name in (method, "single-task")
            )
            parts.append((one - two) / two)
        return np.mean(parts)

    for baseline in METHODS:
        tests = {}
        for method in METHODS:
            if method == baseline:
                continue
            whole = change(method, range(5)) - change(baseline, range(5))
            values = []
            for without in range(5):
                kept = [seed for seed in range(5) if seed != without]
                part = change(method, kept) - change(baseline, kept)
                values.append(5 * whole - 4 * part)
            draws = [
                truth.changes(pair, TASKS, name, "single-task")[1]
                for name in (method, baseline)
            ]
            expected = statistics.paired_test(
                values, (draws[0] - draws[1]).var()
            )
            tests[method] = expected._replace(difference=whole)
        rows = table[table["baseline"] == baseline].set_index("method")
        assert len(rows) == len(tests)
        corrected = statistics.holm(rows["p"])
        np.testing.assert_allclose(rows["corrected_p"], corrected)
        for method, test in tests.items():
            row = rows.loc[method]
            assert row["difference"] == pytest.approx(100 * test.difference)
            reach = 100 * (test.high - test.low)
            assert row["high"] - row["low"] == pytest.approx(reach, rel=0.01)
            assert row["p"] == pytest.approx(test.p, rel=0.2)
            assert row["seeds"] == 5


def test_the_images_of_one_dataset_are_resampled_together(out):
    comparison = loading.read_comparison(out)
    rows = comparison.results.copy()
    rows.loc[rows["task"] == "age", "correct"] = rows.loc[
        rows["task"] == "gender", "correct"
    ].to_numpy()
    same = dataclasses.replace(comparison, results=rows)
    (pair,) = PAIRS
    images = resampling.image_sets(same, draws=50)
    gender, age = (images[pair, task][0] for task in ("gender", "age"))
    np.testing.assert_array_equal(gender.resampled, age.resampled)


def test_a_method_that_lacks_a_task_or_all_seeds_has_none(out):
    comparison = loading.read_comparison(out)
    rows = comparison.results
    is_gone = (rows["method"] == "naive") & (rows["task"] == "age")
    found = _found(dataclasses.replace(comparison, results=rows[~is_gone]), 100)
    assert set(found["method"]) == {"single-task", "distilled"}
    is_gone = (rows["task"] == "age") & (rows["seed"] > 2)
    found = _found(dataclasses.replace(comparison, results=rows[~is_gone]), 100)
    assert set(found["seeds"]) == {3}


def test_without_anything_right_there_is_no_change(out):
    comparison = loading.read_comparison(out)
    rows = comparison.results.copy()
    is_wrong = (rows["method"] == "single-task") & (rows["task"] == "age")
    digits = len(rows["correct"].iloc[0])
    rows.loc[is_wrong, "correct"] = "0" * digits
    found = _found(dataclasses.replace(comparison, results=rows), 100)
    assert found.empty
    assert isinstance(found, pd.DataFrame)

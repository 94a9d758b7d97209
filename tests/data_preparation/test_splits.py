"""Random splits: stratified, grouped, repeatable, official ones untouched."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_preparation import splits
from samtl.common.errors import UserError
from samtl.data import tables


def drawn(given_splits, seed=0):
    """Splits of that many rows in groups of about 3, labels and groups."""
    rng = np.random.default_rng(1)
    count = len(given_splits)
    groups = rng.integers(0, count // 3, count)
    labels = (rng.random(count) < 0.2).astype(int)
    return (
        splits.draw_missing(given_splits, given_splits, labels, groups, seed),
        labels,
        groups,
    )


def test_without_any_split_all_three_are_drawn():
    result, labels, groups = drawn([""] * 1000)
    sizes = [np.mean(result == split) for split in tables.SPLITS]
    np.testing.assert_allclose(sizes, [0.72, 0.08, 0.2], atol=0.02)
    for split in tables.SPLITS:
        rows = result == split
        assert abs(labels[rows].mean() - labels.mean()) < 0.04
        assert not set(groups[rows]) & set(groups[~rows])


def test_official_splits_stay():
    given_splits = ["test"] * 300 + ["train"] * 700
    result, _, _ = drawn(given_splits)
    assert (result[:300] == "test").all()
    assert 55 <= (result[300:] == "validation").sum() <= 85
    given_splits = ["test", "validation", "train"] * 100
    assert drawn(given_splits)[0].tolist() == given_splits


def test_rows_without_a_split_join_official_ones():
    result, _, _ = drawn([*[""] * 400, "test", "validation"])
    assert result.tolist() == ["train"] * 400 + ["test", "validation"]


def test_an_official_split_that_ran_empty_is_not_drawn():
    labels, groups = np.zeros(99), np.arange(99)
    official = {"train", "validation", "test"}
    result = splits.draw_missing(["train"] * 99, official, labels, groups, 0)
    assert (result == "train").all()


def test_the_seed_decides():
    one, again, other = (drawn([""] * 600, seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@given(st.lists(st.sampled_from(["", *tables.SPLITS]), max_size=60))
def test_every_row_gets_a_split_or_all_are_refused(given_splits):
    count = len(given_splits)
    with contextlib.suppress(UserError):
        result = splits.draw_missing(
            given_splits, given_splits, np.zeros(count), range(count), 0
        )
        assert set(result) <= set(tables.SPLITS)
        for before, after in zip(given_splits, result, strict=True):
            assert before in ("", "train", after)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1, 2])
def test_a_part_has_every_label_in_proportion(size):
    labels = np.array([0] * 400 + [1] * 60 + [2] * 4)
    groups = np.arange(len(labels)) // size
    chosen = splits.one_part(labels, groups, 10, 0)
    numbers = np.bincount(labels[chosen], minlength=3)
    np.testing.assert_allclose(numbers, [40, 6, 0], atol=2)
    assert (np.diff(chosen) > 0).all()


def test_of_a_few_people_one_is_a_part():
    labels, groups = np.arange(80) % 4, np.arange(80) // 10
    chosen = splits.one_part(labels, groups, 10, 0)
    assert len(chosen) == 10
    assert len(set(groups[chosen])) == 1


def test_too_few_rows_are_refused():
    with pytest.raises(UserError, match="9 usable rows are too few"):
        splits.one_part(np.zeros(9, int), np.arange(9), 10, 0)
    with pytest.raises(UserError, match="too few"):
        splits.one_part(np.zeros(50, int), np.zeros(50), 10, 0)

"""Random splits: stratified, grouped, repeatable, official ones untouched."""

import contextlib
import time

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


def balanced(labels, groups=None, given_splits=None, seed=0):
    """`draw_balanced` of labels [N, T]; groups default to single rows."""
    count = len(labels)
    given_splits = given_splits or [""] * count
    groups = range(count) if groups is None else groups
    return splits.draw_balanced(
        given_splits, set(given_splits), np.array(labels), groups, seed
    )


def _holders(labels, groups):
    """Number of groups of each label."""
    return [
        len(set(groups[column == label]))
        for column in labels.T
        for label in set(column) - {-1}
    ]


LABELS = st.integers(1, 2).flatmap(
    lambda tasks: st.lists(
        st.lists(st.integers(-1, 2), min_size=tasks, max_size=tasks),
        min_size=1,
        max_size=40,
    )
)


@given(LABELS, st.integers(1, 4))
def test_small_sets_of_any_labels_are_drawn_or_refused(labels, size):
    labels, groups = np.array(labels), np.arange(len(labels)) // size
    try:
        result = balanced(labels, groups)
    except UserError:
        assert min(_holders(labels, groups), default=0) < 4
        return
    assert set(result) == set(tables.SPLITS)
    for group in set(groups):
        assert len(set(result[groups == group])) == 1
    for row, split in zip(labels, result, strict=True):
        if size == 1 and (row < 0).all():
            assert split == "train"
    for column in labels.T:
        for label in set(column) - {-1}:
            of_label = result[column == label]
            assert "train" in of_label
            if size == 1 and labels.shape[1] == 1 and len(of_label) > 2:
                assert set(of_label) == set(tables.SPLITS)


def test_large_sets_are_stratified_by_all_tasks():
    rng = np.random.default_rng(0)
    labels = np.stack(
        [
            rng.choice(3, 2000, p=(0.9, 0.09, 0.01)),
            np.where(rng.random(2000) < 0.3, -1, rng.integers(0, 2, 2000)),
        ],
        axis=1,
    )
    result = balanced(labels)
    for column in labels.T:
        for label in set(column) - {-1}:
            of_label = result[column == label]
            shares = [(of_label == split).mean() for split in tables.SPLITS]
            np.testing.assert_allclose(shares, [0.72, 0.08, 0.2], atol=0.06)
    np.testing.assert_array_equal(result, balanced(labels))
    assert (result != balanced(labels, seed=1)).any()


def test_given_splits_of_small_sets_stay():
    given_splits = ["test", "test", "train", "train", "train", ""]
    result = balanced([[0], [1], [0], [1], [0], [1]], None, given_splits)
    assert result[:2].tolist() == ["test"] * 2
    # One of each class, as both have three rows.
    assert (result == "validation").sum() == 2
    assert set(result[result != "validation"][2:]) == {"train"}
    everything = ["train", "test", "validation", ""]
    result = balanced([[0], [0], [0], [-1]], None, everything)
    assert result.tolist() == ["train", "test", "validation", "train"]


def test_ten_classes_of_two_rows_train_on_all():
    labels = np.repeat(np.arange(10), 2)[:, None]
    result = balanced(labels)
    assert sorted(result) == ["test", *["train"] * 18, "validation"]
    assert set(labels[result == "train", 0]) == set(range(10))


def test_a_hundred_thousand_rows_are_drawn_in_seconds():
    labels = np.random.default_rng(0).integers(-1, 10, (100_000, 2))
    start = time.perf_counter()
    balanced(labels)
    assert time.perf_counter() - start < 20

"""Statistics of a prepared set, against hand-made sets."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_preparation import health
from samtl.data import tables
from samtl.data.tables import Table
from samtl.data.tasks import Task

POSE = Task("pose", ("left", "right", "up"))


def table_of(splits, labels, **columns):
    rows = pd.DataFrame({"split": splits, "pose": labels, **columns})
    rows["path"] = [f"{index}.png" for index in range(len(rows))]
    return Table("toy", None, rows, {"pose": POSE})


def test_imbalance_by_hand():
    splits = ["train"] * 6 + ["validation"] * 3 + ["test"] * 2
    labels = [0, 0, 0, 1, 1, 2, 0, 1, 2, 0, 1]
    ratios = health.imbalance(table_of(splits, labels))
    assert ratios == {"pose": {"train": 3, "validation": 1, "test": None}}


def test_copies_by_hand():
    rows = pd.DataFrame(
        [
            # path, split, digest, hash, pose
            ("a", "train", "x", 0, 0),
            ("b", "test", "x", 0, 0),
            ("c", "train", "x", 0, 1),
            ("d", "validation", "y", 0b11, 0),
            ("e", "train", "z", 2**63 - 1, 0),
        ],
        columns=["path", "split", "digest", "hash", "pose"],
    )
    pairs = health.find_copies(rows, ["pose"])
    cells = pairs[["kind", "path", "other_path"]].to_numpy().tolist()
    assert cells == [
        ["exact", "c", "b"],
        ["exact", "a", "c"],
        ["near", "a", "d"],
        ["near", "b", "d"],
    ]
    assert pairs["is_across"].tolist() == [True, False, True, True]
    assert pairs["is_labelled_alike"].tolist() == [False, False, True, True]
    counts = health.summarise_copies(pairs)
    assert counts["exact"] == {
        "within_splits": 1,
        "across_splits": 1,
        "labelled_differently": 2,
    }
    assert counts["near"]["across_splits"] == 2


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(tables.SPLITS)),
        max_size=12,
    )
)
def test_exact_copies_are_counted_once_each(faces):
    rows = pd.DataFrame(
        {
            "path": [str(index) for index in range(len(faces))],
            "split": [split for _, split in faces],
            "digest": [digest for digest, _ in faces],
            # Far apart: these images are not alike.
            "hash": [0x5555 << 16 * "abc".index(d) for d, _ in faces],
            "pose": 0,
        }
    )
    counts = health.summarise_copies(health.find_copies(rows, ["pose"]))
    assert counts["exact"]["within_splits"] == len(faces) - len(set(faces))
    images = {digest for digest, _ in faces}
    assert counts["exact"]["across_splits"] == len(set(faces)) - len(images)
    assert counts["near"]["within_splits"] == 0
    assert counts["near"]["across_splits"] == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ann", "bob", None]),
            st.sampled_from(tables.SPLITS),
        )
    )
)
def test_straddling_subjects_against_a_loop(faces):
    rows = pd.DataFrame(faces, columns=["subject", "split"])
    rows["subject"] = rows["subject"].astype(object)
    people = health.straddling_subjects(rows).set_index("subject")
    for name in ("ann", "bob"):
        counts = [faces.count((name, split)) for split in tables.SPLITS]
        assert (name in people.index) == (sum(map(bool, counts)) > 1)
        if name in people.index:
            assert people.loc[name].tolist() == counts
    summary = health.summarise_subjects(rows, people)
    assert summary == {
        "rows_with_subject": sum(name is not None for name, _ in faces),
        "subjects": len({name for name, _ in faces} - {None}),
        "in_several_splits": len(people),
    }


def test_sets_without_subjects_have_none_to_straddle():
    rows = pd.DataFrame({"split": ["train"]})
    people = health.straddling_subjects(rows)
    assert people.empty
    assert health.summarise_subjects(rows, people)["rows_with_subject"] == 0


def test_suspects_are_the_confident_disagreements():
    table = table_of(["train"] * 6, [0, 0, 1, 1, 2, 0])
    # The network knows "down" where the set knows "up".
    classes = ("right", "left", "down")
    probabilities = np.array(
        [
            [0.05, 0.95, 0.00],  # agrees
            [0.92, 0.08, 0.00],  # disputes
            [0.03, 0.97, 0.00],  # disputes, surer
            [0.20, 0.80, 0.00],  # disputes, but is not sure
            [0.99, 0.01, 0.00],  # cannot know the label
            [0.01, 0.00, 0.99],  # predicts a class that the set lacks
        ]
    )
    suspects, compared, share = health.find_suspects(
        table, "pose", probabilities, classes, 0.9
    )
    assert suspects["path"].tolist() == ["2.png", "1.png"]
    assert suspects["label"].tolist() == ["right", "left"]
    assert suspects["prediction"].tolist() == ["left", "right"]
    assert suspects["confidence"].tolist() == [0.97, 0.92]
    assert (compared, share) == (4, 0.25)


def test_suspects_of_classes_without_a_common_name():
    table = table_of(["train"], [0])
    suspects, compared, share = health.find_suspects(
        table, "pose", np.array([[0.99, 0.01]]), ("a", "b"), 0.5
    )
    assert (len(suspects), compared, share) == (0, 0, None)


@given(st.lists(st.integers(1, 999)))
def test_spread(sizes):
    result = health.spread(pd.Series(sizes, dtype=int))
    if not sizes:
        assert result is None
        return
    assert (result["min"], result["max"]) == (min(sizes), max(sizes))
    ordered = sorted(sizes)
    middle = itertools.islice(
        ordered, (len(sizes) - 1) // 2, len(sizes) // 2 + 1
    )
    middle = list(middle)
    assert result["median"] == pytest.approx(sum(middle) / len(middle))

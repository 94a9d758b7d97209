from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samtl import pseudo_labels
from samtl.common.errors import UserError
from samtl.data import images, steps
from samtl.pseudo_labels.filling import fill_missing, masked
from tests import tiny
from tests.confusion import small
from utils import confusion


@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=6),
    st.integers(6, 256),
)
def test_shares_are_in_proportion_and_add_up(sizes, batch_size):
    shares = steps.shares(sizes, batch_size)
    wanted = batch_size * np.array(sizes) / sum(sizes)
    assert sum(shares) == batch_size
    assert min(shares) >= 1
    if (wanted >= 1).all():
        assert (np.abs(shares - wanted) < 1).all()


def test_a_batch_too_small_for_all_datasets_is_refused():
    with pytest.raises(UserError, match="raise --batch_size"):
        steps.shares([10, 10, 10], 2)


@given(st.integers(1, 9), st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_a_cycle_sees_every_row_as_often(count, lengths):
    firsts = np.cumsum([0, *lengths[:-1]])
    walk = np.concatenate(
        [
            confusion.cycle(count, int(first), length, [7])
            for first, length in zip(firsts, lengths, strict=True)
        ]
    )
    assert len(walk) == sum(lengths)
    for start in range(0, len(walk) - count + 1, count):
        assert sorted(walk[start : start + count]) == list(range(count))


def test_a_cycle_is_in_fresh_order_each_turn():
    turns = confusion.cycle(50, 0, 200, [0]).reshape(4, 50)
    assert len({tuple(turn) for turn in turns}) == 4


def _mixture(tmp_path):
    splits = small.datasets(tmp_path).train
    return splits, confusion.Mixture(splits, small.TRAINING)


def _naive(splits):
    """Triples of true labels, missing ones masked."""
    missing = [masked(split, small.TASKS) for split in splits]
    return small.joined(small.labels(splits), missing)


def test_an_epoch_mixes_all_datasets_and_sees_the_largest_once(tmp_path):
    splits, mixture = _mixture(tmp_path)
    assert mixture.shares == [5, 1, 1]
    seen = {name: [] for name in ("large", "small", "both")}
    for number in range(3):
        batches = mixture.generator(_naive(splits), small.CONFIG, number)
        assert batches.name == "large+small+both"
        assert batches.diagnostics == []
        assert len(batches) == mixture.steps == 4
        assert batches.count == 20 + 4 + 4
        for index in range(4):
            inputs, triples = batches[index]
            assert inputs["image"].shape == (7, 16, 16, 1)
            # The datasets' images stand in order, and only labels count.
            assert triples["emotion"]["weight"].tolist() == [1] * 5 + [0, 1]
            assert triples["pose"]["weight"].tolist() == [0] * 5 + [1, 1]
            paths = batches.paths(index)
            names = [path.split("/")[1] for path in paths]
            assert names == ["large"] * 5 + ["small", "both"]
            for name, path in zip(names, paths, strict=True):
                seen[name].append(path)
    large = np.reshape(seen["large"], (3, 20))
    assert all(len(set(epoch)) == 20 for epoch in large)
    assert list(large[0]) != list(large[1])
    # 12 places over 6 and 3 images: each as often, across epochs.
    for name, count in (("small", 6), ("both", 3)):
        _, times = np.unique(seen[name], return_counts=True)
        assert times.tolist() == [12 // count] * count


def test_each_dataset_may_have_a_batch_size_of_its_own(tmp_path):
    splits = small.datasets(tmp_path).train
    sizes = {"large": 10, "small": 3, "both": 1}
    training = replace(small.TRAINING, batch_sizes=sizes)
    mixture = confusion.Mixture(splits, training)
    assert mixture.shares == [10, 3, 1]
    assert mixture.steps == 3  # of the 3 images of both; large has 2
    batches = mixture.generator(_naive(splits), small.CONFIG, 0)
    assert batches.count == 30 + 9 + 3
    names = [path.split("/")[1] for path in batches.paths(0)]
    assert names == ["large"] * 10 + ["small"] * 3 + ["both"]
    both = [path for i in range(3) for path in batches.paths(i)[-1:]]
    assert len(set(both)) == 3


def test_a_last_batch_is_filled_up_by_the_largest_with_weight_0(tmp_path):
    first = tiny.dataset(tmp_path, "first", [small.EMOTION], (9, 1, 1))
    second = tiny.dataset(tmp_path, "second", [small.POSE], (3, 1, 1))
    splits = [
        images.open_splits(table, (16, 16, 1))["train"]
        for table in (first, second)
    ]
    mixture = confusion.Mixture(splits, small.TRAINING)
    assert mixture.shares == [5, 2]
    batches = mixture.generator(_naive(splits), small.CONFIG, 0)
    inputs, triples = batches[1]
    assert len(inputs["image"]) == 7
    assert triples["emotion"]["weight"].tolist() == [1, 1, 1, 1, 0, 0, 0]
    assert triples["pose"]["weight"].tolist() == [0, 0, 0, 0, 0, 1, 1]


METHODS = {
    "distilled": pseudo_labels.Method("distilled"),
    "hard": pseudo_labels.Method("hard", cluster_k=2),
    "interpolation": pseudo_labels.Method("interpolation", cluster_k=2),
    "confidence": pseudo_labels.Method(
        "hard", density=False, distribution=False
    ),
}


@pytest.mark.parametrize("name", METHODS)
def test_the_pseudo_label_family_is_that_of_alternating_training(
    tmp_path, name
):
    """Predictions that are kept for an epoch fill in the same triples."""
    splits, mixture = _mixture(tmp_path)
    teacher = small.teacher(small.network())
    predict = confusion.Predictions(teacher)

    def fill(predict):
        method, seed = METHODS[name], (0, 1)
        return [
            fill_missing(split, splits, small.TASKS, method, predict, seed)
            for split in splits
        ]

    missing = fill(predict)
    triples = small.joined(small.labels(splits), missing)
    batches = mixture.generator(triples, small.CONFIG, 1)
    for expected, found in zip(fill(teacher), batches.passes, strict=True):
        for task, values in expected.items():
            for field in ("target", "weight", "temperature"):
                np.testing.assert_allclose(
                    found.triples[task.name][field],
                    getattr(values, field)[found.order],
                    rtol=1e-5,
                )
    pseudo = [(t.name, s.table.name) for t, s, _ in batches.diagnostics]
    lacking = [("pose", "large"), ("emotion", "small")]
    assert pseudo == ([] if name == "distilled" else lacking)


@pytest.mark.parametrize("kind", pseudo_labels.Kind)
def test_missing_labels_are_masked_in_warm_up_rounds(tmp_path, kind):
    method = pseudo_labels.Method(kind, warmup=2)
    assert [method.in_round(n).kind for n in range(2)] == ["naive"] * 2
    assert method.in_round(2) == method
    split = small.datasets(tmp_path).train[0]
    filled = fill_missing(
        split, [split], small.TASKS, method.in_round(1), None, (0, 1)
    )
    assert (filled[small.POSE].weight == 0).all()
    assert filled[small.POSE].diagnostics is None


def test_the_teacher_predicts_a_dataset_once_an_epoch(tmp_path):
    splits = small.datasets(tmp_path).train
    teacher = small.teacher(small.network())
    asked = []

    def counted(split):
        asked.append(len(split))
        return teacher(split)

    predict = confusion.Predictions(counted)
    for split in splits:
        fill_missing(
            split, splits, small.TASKS, METHODS["hard"], predict, (0, 0)
        )
    assert sorted(asked) == [3, 6, 20]

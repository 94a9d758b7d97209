import functools
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samtl import pseudo_labels
from samtl.common.errors import UserError
from samtl.data import images
from samtl.pseudo_labels import filling
from tests import tiny
from tests.confusion import small
from utils import confusion


@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=6),
    st.integers(6, 256),
)
def test_shares_are_in_proportion_and_add_up(sizes, batch_size):
    shares = confusion.shares(sizes, batch_size)
    wanted = batch_size * np.array(sizes) / sum(sizes)
    assert sum(shares) == batch_size
    assert min(shares) >= 1
    if (wanted >= 1).all():
        assert (np.abs(shares - wanted) < 1).all()


def test_a_batch_too_small_for_all_datasets_is_refused():
    with pytest.raises(UserError, match="raise --batch_size"):
        confusion.shares([10, 10, 10], 2)


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


def _plan(tmp_path, method):
    network = small.network()
    fill = functools.partial(confusion.fill, small.TASKS, method, small.ARGS)
    return confusion.Rounds(
        network,
        small.teacher(network),
        small.datasets(tmp_path),
        small.TASKS,
        fill,
        small.ARGS,
    )


def test_an_epoch_mixes_all_datasets_and_sees_the_largest_once(tmp_path):
    plan = _plan(tmp_path, pseudo_labels.Method("naive"))
    assert plan.shares == [5, 1, 1]
    seen = {name: [] for name in ("large", "small", "both")}
    for number in range(3):
        current = plan(number)
        assert current.name == "large+small+both"
        assert len(current.batches) == plan.steps(number) == 4
        assert current.batches.count == 20 + 4 + 4
        for index in range(4):
            inputs, triples = current.batches[index]
            assert inputs["image"].shape == (7, 16, 16, 1)
            # The datasets' images stand in order, and only labels count.
            assert triples["emotion"]["weight"].tolist() == [1] * 5 + [0, 1]
            assert triples["pose"]["weight"].tolist() == [0] * 5 + [1, 1]
            paths = current.batches.paths(index)
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


def test_a_last_batch_is_filled_up_by_the_largest_at_no_cost(tmp_path):
    first = tiny.dataset(tmp_path, "first", [small.EMOTION], (9, 1, 1))
    second = tiny.dataset(tmp_path, "second", [small.POSE], (3, 1, 1))
    datasets = [
        images.open_splits(table, (16, 16, 1)) for table in (first, second)
    ]
    naive = functools.partial(
        confusion.fill, small.TASKS, pseudo_labels.Method("naive"), small.ARGS
    )
    plan = confusion.Rounds(
        small.network(),
        small.teacher(small.network()),
        datasets,
        small.TASKS,
        naive,
        small.ARGS,
    )
    assert plan.shares == [5, 2]
    inputs, triples = plan(0).batches[1]
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
    plan = _plan(tmp_path, METHODS[name])
    current = plan(1)
    predict = functools.partial(filling.predict, plan.teacher)
    for part, batches in zip(plan.parts, current.batches.passes, strict=True):
        expected, _ = filling.fill_missing(
            part,
            plan.parts,
            small.TASKS,
            METHODS[name],
            predict,
            small.ARGS,
            1,
        )
        for task, triples in expected.items():
            for field in ("target", "weight", "temperature"):
                np.testing.assert_allclose(
                    batches.triples[task.name][field],
                    getattr(triples, field)[batches.order],
                    rtol=1e-5,
                )
    audited = [(task.name, part.table.name) for task, part, _ in current.audits]
    lacking = [("pose", "large"), ("emotion", "small")]
    assert audited == ([] if name == "distilled" else lacking)


def test_missing_labels_are_left_out_in_warm_up_rounds(tmp_path):
    plan = _plan(tmp_path, METHODS["hard"])
    args = types.SimpleNamespace(**{**vars(small.ARGS), "pseudo_warmup": 2})
    predict = functools.partial(filling.predict, plan.teacher)
    part = plan.parts[0]
    for number, is_early in ((0, True), (1, True), (2, False)):
        filled, audits = filling.fill_missing(
            part,
            plan.parts,
            small.TASKS,
            METHODS["hard"],
            predict,
            args,
            number,
        )
        assert (filled[small.POSE].weight == 0).all() == is_early
        assert (audits == []) == is_early


def test_no_method_fills_in_labels_in_warm_up_epochs(tmp_path):
    plan = _plan(tmp_path, METHODS["hard"])
    plan.args = types.SimpleNamespace(
        **{**vars(small.ARGS), "pseudo_warmup": 1}
    )
    plan.fill = lambda *_: 1 / 0  # whatever it would be
    current = plan(0)
    assert current.audits == []
    _, triples = current.batches[0]
    assert triples["pose"]["weight"].tolist() == [0] * 5 + [1, 1]
    with pytest.raises(ZeroDivisionError):
        plan(1)


def test_the_teacher_looks_at_a_dataset_once_an_epoch(tmp_path, monkeypatch):
    plan = _plan(tmp_path, METHODS["hard"])
    asked = []
    predict = filling.predict
    monkeypatch.setattr(
        filling,
        "predict",
        lambda teacher, part: asked.append(len(part)) or predict(teacher, part),
    )
    plan(0)
    assert sorted(asked) == [3, 6, 20]

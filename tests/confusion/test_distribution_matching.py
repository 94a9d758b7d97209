"""Distribution matching and soft co-annotation against hand-written sums."""

import numpy as np
import pytest
from keras import ops

from samtl.common.errors import UserError
from samtl.pseudo_labels import true_labels
from tests.confusion import small
from utils.confusion import Predictions
from utils.confusion.distribution_matching import (
    Relatedness,
    matching,
    relatedness,
)


def _softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_relatedness_is_the_mean_belief_of_each_label():
    labels = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]], "float32")
    beliefs = np.array([[0.2, 0.8], [0.5, 0.5], [0.6, 0.4], [1, 0]], "float32")
    found = relatedness(labels, beliefs)
    expected = [[0.4, 0.6], [0.5, 0.5], [0.575, 0.425]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_votes_count_by_their_shares():
    labels = np.array([[0.5, 0.5], [0, 1]], "float32")
    beliefs = np.array([[1, 0], [0, 1]], "float32")
    expected = [[1, 0], [1 / 3, 2 / 3]]
    np.testing.assert_allclose(relatedness(labels, beliefs), expected, 1e-6)


def test_matching_is_a_cross_entropy():
    rng = np.random.default_rng(0)
    source, logits = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    table = rng.dirichlet(np.ones(2), size=3)
    total = 0.0
    for z, other in zip(logits, source, strict=True):
        q = sum(p * row for p, row in zip(_softmax(other), table, strict=True))
        total -= sum(_softmax(z) * np.log(q))
    found = matching(
        *(ops.convert_to_tensor(a, "float32") for a in (source, logits, table))
    )
    np.testing.assert_allclose(float(found), total / 5, rtol=1e-5)


def test_matching_has_no_gradient_before_the_first_estimate():
    rng = np.random.default_rng(1)
    relations = Relatedness(small.TASKS)
    table = relations.tables["emotion", "pose"]
    found = [
        float(
            matching(
                ops.convert_to_tensor(rng.normal(size=(4, 3)), "float32"),
                ops.convert_to_tensor(rng.normal(size=(4, 3)), "float32"),
                ops.convert_to_tensor(table),
            )
        )
        for _ in range(3)
    ]
    np.testing.assert_allclose(found, np.log(3), rtol=1e-5)


def test_labels_of_one_task_become_soft_labels_of_the_other(tmp_path):
    splits = small.datasets(tmp_path).train
    true = small.labels(splits)
    predict = Predictions(small.teacher(small.network("float32")))
    relations = Relatedness(small.TASKS)
    relations.estimate(splits, true, predict)

    # All three emotions occur with a pose on the third dataset alone; on the
    # first one, the teacher predicts it.
    emotions = np.concatenate(
        [splits[i].table.labels("emotion") for i in (0, 2)]
    )
    predicted = _softmax(predict(splits[0])["logits"]["pose"])
    poses = np.concatenate(
        [predicted, np.eye(3)[splits[2].table.labels("pose")]]
    )
    table = ops.convert_to_numpy(relations.tables["emotion", "pose"])
    for emotion in range(3):
        expected = poses[emotions == emotion].mean(axis=0)
        np.testing.assert_allclose(table[emotion], expected, atol=1e-6)

    large, other, both = relations.fill(splits, true)
    filled = large[small.POSE]
    expected = table[splits[0].table.labels("emotion")]
    np.testing.assert_allclose(filled.target, expected, atol=1e-6)
    np.testing.assert_array_equal(filled.weight, np.ones(20))
    assert list(other) == [small.EMOTION]
    assert both == {}


def test_an_image_without_labels_is_masked(tmp_path):
    splits = small.datasets(tmp_path).train
    true = [true_labels(split, [], small.DATA) for split in splits]
    relations = Relatedness(small.TASKS)
    filled = relations.fill(splits, true)
    assert not filled[0][small.POSE].weight.any()


def test_one_task_has_nothing_to_be_matched_with():
    with pytest.raises(UserError, match="relates pose to other tasks"):
        Relatedness([small.POSE])

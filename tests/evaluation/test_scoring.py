import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from samtl.common.errors import UserError
from samtl.evaluation import scoring


def certain(predictions, classes):
    return np.eye(classes, dtype="float32")[predictions]


def test_scores_by_hand():
    # Class 0: 2 of 3 right, class 1: 1 of 1, class 2: 0 of 1.
    result = scoring.scores(
        [0, 0, 0, 1, 2], certain([0, 0, 1, 1, 1], 3), ordered=True
    )
    assert result["accuracy"] == pytest.approx(3 / 5)
    assert result["balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    # F1 = 2 TP / (2 TP + FP + FN): 4/5, 2/4, 0/1.
    assert result["macro_f1"] == pytest.approx((4 / 5 + 1 / 2 + 0) / 3)
    assert result["one_off_accuracy"] == 1.0
    assert result["count"] == 5
    np.testing.assert_array_equal(
        result["confusion"], [[2, 1, 0], [0, 1, 0], [0, 1, 0]]
    )


def test_one_off_counts_neighbours_only_when_asked():
    probabilities = certain([0, 2, 3, 3], 4)
    result = scoring.scores([0, 1, 1, 0], probabilities, ordered=True)
    assert result["one_off_accuracy"] == pytest.approx(2 / 4)
    assert "one_off_accuracy" not in scoring.scores([0] * 4, probabilities)


def test_absent_classes():
    # Class 2 is predicted but never true, class 3 is neither.
    result = scoring.scores([0, 0, 1, 1], certain([0, 2, 1, 1], 4))
    assert result["balanced_accuracy"] == pytest.approx((1 / 2 + 1) / 2)
    assert result["macro_f1"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert result["confusion"].shape == (4, 4)


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30
    )
)
def test_scores_equal_scikit_learn(pairs):
    labels, predictions = np.array(pairs).T
    result = scoring.scores(labels, certain(predictions, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        balanced = metrics.balanced_accuracy_score(labels, predictions)
        f1 = metrics.f1_score(labels, predictions, average="macro")
    assert result["balanced_accuracy"] == pytest.approx(balanced)
    assert result["macro_f1"] == pytest.approx(f1)
    assert result["accuracy"] == pytest.approx((labels == predictions).mean())


@pytest.mark.parametrize("labels", [[], [-1], [3]])
def test_labels_out_of_range_are_refused(labels):
    with pytest.raises(ValueError, match="labels"):
        scoring.scores(np.array(labels, int), np.ones((len(labels), 3)))


def test_probabilities_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match="learning_rate"):
        scoring.scores([0], np.full((1, 2), np.nan))


def test_forgetting_by_hand():
    accuracies = [("p", 0.1, 0.5), ("e", 0.6, 0.4), ("p", 0.4, 0.6)]
    accuracies += [("e", 0.8, 0.5), ("p", 0.5, 0.7)]
    rows = [
        {
            "dataset": dataset,
            "validation_emotion_accuracy": emotion,
            "validation_pose_accuracy": pose,
        }
        for dataset, emotion, pose in accuracies
    ]
    result = scoring.forgetting(rows, {"e": {"emotion"}, "p": {"pose"}})
    emotion = result["emotion"]
    assert emotion["own"] == pytest.approx({"mean": 0.7, "best": 0.8})
    assert emotion["others"] == pytest.approx({"mean": 1 / 3, "best": 0.5})
    # The first round precedes any own one: it has nothing to forget.
    assert emotion["drop"] == pytest.approx((0.2 + 0.3) / 2)
    assert result["pose"]["drop"] == pytest.approx((0.1 + 0.1) / 2)


def test_nothing_is_forgotten_with_one_dataset():
    rows = [{"dataset": "e", "validation_emotion_accuracy": 0.5}]
    result = scoring.forgetting(rows, {"e": {"emotion"}})
    assert result["emotion"]["others"] is None
    assert result["emotion"]["drop"] is None

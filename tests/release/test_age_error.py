"""The ages of a release, against hand-computed ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from samtl.data.tables import Table
from samtl.data.tasks import Task
from samtl.release import ages, figures

GROUPS = ("0-2", "60+")
AGE = {"age": Task("age", GROUPS)}


def _table(labels, years, tasks=AGE):
    rows = pd.DataFrame({"age": labels, "age_years": years})
    return Table("faces", Path("data"), rows, tasks)


def _task(labels, temperature=1.0):
    """A task with a given temperature."""
    outputs = figures.Outputs(np.zeros((len(labels), 2)), labels, {})
    task = figures.Task("age", GROUPS, outputs, outputs)
    # Cached properties, so that the attributes take their place.
    vars(task).update(fitted=temperature, p_value=0.0)
    return task


def test_means_are_those_of_all_training_images_with_a_label():
    tables = [
        _table([0, 0, 1, -1, 1], [1, 2.5, 70, 33, np.nan]),
        _table([1, 0], [80.25, np.nan]),
        _table([0, 1], [99, 99], {}),
    ]
    assert ages.training_means(tables) == [1.75, 75.12]
    tables[0].rows["age_years"] = tables[0].rows["age_years"].astype(object)
    assert ages.training_means(tables) == [1.75, 75.12]


@pytest.mark.parametrize(
    "tables",
    [
        [],
        [_table([0, 1], [1, 70], {})],
        [_table([0, 1], [1, np.nan])],
        [_table([0, -1], [1, 70])],
        [Table("faces", Path("data"), pd.DataFrame({"age": [0, 1]}), AGE)],
    ],
)
def test_without_an_image_of_every_group_there_are_no_means(tables):
    assert ages.training_means(tables) == []


@pytest.mark.parametrize("means", [[2.0, 72.0], []])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_error_is_that_of_a_loop(means, temperature):
    rng = np.random.default_rng(0)
    predicted = [
        (
            _table([0, 1, -1, 1], [2, 65, 33, np.nan]),
            {"age": rng.normal(size=(4, 2))},
        ),
        (_table([1, 0], [81, 0]), {"age": rng.normal(size=(2, 2))}),
        (_table([1], [81], {}), {"age": rng.normal(size=(1, 2))}),
    ]
    young, old = means or (1, 70)
    wrong = []
    for (_, logits), known in zip(
        predicted[:2], ({0: 2, 1: 65}, {0: 81, 1: 0}), strict=True
    ):
        for row, years in known.items():
            one, other = np.exp(logits["age"][row] / temperature)
            share = one / (one + other)
            wrong.append(abs(share * young + (1 - share) * old - years))
    tasks = [_task(np.array([0, 1]), temperature)]
    count, error = ages.error(tasks, means, predicted)
    assert count == 4
    assert error == pytest.approx(np.mean(wrong))


def test_without_ages_there_is_no_error():
    logits = {"age": np.zeros((2, 2))}
    tasks = [_task(np.array([0, 1]))]
    assert ages.error([], [], [(_table([0, 1], [1, 70]), logits)]) is None
    none = [np.nan, np.nan]
    assert ages.error(tasks, [], [(_table([0, 1], none), logits)]) is None
    vars(tasks[0]).update(classes=("young", "old"))
    assert ages.error(tasks, [], [(_table([0, 1], [1, 70]), logits)]) is None

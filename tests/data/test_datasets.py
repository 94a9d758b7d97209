"""Which labels of which dataset count, and what is refused."""

import pandas as pd
import pytest

from samtl.common.errors import UserError
from samtl.data.datasets import DataConfig, open_datasets
from samtl.data.tasks import Task
from samtl.training.config import Configuration, TrainingConfig
from tests import tiny


@pytest.fixture
def data_dir(tmp_path):
    tiny.dataset(tmp_path, "expw", ["emotion"])
    tiny.dataset(tmp_path, "ferplus", [tiny.FERPLUS_EMOTION])
    tiny.dataset(tmp_path, "fer2013", ["emotion"], counts=(20, 8, 8), seed=1)
    tiny.dataset(tmp_path, "mtfl", ["pose", "gender"], seed=2)
    return tmp_path


def _config(data_dir, tasks, names, **options):
    return DataConfig(names, tuple(tasks), data_dir=data_dir, **options)


def _open(data_dir, tasks, names, **options):
    """{dataset: tasks that count}, the tasks, and the opened datasets."""
    config = _config(data_dir, tasks, names, **options)
    opened = open_datasets(config, (64, 64, 1))
    counted = {s.table.name: list(s.table.tasks) for s in opened.train}
    return counted, [task.name for task in opened.tasks], opened


def _batch_size(opened):
    """Of a training on these datasets that asks for 32 images."""
    config = Configuration(
        data=DataConfig({}, ()), training=TrainingConfig(batch_size=32)
    )
    return config.fitted(opened).training.batch_size


def test_a_dataset_uses_all_its_labels_of_the_tasks(data_dir):
    counted, tasks, _ = _open(
        data_dir,
        ["emotion", "pose", "gender"],
        {"expw": ["emotion"], "mtfl": ["pose"]},
    )
    assert counted == {"expw": ["emotion"], "mtfl": ["pose", "gender"]}
    assert tasks == ["emotion", "pose", "gender"]


def test_labels_of_other_tasks_do_not_count(data_dir):
    counted, *_ = _open(
        data_dir,
        ["emotion", "pose"],
        {"expw": ["emotion"], "mtfl": ["pose"]},
    )
    assert counted["mtfl"] == ["pose"]


def test_labels_are_withheld_and_known_to_the_diagnostics(data_dir):
    tiny.dataset(data_dir, "people", ["gender"])
    counted, _, opened = _open(
        data_dir,
        ["pose", "gender"],
        {"mtfl": ["pose"], "people": ["gender"]},
        labels={"mtfl": ["pose"]},
    )
    assert counted == {"mtfl": ["pose"], "people": ["gender"]}
    table = opened.train[0].table
    gender = tiny.TASKS["gender"]
    assert table.truth(gender).tolist() == [i % 2 for i in range(16)]
    assert table.truth(tiny.TASKS["pose"]) is None
    assert table.truth(Task("age", ("young", "old"))) is None


def test_classes_that_cannot_be_flipped_are_refused_before_training(data_dir):
    task = Task("pose", ("left profile", "frontal"))
    tiny.dataset(data_dir, "sides", [task])
    names = {"sides": ["pose"]}
    _open(data_dir, ["pose"], names)
    with pytest.raises(UserError, match="'left profile' but no 'right profi"):
        _open(data_dir, ["pose"], names, augmentation={"sides": 1.0})


def test_class_weights_of_a_task_that_is_not_trained_are_noted(
    data_dir, capsys
):
    names = {"mtfl": ["pose"]}
    _open(data_dir, ["pose"], names, class_weights=("pose", "none"))
    assert "class_weights" not in capsys.readouterr().err
    _open(data_dir, ["pose"], names, class_weights=("pose", "age"))
    assert "--class_weights=age changes nothing" in capsys.readouterr().err


def test_a_split_of_one_class_is_noted_once(data_dir, capsys):
    _open(data_dir, ["gender"], {"mtfl": ["gender"]})
    assert "warning" not in capsys.readouterr().err
    table = data_dir / "db" / "mtfl.csv"
    rows = pd.read_csv(table)
    rows.loc[rows["split"] == "test", "gender"] = 1
    rows.to_csv(table, index=False)
    _open(data_dir, ["gender"], {"mtfl": ["gender"]})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: all test labels of gender are male; ")


def test_several_datasets_take_turns_at_one_task(data_dir):
    counted, _, opened = _open(
        data_dir,
        ["emotion", "pose"],
        {"fer2013": ["emotion"], "expw": ["emotion"], "mtfl": ["pose"]},
    )
    assert list(counted) == ["fer2013", "expw", "mtfl"]
    assert _batch_size(opened) == 20  # no training set has more


def test_a_dataset_can_have_its_own_limit(data_dir):
    *_, opened = _open(
        data_dir,
        ["emotion", "pose"],
        {"fer2013": ["emotion"], "mtfl": ["pose"]},
        limits={"mtfl": 10, "fer2013": 12},
    )
    assert [len(split) for split in opened.train] == [12, 10]
    assert [len(splits["test"]) for splits in opened.splits] == [8, 8]
    assert _batch_size(opened) == 12


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            {"expw": ["emotion"], "ferplus": ["emotion"], "mtfl": ["pose"]},
            "emotion has 7 classes in expw .* but 8 in ferplus .*contempt",
        ),
        ({"mtfl": ["emotion"]}, "mtfl has no labels for emotion"),
        ({"expw": ["emotion"]}, "no labels of pose in expw"),
        ({"sfew": ["emotion"]}, "sfew is not prepared"),
    ],
)
def test_mistakes_are_named(data_dir, names, message):
    with pytest.raises(UserError, match=message):
        _open(data_dir, ["emotion", "pose"], names)

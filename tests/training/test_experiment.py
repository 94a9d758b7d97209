"""Which labels of which dataset count, and what is refused."""

import hashlib
import json
from types import SimpleNamespace

import pytest

from samtl.cli import command_line
from samtl.common.errors import UserError
from samtl.data.tasks import Task
from samtl.runs import run_folder
from samtl.training import experiment
from tests import tiny


@pytest.fixture
def data_dir(tmp_path):
    tiny.dataset(tmp_path, "expw", ["emotion"])
    tiny.dataset(tmp_path, "ferplus", [tiny.FERPLUS_EMOTION])
    tiny.dataset(tmp_path, "fer2013", ["emotion"], counts=(20, 8, 8), seed=1)
    tiny.dataset(tmp_path, "mtfl", ["pose", "gender"], seed=2)
    return tmp_path


def _open(
    data_dir,
    tasks,
    labels=None,
    limit=None,
    is_augmentation=False,
    class_weights=None,
    **datasets,
):
    args = SimpleNamespace(
        data_dir=data_dir,
        labels=labels,
        model="mini_xception",
        cache_gb=1.0,
        limit=limit,
        seed=0,
        batch_size=32,
        is_augmentation=is_augmentation,
        class_weights=class_weights,
        **{f"dataset_{task}": datasets.get(task) for task in tasks},
    )
    wanted = command_line.wanted_datasets(args, tasks)
    parts, tasks = experiment.open_datasets(args, wanted, tasks)
    counted = {
        part["train"].table.name: list(part["train"].table.tasks)
        for part in parts
    }
    return counted, [task.name for task in tasks], parts, args


def test_a_single_task_has_one_dataset():
    args = SimpleNamespace(dataset="ferplus", task_type="emotion")
    wanted = command_line.wanted_datasets(args, ["emotion"])
    assert wanted == {"ferplus": ["emotion"]}


def test_a_run_is_resumed_by_its_own_script_and_without_its_weights(
    tmp_path, capsys
):
    run_folder.write_args(tmp_path, {"script": "CONFUSION_EP_multitask"})
    (tmp_path / "state.npz").touch()
    args = SimpleNamespace(
        resume=tmp_path,
        precision="auto",
        model="mini_xception",
        is_dropout=False,
        is_bn=False,
        weights_decay=0.0,
        weights=tmp_path / "gone.keras",
        data_dir=tmp_path,
    )
    with pytest.raises(UserError, match="resume it with that"):
        experiment.open_run(args, "ALTERNATIVE_EP.py", {}, "naive")
    script = "CONFUSION_EP_multitask.py"
    assert experiment.open_run(args, script, {}, "naive") == tmp_path
    experiment.build_network(args, [Task("pose", ("left", "right"))])
    assert capsys.readouterr().out == ""


def test_a_run_keeps_the_digest_of_the_weights_it_starts_from(tmp_path):
    path = tmp_path / "start.keras"
    path.write_bytes(b"weights")
    for number, (start, digest) in enumerate(
        [(path, hashlib.sha256(b"weights").hexdigest()), (None, None)]
    ):
        args = _new_run(tmp_path, f"run{number}", start)
        run = experiment.open_run(args, "ALTERNATIVE_EP.py", {}, "naive")
        assert run_folder.read_args(run)["weights_sha256"] == digest


def _new_run(folder, name, weights):
    return SimpleNamespace(
        resume=None,
        runs=folder,
        run_dir=folder / name,
        seed=0,
        model="mini_resnet",
        weights=weights,
        data_dir=folder,
    )


def test_a_run_goes_on_with_the_data_and_weights_it_began_with(tmp_path):
    tiny.dataset(tmp_path, "faces", ["gender"])
    table = tmp_path / "db" / "faces.csv"
    weights = tmp_path / "start.keras"
    weights.write_bytes(b"weights")
    args = _new_run(tmp_path, "run", weights)
    given = (args, "STL_general_train.py", {"faces": ["gender"]}, "single")
    args.resume = experiment.open_run(*given)
    assert experiment.open_run(*given) == args.resume
    before = table.read_bytes()
    table.write_bytes(before.replace(b",train,", b",test,", 1))
    with pytest.raises(UserError, match=r"faces\.csv has changed since"):
        experiment.open_run(*given)
    table.write_bytes(before)
    classes = table.with_suffix(".json")
    before = classes.read_text()
    description = json.loads(before)
    description["tasks"]["gender"].reverse()
    classes.write_text(json.dumps(description))
    with pytest.raises(
        UserError, match=r"classes in .*faces\.json have changed"
    ):
        experiment.open_run(*given)
    classes.write_text(before)
    weights.write_bytes(b"others")
    with pytest.raises(UserError, match="have changed or"):
        experiment.open_run(*given)
    weights.unlink()
    with pytest.raises(UserError, match="have changed or"):
        experiment.open_run(*given)
    (args.resume / "state.npz").touch()  # has them
    assert experiment.open_run(*given) == args.resume


def test_a_run_knows_its_teachers(tmp_path):
    teacher = tmp_path / "large" / "best.keras"
    teacher.parent.mkdir()
    teacher.write_bytes(b"weights")
    run_folder.write_args(teacher.parent, {"seed": 3})
    args = _new_run(tmp_path, "run", None)
    args.teacher = [str(teacher)]
    given = (args, "CONFUSION_EP_multitask.py", {}, "teacher-distilled")
    args.resume = experiment.open_run(*given)
    (origin,) = run_folder.read_args(args.resume)["teachers"].values()
    assert origin["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert origin["command"].startswith("python ")
    assert set(origin) == {"sha256", "command", "commit"}


def test_a_dataset_uses_all_its_labels_of_the_tasks(data_dir):
    counted, tasks, *_ = _open(
        data_dir,
        ["emotion", "pose", "gender"],
        emotion=["expw"],
        pose=["mtfl"],
    )
    assert counted == {"expw": ["emotion"], "mtfl": ["pose", "gender"]}
    assert tasks == ["emotion", "pose", "gender"]


def test_labels_of_other_tasks_do_not_count(data_dir):
    counted, *_ = _open(
        data_dir, ["emotion", "pose"], emotion=["expw"], pose=["mtfl"]
    )
    assert counted["mtfl"] == ["pose"]


def test_labels_are_withheld_and_known_to_the_audit(data_dir):
    tiny.dataset(data_dir, "people", ["gender"])
    counted, _, parts, _ = _open(
        data_dir,
        ["pose", "gender"],
        labels=["mtfl:pose"],
        pose=["mtfl"],
        gender=["people"],
    )
    assert counted == {"mtfl": ["pose"], "people": ["gender"]}
    table = parts[0]["train"].table
    gender = tiny.TASKS["gender"]
    assert table.truth(gender).tolist() == [i % 2 for i in range(16)]
    assert table.truth(tiny.TASKS["pose"]) is None
    assert table.truth(Task("age", ("young", "old"))) is None


def test_classes_that_cannot_be_flipped_are_refused_before_training(data_dir):
    task = Task("pose", ("left profile", "frontal"))
    tiny.dataset(data_dir, "sides", [task])
    _open(data_dir, ["pose"], pose=["sides"])
    with pytest.raises(UserError, match="'left profile' but no 'right profi"):
        _open(data_dir, ["pose"], pose=["sides"], is_augmentation=True)


def test_class_weights_of_a_task_that_is_not_trained_are_noted(
    data_dir, capsys
):
    _open(data_dir, ["pose"], pose=["mtfl"], class_weights=["pose", "none"])
    assert "class_weights" not in capsys.readouterr().err
    _open(data_dir, ["pose"], pose=["mtfl"], class_weights=["pose", "age"])
    assert "--class_weights=age changes nothing" in capsys.readouterr().err


def test_several_datasets_take_turns_at_one_task(data_dir):
    counted, *_, args = _open(
        data_dir,
        ["emotion", "pose"],
        emotion=["fer2013", "expw"],
        pose=["mtfl"],
    )
    assert list(counted) == ["fer2013", "expw", "mtfl"]
    assert args.batch_size == 20  # no training set has more


def test_a_dataset_can_have_its_own_limit(data_dir):
    *_, parts, args = _open(
        data_dir,
        ["emotion", "pose"],
        limit=["mtfl:10", "12"],
        emotion=["fer2013"],
        pose=["mtfl"],
    )
    assert [len(part["train"]) for part in parts] == [12, 10]
    assert [len(part["test"]) for part in parts] == [8, 8]
    assert args.batch_size == 12


@pytest.mark.parametrize(
    ("datasets", "labels", "message"),
    [
        (
            {"emotion": ["expw", "ferplus"], "pose": ["mtfl"]},
            None,
            "emotion has 7 classes in expw .* but 8 in ferplus .*contempt",
        ),
        ({"emotion": ["mtfl"]}, None, "mtfl has no labels for emotion"),
        ({"emotion": ["expw"]}, None, "no labels of pose in expw"),
        ({"emotion": ["sfew"]}, None, "sfew is not prepared"),
        (
            {"emotion": ["expw"], "pose": ["mtfl"]},
            ["utkface:age"],
            "not trained on; these are: expw, mtfl",
        ),
        (
            {"emotion": ["expw"], "pose": ["mtfl"]},
            ["mtfl:gender"],
            "--labels leaves out pose of mtfl",
        ),
    ],
)
def test_mistakes_are_said(data_dir, datasets, labels, message):
    with pytest.raises(UserError, match=message):
        _open(data_dir, ["emotion", "pose"], labels, **datasets)

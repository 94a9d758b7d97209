"""Tables with empty cells, pools without labels, and tasks of one's own."""

import json

import numpy as np
import pandas as pd
import pytest

import ALTERNATIVE_EP
import ALTERNATIVE_general_train
import CONFUSION_EP_multitask
import CONFUSION_EP_multitask_manifold
import STL_general_train
from samtl.common.errors import UserError
from samtl.data import tables
from samtl.data.tasks import Task
from tests import quick, tiny

SMILE = Task("smile", ("not smiling", "smiling"))
ALTERNATING = {
    "naive": ["--is_naive"],
    "distilled": ["--is_distilled"],
    "hard": ["--cluster_k=1"],
    "interpolation": ["--is_interpolation", "--cluster_k=1"],
}
JOINT = {
    "all-in-one": ["--is_naive"],
    "hard": ["--cluster_k=1"],
    "dcn-ap": ["--is_MRF", "--mrf_neighbours=3"],
    "distribution-matching": ["--is_matching"],
}


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    quick.shrink(monkeypatch)


@pytest.fixture
def data_dir(tmp_path):
    """Smiles of which half are unknown but for the truth, and poses."""
    tiny.dataset(tmp_path, "faces", [SMILE], (40, 16, 16))
    tiny.dataset(tmp_path, "poses", ["pose"], (30, 10, 10), seed=1)
    path = tables.csv_path("faces", tmp_path)
    rows = pd.read_csv(path)
    rows[["path", "smile"]].to_csv(path.with_suffix(".truth.csv"), index=False)
    is_hidden = np.arange(len(rows)) % 4 < 2
    rows["smile"] = rows["smile"].astype("Int64").mask(is_hidden)
    rows.to_csv(path, index=False)
    return tmp_path


def _run(script, data_dir, *words):
    run = data_dir / "run"
    script.main(
        [f"--data_dir={data_dir}", f"--run_dir={run}", "--epoch=2", *words]
    )
    result = json.loads((run / "result.json").read_text())
    return run, result["tasks"]


def _check(run, tasks, is_pseudo):
    """Only labelled images are scored; hidden labels are diagnosed."""
    assert tasks["smile"]["test"]["count"] == 8
    assert tasks["pose"]["test"]["count"] == 10
    path = run / "weights_round2.csv"
    assert path.exists() == is_pseudo
    if is_pseudo:
        found = pd.read_csv(path).query("dataset == 'faces'")
        smiles = found[found["task"] == "smile"]
        assert len(smiles) == 20
        assert smiles["truth"].notna().all()
        assert len(found[found["task"] == "pose"]) == 40


@pytest.mark.parametrize("name", ALTERNATING)
def test_half_a_table_is_labelled_in_alternating_training(data_dir, name):
    run, tasks = _run(
        ALTERNATIVE_general_train,
        data_dir,
        "--dataset_smile=faces",
        "--dataset_pose=poses",
        "--loss_weights",
        "smile:0.5",
        *ALTERNATING[name],
    )
    _check(run, tasks, is_pseudo=name in ("hard", "interpolation"))


@pytest.mark.parametrize("name", JOINT)
def test_half_a_table_is_labelled_in_joint_training(data_dir, name):
    run, tasks = _run(
        CONFUSION_EP_multitask,
        data_dir,
        "--dataset_smile=faces",
        "--dataset_pose=poses",
        *JOINT[name],
    )
    _check(run, tasks, is_pseudo=name != "all-in-one")
    rows = pd.read_csv(run / "metrics.csv")
    assert (rows["smile_labelled_loss"] > 0).all()
    assert (rows["smile_pseudo_loss"] > 0).all() == (name != "all-in-one")


def test_half_a_table_is_labelled_with_regularisers(data_dir):
    words = ["--dataset_smile=faces", "--dataset_pose=poses"]
    run, tasks = _run(CONFUSION_EP_multitask_manifold, data_dir, *words)
    _check(run, tasks, is_pseudo=False)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (ALTERNATIVE_general_train, ["--cluster_k=1", "--class_weights=pose"]),
        (CONFUSION_EP_multitask, ["--is_MRF", "--mrf_neighbours=3"]),
        (CONFUSION_EP_multitask, ["--is_matching"]),
    ],
)
def test_a_class_may_have_no_training_image(data_dir, capsys, script, words):
    path = tables.csv_path("poses", data_dir)
    rows = pd.read_csv(path)
    rows = rows[(rows["split"] != "train") | (rows["pose"] != 4)]
    rows.to_csv(path, index=False)
    datasets = ["--dataset_smile=faces", "--dataset_pose=poses"]
    run, tasks = _run(script, data_dir, *datasets, *words)
    assert "no training image of pose is right profile" in (
        capsys.readouterr().err
    )
    assert tasks["pose"]["test"]["count"] == 10
    found = pd.read_csv(run / "predictions_pose_test.csv")
    assert np.isfinite(found.select_dtypes("number")).all().all()


@pytest.mark.parametrize("words", [[], ["--is_pseudo", "--cluster_k=1"]])
def test_a_single_task_learns_from_a_pool(data_dir, words):
    run, tasks = _run(
        STL_general_train,
        data_dir,
        "--dataset=poses",
        "--task_type=pose",
        "--unlabelled",
        "faces",
        *words,
    )
    assert list(tasks) == ["pose"]
    rows = pd.read_csv(run / "metrics.csv")
    assert rows["dataset"].tolist() == ["poses", "faces"]
    assert (rows["loss"][1] > 0) == bool(words)


def test_a_pool_hides_its_labels(data_dir):
    """They are known to the diagnostics alone."""
    tiny.dataset(data_dir, "more", ["pose"], (20, 8, 8), seed=2)
    tiny.dataset(data_dir, "emotions", ["emotion"], (30, 8, 8))
    run, tasks = _run(
        ALTERNATIVE_EP,
        data_dir,
        "--dataset_emotion=emotions",
        "--dataset_pose=poses",
        "--unlabelled",
        "more",
        "--is_pseudo_confidence",
        "--epoch=3",
    )
    assert tasks["pose"]["test"]["count"] == 10
    found = pd.read_csv(run / "weights_round3.csv").query("dataset == 'more'")
    assert found.query("task == 'pose'")["truth"].notna().all()
    assert found.query("task == 'emotion'")["truth"].isna().all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset_smil=faces"], "faces has no labels for smil, only for sm"),
        (
            ["--dataset_smile=faces", "--loss_weights", "smil:2"],
            "smil:2.0 is of a task that is not trained; these are: smile",
        ),
        (
            ["--dataset_smile=faces", "--unlabelled", "faces"],
            "--unlabelled=faces is also given for smile",
        ),
    ],
)
def test_mistakes_name_what_there_is(data_dir, words, message):
    with pytest.raises(UserError, match=message):
        _run(ALTERNATIVE_general_train, data_dir, *words)


def test_a_task_that_cannot_be_flipped_is_not(data_dir):
    task = Task("wind", ("from left", "calm"), can_flip=False)
    table = tiny.dataset(data_dir, "clouds", [task], (20, 8, 8))
    assert tables.read("clouds", data_dir).tasks["wind"] == task
    assert table.tasks["wind"] == task
    words = ["--dataset=clouds", "--task_type=wind", "--is_augmentation"]
    _, tasks = _run(STL_general_train, data_dir, *words)
    assert tasks["wind"]["classes"] == ["from left", "calm"]

import cv2
import numpy as np
import pandas as pd
import pytest

from samtl.data import images, tables
from samtl.data.tasks import GENDER, POSE, Task
from samtl.pseudo_labels.diagnostics import draw_round, write_diagnostics

TASK = Task("gender", GENDER)
COUNT = 30


def make_split(folder, name, truth=None, count=COUNT):
    """Rows of gray images, the brightness of each its number."""
    paths = [f"db/{name}/{number}.png" for number in range(count)]
    rows = pd.DataFrame({"path": paths, "split": "train", "pose": 0})
    (folder / "db").mkdir(exist_ok=True)
    if truth is not None:
        hidden = pd.DataFrame({"path": paths, "gender": truth})
        hidden.to_csv(folder / "db" / f"{name}.truth.csv", index=False)
    table = tables.Table(name, folder, rows, {"pose": Task("pose", POSE)})
    pixels = np.zeros((count, 64, 64, 1), np.uint8)
    pixels += np.arange(count, dtype=np.uint8)[:, None, None, None]
    return images.Split(table, pixels, np.arange(count))


@pytest.fixture
def found():
    weight = np.random.default_rng(0).permutation(COUNT) / (COUNT - 1)
    return {
        "pseudo_label": np.arange(COUNT) % 2,
        "confidence": np.full(COUNT, 0.123456789, np.float32),
        "weight": weight.astype(np.float32),
        "selected": weight > 0.8,
    }


def test_rows_contain_what_was_computed(tmp_path, found):
    write_diagnostics(tmp_path, 3, TASK, make_split(tmp_path, "mtfl"), found)
    frame = pd.read_csv(tmp_path / "weights_round3.csv")
    assert frame["path"].tolist()[:2] == ["db/mtfl/0.png", "db/mtfl/1.png"]
    assert frame["pseudo_label"].tolist() == ["female", "male"] * (COUNT // 2)
    np.testing.assert_allclose(frame["weight"], found["weight"], rtol=1e-4)
    assert frame["confidence"].unique().tolist() == [0.12346]
    assert frame[["density", "distribution", "truth"]].isna().all(axis=None)
    np.testing.assert_array_equal(frame["selected"], found["selected"])
    assert set(frame["dataset"] + frame["task"]) == {"mtflgender"}


def test_accuracy_where_the_truth_is_known(tmp_path, found):
    # Rows 0..9 are known, the first four of them wrong.
    truth = (np.arange(COUNT) + (np.arange(COUNT) < 4)) % 2
    truth[10:] = -1
    found["selected"] = np.arange(COUNT) % 4 == 3  # of the known: 3 and 7
    split = make_split(tmp_path, "mtfl", truth)
    metrics = write_diagnostics(tmp_path, 1, TASK, split, found)
    wrong, right = np.split(found["weight"][:10], [4])
    assert metrics == pytest.approx(
        {
            "pseudo_gender_mean_weight": 0.5,
            "pseudo_gender_accuracy": 0.6,
            "pseudo_gender_accuracy_selected": 0.5,
            "pseudo_gender_auc_confidence": 0.5,  # the same for all
            "pseudo_gender_auc_weight": np.mean(right[:, None] > wrong),
        }
    )
    frame = pd.read_csv(tmp_path / "weights_round1.csv")
    assert frame["truth"].tolist()[:5] == [
        "male",
        "female",
        "male",
        "female",
        "female",
    ]
    assert frame["truth"].isna().sum() == COUNT - 10


def test_no_accuracy_without_truth(tmp_path, found):
    split = make_split(tmp_path, "mtfl")
    metrics = write_diagnostics(tmp_path, 1, TASK, split, found)
    assert metrics.keys() == {"pseudo_gender_mean_weight"}


def test_a_round_of_several_tasks_has_one_file(tmp_path, found):
    first, second = make_split(tmp_path, "mtfl"), make_split(tmp_path, "expw")
    emotion = Task("emotion", ("happy", "sad"))
    for split, task in ((first, TASK), (first, emotion), (second, TASK)):
        write_diagnostics(tmp_path, 1, task, split, found)
    before = pd.read_csv(tmp_path / "weights_round1.csv")
    counts = before.groupby(["dataset", "task"]).size().to_dict()
    assert counts == {
        ("expw", "gender"): COUNT,
        ("mtfl", "emotion"): COUNT,
        ("mtfl", "gender"): COUNT,
    }
    # The same round once more, as after a resume.
    write_diagnostics(tmp_path, 1, TASK, first, found)
    after = pd.read_csv(tmp_path / "weights_round1.csv")
    order = ["dataset", "task", "path"]
    pd.testing.assert_frame_equal(
        before.sort_values(order, ignore_index=True),
        after.sort_values(order, ignore_index=True),
    )


def test_names_with_line_breaks_and_commas_are_written_once(tmp_path, found):
    split = make_split(tmp_path, "mtfl")
    split.table.rows["path"] = [
        f'a\n"{index}",mtfl,gender' for index in range(COUNT)
    ]
    emotion = Task("emotion", ("happy", "sad"))
    for task in (TASK, emotion, TASK, emotion, TASK):  # resumed twice
        write_diagnostics(tmp_path, 1, task, split, found)
    frame = pd.read_csv(tmp_path / "weights_round1.csv")
    assert frame.groupby("task").size().to_dict() == {
        "emotion": COUNT,
        "gender": COUNT,
    }
    assert set(frame["path"]) == set(split.table.rows["path"])


@pytest.mark.parametrize("count", [1, 5, COUNT])
def test_sheet_shows_the_extremes(tmp_path, found, count, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        "samtl.runs.plots.contact_sheet",
        lambda path, images, captions, **rest: drawn.update(
            numbers=images[:, 0, 0, 0], captions=captions
        ),
    )
    split = make_split(tmp_path, "mtfl", count=count)
    rows = np.arange(count)
    cut = {name: values[:count] for name, values in found.items()}
    draw_round(tmp_path, 1, [(TASK, split, cut)])
    order = sorted(rows, key=lambda row: -cut["weight"][row])
    expected = order if count <= 24 else order[:12] + order[-12:]
    assert drawn["numbers"].tolist() == [int(row) for row in expected]
    first = expected[0]
    assert drawn["captions"][0] == (
        f"{GENDER[first % 2]}\n{cut['weight'][first]:.3g}"
    )


def test_writing_a_round_draws_nothing(tmp_path, found):
    split = make_split(tmp_path, "mtfl")
    write_diagnostics(tmp_path, 2, TASK, split, found)
    assert (tmp_path / "weights_round2.csv").exists()
    assert not list(tmp_path.glob("*.png"))


def test_sheet_and_histogram_are_images(tmp_path, found):
    draw_round(tmp_path, 2, [(TASK, make_split(tmp_path, "mtfl"), found)])
    for name in ("", "_histogram"):
        path = tmp_path / f"weights_round2_mtfl_gender{name}.png"
        assert cv2.imread(str(path)).size

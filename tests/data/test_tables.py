"""The data contract, read and written."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samtl.common.errors import UserError
from samtl.data import checks, tables
from samtl.data.tasks import AGE, EMOTION_7, Task

POSE = Task("pose", ("left", "right"))
GENDER = Task("gender", ("female", "male"))
EMOTION = Task("emotion", EMOTION_7)
CSV = """\
path,split,pose,gender,subject
db/toy/a.png,train,0,1,NA
db/toy/b.png,train,1,0,
db/toy/c.png,validation,1,1,Ann
db/toy/d.png,test,0,0,Bob
"""


@pytest.fixture
def data_dir(tmp_path):
    """A prepared dataset "toy" of four faces."""
    folder = tmp_path / "db"
    (folder / "toy").mkdir(parents=True)
    for letter in "abcd":
        (folder / "toy" / f"{letter}.png").touch()
    (folder / "toy.csv").write_text(CSV)
    tasks = {"gender": ["female", "male"], "pose": ["left", "right"]}
    (folder / "toy.json").write_text(json.dumps({"tasks": tasks}))
    return tmp_path


def change(data_dir, old, new):
    path = data_dir / "db" / "toy.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def error_of(call, *arguments, **options):
    with pytest.raises(UserError) as caught:
        call(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_reads_rows_tasks_and_paths(data_dir):
    table = tables.read("toy", data_dir)
    assert len(table) == 4
    assert list(table.tasks.values()) == [POSE, GENDER]
    assert table.rows["subject"].tolist()[0] == "NA"
    assert table.paths[3] == data_dir / "db" / "toy" / "d.png"
    assert all(path.is_absolute() for path in table.paths)
    assert table.labels("pose").tolist() == [0, 1, 1, 0]
    assert table.labels("gender").dtype == np.int64


def test_split_keeps_only_its_rows_and_counts_from_zero(data_dir):
    table = tables.read("toy", data_dir).split("validation")
    assert table.rows.index.tolist() == [0]
    assert table.rows["path"].tolist() == ["db/toy/c.png"]
    with pytest.raises(ValueError, match="holdout"):
        table.split("holdout")


def test_take_keeps_the_given_order(data_dir):
    table = tables.read("toy", data_dir).take([3, 0])
    assert table.rows["path"].tolist() == ["db/toy/d.png", "db/toy/a.png"]
    assert table.rows.index.tolist() == [0, 1]


def test_table_has_only_the_needed_tasks(data_dir):
    assert list(tables.read("toy", data_dir, ["gender"]).tasks) == ["gender"]


def test_targets_are_one_hot_without_votes(data_dir):
    targets = tables.read("toy", data_dir).targets("pose")
    assert targets.dtype == np.float32
    assert targets.tolist() == [[1, 0], [0, 1], [0, 1], [1, 0]]


def add_votes(data_dir, shares=("0.75,0.25", "0.1,0.9", "0,1", "1,0")):
    path = data_dir / "db" / "toy.csv"
    lines = path.read_text().splitlines()
    added = ("pose_left,pose_right", *shares)
    path.write_text(
        "\n".join(f"{a},{b}" for a, b in zip(lines, added, strict=True))
    )


def test_targets_are_vote_shares_where_there_are_votes(data_dir):
    add_votes(data_dir)
    table = tables.read("toy", data_dir)
    np.testing.assert_allclose(table.targets("pose")[0], [0.75, 0.25])
    plain = tables.read("toy", data_dir, votes=False)
    assert plain.targets("pose")[0].tolist() == [1, 0]
    assert table.targets("gender")[0].tolist() == [0, 1]


def test_an_empty_cell_is_a_missing_label(data_dir):
    change(data_dir, "c.png,validation,1", "c.png,validation,")
    table = tables.read("toy", data_dir)
    assert table.labels("pose")[2] == tables.UNKNOWN
    assert table.is_labelled("pose").tolist() == [True, True, False, True]
    assert table.targets("pose")[2].tolist() == [0.5, 0.5]
    counts = tables.counts(table.rows, list(table.tasks.values()))
    assert counts["validation"]["unlabelled"] == {"pose": 1}


def test_votes_stand_in_for_a_missing_label(data_dir):
    add_votes(data_dir)
    change(data_dir, "a.png,train,0", "a.png,train,")
    table = tables.read("toy", data_dir)
    assert not table.is_labelled("pose")[0]
    assert table.has_target("pose")[0]
    np.testing.assert_allclose(table.targets("pose")[0], [0.75, 0.25])


def test_a_task_of_ones_own_needs_its_column(data_dir):
    path = data_dir / "db" / "toy.json"
    path.write_text('{"tasks": {"hair": ["brown"]}}')
    assert "no column hair" in error_of(tables.read, "toy", data_dir)
    path.write_text('{"tasks": {"Hair": ["brown"]}}')
    assert "lower-case" in error_of(tables.read, "toy", data_dir)


def test_an_unlabelled_pool_needs_no_test_images(data_dir):
    (data_dir / "db" / "toy.json").write_text('{"tasks": {}}')
    path = data_dir / "db" / "toy.csv"
    path.write_text("path,split\ndb/toy/a.png,train\n")
    table = tables.read("toy", data_dir)
    assert table.tasks == {}
    assert len(table) == 1


def test_truth_is_joined_by_path_and_minus_one_where_unknown(data_dir):
    table = tables.read("toy", data_dir)
    assert table.truth(EMOTION) is None
    (data_dir / "db" / "toy.truth.csv").write_text(
        "path,emotion\ndb/toy/c.png,3\ndb/toy/a.png,1\ndb/toy/d.png,\n"
    )
    assert table.truth(EMOTION).tolist() == [1, -1, 3, -1]
    assert table.truth(EMOTION).dtype == np.int64
    assert table.split("validation").truth(EMOTION).tolist() == [3]
    assert table.truth(Task("age", AGE)) is None


def test_truth_of_other_classes_is_none(data_dir):
    (data_dir / "db" / "toy.truth.csv").write_text(
        "path,emotion\ndb/toy/c.png,3\n"
    )
    table = tables.read("toy", data_dir, ["pose"])
    assert table.truth(Task("emotion", EMOTION_7[:3])) is None
    assert table.truth(GENDER).tolist() == [1, 0, 1, 0]
    assert table.truth(Task("gender", ("male", "female"))) is None


def test_a_column_that_is_not_in_the_json_is_not_a_label(data_dir):
    path = data_dir / "db" / "toy.csv"
    header, *lines = path.read_text().splitlines()
    added = [f"{header},age", *(f"{line},?" for line in lines)]
    path.write_text("\n".join(added))
    table = tables.read("toy", data_dir)
    assert "age" not in table.rows
    assert table.truth(Task("age", AGE)) is None


def test_truth_refuses_a_broken_file(data_dir):
    table = tables.read("toy", data_dir)
    hidden = data_dir / "db" / "toy.truth.csv"
    hidden.write_text("image,emotion\na,1\n")
    assert "no column path" in error_of(table.truth, EMOTION)
    hidden.write_text("path,emotion\na,1\na,2\n")
    message = error_of(table.truth, EMOTION)
    assert "row 3" in message
    assert "row 2" in message


@pytest.mark.parametrize(
    ("old", "new", "row", "words"),
    [
        ("a.png,train,0", "a.png,train,2", 2, ["pose is '2'", "0..1"]),
        ("a.png,train,0", "a.png,train,-1", 2, ["pose is '-1'"]),
        ("b.png,train,1", "b.png,train,0.5", 3, ["pose is '0.5'"]),
        ("b.png,train,1", "b.png,train,x", 3, ["pose is 'x'"]),
        ("d.png,test", "d.png,holdout", 5, ["'holdout'", "test"]),
        ("d.png,test", "d.png,", 5, ["split is empty"]),
        ("\ndb/toy/b.png", "\n", 3, ["path is empty"]),
        ("b.png", "a.png", 3, ["'db/toy/a.png'", "row 2", "delete"]),
        ("b.png", "x.png", 3, ["'db/toy/x.png' is missing", "restore"]),
        ("db/toy/b.png", "/etc/hosts", 3, ["leaves", "relative"]),
        ("db/toy/b.png", "db/../../b", 3, ["leaves", "relative"]),
        ("db/toy/b.png", "db/toy", 3, ["is missing"]),
        ("db/toy/a.png,train,0,1,NA", "a,b,c,d,e,f", 2, ["more cells"]),
        ("\ndb/toy/c.png", "\n\ndb/toy/c.png", 4, ["is empty"]),
    ],
)
def test_bad_rows_are_named_with_their_line(data_dir, old, new, row, words):
    change(data_dir, old, new)
    message = error_of(tables.read, "toy", data_dir)
    assert f"{data_dir / 'db' / 'toy.csv'}, row {row}: " in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("shares", ["0.5,0.4", "-0.5,1.5", "1,", "x,1"])
def test_vote_shares_must_be_a_distribution(data_dir, shares):
    add_votes(data_dir, ("1,0", shares, "0,1", "1,0"))
    message = error_of(tables.read, "toy", data_dir)
    assert "row 3" in message
    assert "sum to 1" in message


def test_vote_shares_must_be_complete(data_dir):
    change(data_dir, "subject", "pose_left")
    message = error_of(tables.read, "toy", data_dir)
    assert "no column pose_right beside pose_left" in message


def test_unknown_dataset_lists_the_prepared_ones(data_dir):
    for name in ("expw", "../toy", "toy.csv"):
        message = error_of(tables.read, name, data_dir)
        assert "not prepared" in message
        assert "(prepared: toy)" in message
        assert "python -m data_preparation" in message
    assert "(prepared: none)" in error_of(tables.read, "x", data_dir / "db")


def test_missing_columns_are_named(data_dir):
    change(data_dir, "split,pose", "part,yaw")
    message = error_of(tables.read, "toy", data_dir)
    assert "no column split, pose" in message


def test_task_without_labels_is_refused(data_dir):
    message = error_of(tables.read, "toy", data_dir, ["pose", "age"])
    assert "no labels for age, only for pose, gender" in message


def test_empty_split_is_refused(data_dir):
    change(data_dir, "validation", "train")
    message = error_of(tables.read, "toy", data_dir)
    assert "no row for split validation" in message


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b'path,split\n"a,b\n', b"a,b\n1\n1,2,3"]
)
def test_unreadable_csv_is_one_line(data_dir, content):
    (data_dir / "db" / "toy.csv").write_bytes(content)
    message = error_of(tables.read, "toy", data_dir)
    assert "toy.csv" in message


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff",
        b"[]",
        b"{}",
        b'{"tasks": {"pose": 3}}',
        b'{"tasks": {"pose": "left"}}',
        b'{"tasks": {"pose": [1, 2]}}',
        b'{"tasks": {"pose": ["left", "left"]}}',
        b'{"tasks": {"pose": []}}',
        b'{"tasks": {"pose": ["left", "label"]}}',
    ],
)
def test_unreadable_json_is_one_line(data_dir, content):
    (data_dir / "db" / "toy.json").write_bytes(content)
    message = error_of(tables.read, "toy", data_dir)
    assert "toy.json" in message
    assert "data_preparation toy --source FOLDER --overwrite" in message
    path = tables.csv_path("synthetic_pose", data_dir)
    assert checks.prepare_again(path).endswith("synthetic --overwrite")


def test_a_set_of_ones_own_is_prepared_again_as_it_was(data_dir):
    path = data_dir / "db" / "toy.csv"
    words = ["own", "toy", "--source", "my photos"]
    description = {"tasks": {}, "prepared_with": words}
    path.with_suffix(".json").write_text(json.dumps(description))
    path.write_text("path,split\nno.png,train\n")
    message = error_of(tables.read, "toy", data_dir)
    command = "data_preparation own toy --source 'my photos' --overwrite"
    assert message.endswith(command)


def test_missing_json_is_refused(data_dir):
    (data_dir / "db" / "toy.json").unlink()
    message = error_of(tables.read, "toy", data_dir)
    assert "toy.json is missing" in message


def test_written_counts_are_those_of_the_rows(data_dir):
    rows = tables.read("toy", data_dir).rows
    facts = {"source": "drawn by hand", "dropped": {"blurred": 2}}
    tables.write("copy", rows, [GENDER, POSE], data_dir, facts)
    written = json.loads((data_dir / "db" / "copy.json").read_text())
    assert list(written["tasks"]) == ["pose", "gender"]
    assert written["dropped"] == {"blurred": 2}
    assert written["counts"]["train"] == {
        "rows": 2,
        "pose": {"left": 1, "right": 1},
        "gender": {"female": 1, "male": 1},
    }
    assert written["counts"]["test"]["pose"] == {"left": 1, "right": 0}
    assert tables.prepared(data_dir) == ["copy", "toy"]


@given(
    labels=st.lists(st.integers(0, 1), min_size=2, max_size=30),
    subject=st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
)
def test_what_is_written_is_read_back(tmp_path_factory, labels, subject):
    data_dir = tmp_path_factory.mktemp("data")
    labels = [0, 1, *labels]
    splits = ["train", "train", "validation", "test"] * len(labels)
    rows = pd.DataFrame(
        {
            "path": [f"{index}.png" for index in range(len(labels))],
            "split": splits[: len(labels)],
            "pose": labels,
            "pose_left": 1 / 3,
            "pose_right": 2 / 3,
            "subject": subject or "nobody",
        }
    )
    for path in rows["path"]:
        (data_dir / path).touch()
    tables.write("toy", rows, [POSE], data_dir, {})
    read = tables.read("toy", data_dir).rows
    pd.testing.assert_frame_equal(read, rows, check_dtype=False)

"""FER2013 from tiny hand-made copies of its layouts."""

import csv
import json
from pathlib import PurePath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_preparation import __main__ as command
from data_preparation import common, fer2013
from samtl.common.errors import UserError
from samtl.data.tasks import EMOTION_7


def image_of(seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (48, 48), dtype=np.uint8)


def text_of(seed):
    return " ".join(map(str, image_of(seed).ravel()))


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image_of(seed)).save(path)


def write_table(source, rows, name="fer2013.csv", header=None):
    """A published table from (emotion, pixels, usage)."""
    source.mkdir(parents=True, exist_ok=True)
    header = header or ["emotion", "pixels", "Usage"]
    order = [["emotion", "pixels", "Usage"].index(h.strip()) for h in header]
    lines = [",".join(header)]
    lines += [",".join(row[index] for index in order) for row in rows]
    (source / name).write_text("\n".join(lines) + "\n")


def prepare(source, data_dir, *more):
    words = [f"--source={source}", f"--data_dir={data_dir}", *more]
    command.main(["fer2013", *words])


def written(data_dir, suffix=".csv"):
    with (data_dir / "db" / f"fer2013{suffix}").open(newline="") as file:
        return list(csv.reader(file))


GOOD = [
    ("0", text_of(0), "Training"),
    ("6", text_of(1), "Training"),
    ("3", text_of(2), "PublicTest"),
    ("5", text_of(3), "PrivateTest"),
]
BAD = [
    ("7", text_of(4), "Training"),
    ("-1", text_of(4), "Training"),
    ("contempt", text_of(4), "Training"),
    ("", text_of(4), "Training"),
    ("3", "1 2 3", "Training"),
    ("3", "256 " * 48 * 48, "Training"),
    ("3", "-1 " * 48 * 48, "PublicTest"),
    ("3", " ", "Training"),
    ("3", text_of(4), "Test"),
    # The same pixels as the test face.
    ("5", text_of(3), "Training"),
]
EXPECTED = [
    ["path", "split", "emotion"],
    ["db/fer2013/train/fer0000000.png", "train", "0"],
    ["db/fer2013/train/fer0000001.png", "train", "6"],
    ["db/fer2013/validation/fer0000002.png", "validation", "3"],
    ["db/fer2013/test/fer0000003.png", "test", "5"],
]


def test_the_table_becomes_the_expected_one(tmp_path, capsys):
    write_table(tmp_path / "raw", GOOD + BAD)
    prepare(tmp_path / "raw", tmp_path / "data")
    assert written(tmp_path / "data") == EXPECTED
    facts = json.loads((tmp_path / "data/db/fer2013.json").read_text())
    assert facts["tasks"] == {"emotion": list(EMOTION_7)}
    assert facts["source"] == "fer2013.csv"
    assert "dropped: unknown label" in capsys.readouterr().out
    assert written(tmp_path / "data", ".dropped.csv") == [
        ["name", "split", "reason"],
        ["fer0000004.png", "train", "unknown label"],
        ["fer0000005.png", "train", "unknown label"],
        ["fer0000006.png", "train", "unknown label"],
        ["fer0000007.png", "train", "unknown label"],
        ["fer0000008.png", "train", "malformed pixels"],
        ["fer0000009.png", "train", "malformed pixels"],
        ["fer0000010.png", "validation", "malformed pixels"],
        ["fer0000011.png", "train", "malformed pixels"],
        ["fer0000012.png", "", "unknown usage"],
        ["fer0000013.png", "train", common.DUPLICATE],
    ]


def test_crops_are_the_pixels(tmp_path):
    write_table(tmp_path / "raw", GOOD)
    prepare(tmp_path / "raw", tmp_path / "data")
    for seed, (path, *_) in enumerate(EXPECTED[1:]):
        crop = np.asarray(Image.open(tmp_path / "data" / path))
        np.testing.assert_array_equal(crop, image_of(seed))


def test_the_newer_table_gives_the_same(tmp_path):
    header = ["emotion", " Usage", " pixels"]
    write_table(tmp_path / "raw", GOOD, "icml_face_data.csv", header)
    prepare(tmp_path / "raw", tmp_path / "data")
    assert written(tmp_path / "data") == EXPECTED


def test_a_table_without_splits_is_refused(tmp_path):
    write_table(tmp_path / "raw", GOOD, header=["emotion", "pixels"])
    with pytest.raises(UserError, match="no column Usage"):
        prepare(tmp_path / "raw", tmp_path / "data")


def test_class_folders_become_the_expected_table(tmp_path):
    source = tmp_path / "raw"
    for seed, place in enumerate(
        [
            "Training/Angry/0.png",
            "Training/6/1.jpeg.png",
            "PublicTest/happy/2.png",
            "PrivateTest/Surprise/3.png",
            "Training/contempt/4.png",
            "Training/5.png",
            "extra/happy/6.png",
            "Training/disgusted/7.png",
            "Training/fear/8.png",
            "Training/happiness/9.png",
            "Training/Sadness/10.png",
            "Training/surprised/11.png",
        ]
    ):
        save(source / place, seed)
    (source / "Training" / "Angry" / "text.JPG").write_text("no image")
    (source / "Training" / "Angry" / "notes.txt").write_text("no image")
    (source / "PublicTest").rename(tmp_path / "elsewhere")
    (source / "PublicTest").symlink_to(tmp_path / "elsewhere")
    prepare(source, tmp_path / "data")
    header, *rows = written(tmp_path / "data")
    assert [header, *sorted(rows)] == [
        ["path", "split", "emotion"],
        ["db/fer2013/test/surprise/3.png", "test", "5"],
        ["db/fer2013/train/angry/0.png", "train", "0"],
        ["db/fer2013/train/disgust/7.png", "train", "1"],
        ["db/fer2013/train/fear/8.png", "train", "2"],
        ["db/fer2013/train/happy/9.png", "train", "3"],
        ["db/fer2013/train/neutral/1.jpeg.png", "train", "6"],
        ["db/fer2013/train/sad/10.png", "train", "4"],
        ["db/fer2013/train/surprise/11.png", "train", "5"],
        ["db/fer2013/validation/happy/2.png", "validation", "3"],
    ]
    facts = json.loads((tmp_path / "data/db/fer2013.json").read_text())
    assert facts["source"] == "images in class folders"
    header, *dropped = written(tmp_path / "data", ".dropped.csv")
    assert sorted(dropped) == [
        ["Training/5.png", "train", "unknown label"],
        ["Training/Angry/text.JPG", "train", "image unreadable"],
        ["Training/contempt/4.png", "train", "unknown label"],
        ["extra/happy/6.png", "", "unknown usage"],
    ]


def test_names_tell_the_tests_of_one_folder_apart(tmp_path):
    source = tmp_path / "raw"
    save(source / "train" / "angry" / "Training_3908.png", 0)
    save(source / "test" / "angry" / "PublicTest_1013.png", 1)
    save(source / "test" / "happy" / "PrivateTest_88.png", 2)
    prepare(source, tmp_path / "data")
    assert sorted(written(tmp_path / "data")[1:]) == [
        ["db/fer2013/test/happy/PrivateTest_88.png", "test", "3"],
        ["db/fer2013/train/angry/Training_3908.png", "train", "0"],
        ["db/fer2013/validation/angry/PublicTest_1013.png", "validation", "0"],
    ]


def test_without_such_names_validation_is_drawn_from_train(tmp_path):
    source = tmp_path / "raw"
    for seed in range(20):
        save(source / "train" / "sad" / f"im{seed}.png", seed)
    save(source / "test" / "sad" / "im0.png", 20)
    prepare(source, tmp_path / "data")
    splits = [row[1] for row in written(tmp_path / "data")[1:]]
    assert [splits.count(name) for name in ("validation", "test")] == [2, 1]


def test_a_folder_of_validation_validates(tmp_path):
    for seed, split in enumerate(
        ["train", "Validation", "val", "valid", "test"]
    ):
        save(tmp_path / "raw" / split / "sad" / f"im{seed}.png", seed)
    prepare(tmp_path / "raw", tmp_path / "data")
    splits = [row[1] for row in written(tmp_path / "data")[1:]]
    assert [splits.count(name) for name in ("train", "validation")] == [1, 3]


def test_folders_of_no_class_are_refused_where_classes_are_empty(tmp_path):
    source = tmp_path / "raw"
    for seed, label in enumerate("1234567"):
        save(source / "train" / label / "im.png", seed)
    save(source / "test" / "1" / "im.png", 7)
    save(source / "val" / "1" / "im.png", 9)
    message = "no training image of angry but some in folders 7, which are no"
    with pytest.raises(UserError, match=message):
        prepare(source, tmp_path / "data")
    save(source / "train" / "Angry" / "im.png", 8)
    prepare(source, tmp_path / "data")
    assert written(tmp_path / "data", ".dropped.csv")[1:] == [
        ["train/7/im.png", "train", "unknown label"]
    ]


def test_crops_of_the_set_itself_are_not_a_source(tmp_path, capsys):
    for seed, split in enumerate(["train"] * 12 + ["test"]):
        save(tmp_path / split / "sad" / f"im{seed}.png", seed)
    # As a killed run leaves them.
    save(tmp_path / "db/.fer2013.partial/crops/test/sad/im12.png", 12)
    prepare(tmp_path, tmp_path)
    whole = written(tmp_path)
    assert len(whole) == 1 + 13
    assert written(tmp_path, ".dropped.csv") == [["name", "split", "reason"]]
    prepare(tmp_path, tmp_path)
    assert "fer2013 is up to date" in capsys.readouterr().out
    prepare(tmp_path, tmp_path, "--overwrite")
    assert written(tmp_path) == whole


def test_a_source_without_a_layout_says_what_is_needed_and_there(tmp_path):
    save(tmp_path / "raw" / "FER2013Train" / "fer0.png", 0)
    with pytest.raises(UserError) as caught:
        prepare(tmp_path / "raw", tmp_path / "data")
    message = str(caught.value)
    assert "needs fer2013.csv or icml_face_data.csv, or images in" in message
    assert "(found: FER2013Train)" in message
    assert "\n" not in message


text = st.text(st.characters(codec="utf-8"), max_size=20)
label = st.one_of(text, st.integers(-3, 9).map(str), st.sampled_from(EMOTION_7))
usage = st.one_of(text, st.sampled_from(list(fer2013.USAGES)))
pixels = st.one_of(
    text,
    st.lists(st.integers(-5, 300), max_size=9).map(
        lambda few: " ".join(map(str, few))
    ),
    st.integers(-1, 256).map(lambda value: f"{value} " * 48 * 48),
)


@given(label, pixels, usage)
def test_parsed_rows_are_sound_or_have_a_reason(emotion, image, usage):
    face = fer2013.parse_row(emotion, image, usage)
    assert face["emotion"] in range(-1, len(EMOTION_7))
    assert face["split"] in ("train", "validation", "test", "")
    is_good = (
        face["source"] is not None and face["emotion"] >= 0 and face["split"]
    )
    assert (face["reason"] == "") == bool(is_good)


@given(
    values=st.lists(st.integers(0, 255), min_size=9, max_size=9),
    emotion=st.integers(0, 6),
    usage=st.sampled_from(list(fer2013.USAGES)),
)
def test_well_formed_rows_are_read_back(values, emotion, usage):
    image = np.resize(np.uint8(values), (48, 48))
    cells = " ".join(map(str, image.ravel()))
    face = fer2013.parse_row(f" {emotion}", f" {cells}", f" {usage.lower()}")
    np.testing.assert_array_equal(face.pop("source"), image)
    assert face == {
        "emotion": emotion,
        "split": fer2013.USAGES[usage],
        "reason": "",
    }


name = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1),
    st.sampled_from(["Training", "test", "PublicTest_1.jpg", "Happy", "6"]),
)


@given(st.lists(name, min_size=1, max_size=5))
def test_parsed_paths_are_sound_or_have_a_reason(parts):
    face = fer2013.parse_path(PurePath(*parts))
    assert face["emotion"] in range(-1, len(EMOTION_7))
    assert face["split"] in ("train", "validation", "test", "")
    is_good = face["emotion"] >= 0 and face["split"]
    assert (face["reason"] == "") == bool(is_good)

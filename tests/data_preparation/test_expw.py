"""ExpW from a tiny hand-made list and photos."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_preparation import __main__ as command
from data_preparation import common, crops, expw
from data_preparation.dropped import UNSPLIT
from samtl.common.errors import UserError
from samtl.data import tables
from samtl.data.tasks import EMOTION_7

# Two faces of 20 x 20 pixels: top, left, right, bottom, confidence.
FIRST = "10 30 50 30 40.5"
SECOND = "35 5 25 55 9.25"
PHOTOS = 20


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    # Large gray patches, which JPEG keeps nearly unchanged.
    image = Image.fromarray(rng.integers(0, 256, (6, 8), dtype=np.uint8))
    image = image.resize((80, 60), Image.Resampling.NEAREST)
    image.convert("RGB").save(path, quality=95)


@pytest.fixture
def source(tmp_path):
    """Twenty photos with a happy and a neutral face each, and bad lines."""
    folder = tmp_path / "raw"
    lines = []
    for index in range(PHOTOS):
        photo = f"happy_couple_{index}.jpg"
        lines += [f"{photo} 0 {FIRST} 3", f"{photo} 1 {SECOND} 6\r"]
        save(folder / "origin" / photo, index)
    (folder / "origin" / "text.jpg").write_text("no image")
    lines += [
        f"gone.jpg 0 {FIRST} 3",
        f"text.jpg 0 {FIRST} 3",
        f"happy_couple_0.jpg 0 {FIRST} 0",
        "happy_couple_0.jpg 2 10 50 30 30 40.5 3",
        "happy_couple_0.jpg 3 30 30 50 30 40.5 3",
        "happy_couple_0.jpg 4 10 90 110 30 40.5 3",
        "happy_couple_0.jpg 5 -40 30 50 -20 40.5 3",
        f"happy_couple_0.jpg 6 {FIRST} 7",
        f"happy_couple_0.jpg 7 {FIRST} -1",
        f"happy_couple_0.jpg 8 {FIRST} happy",
        f"happy_couple_0.jpg 9 {FIRST}",
        f"happy_couple_0.jpg {FIRST} 3",
        f"happy_couple_0.jpg x {FIRST} 3",
        "happy_couple_0.jpg 9 10 30 50 30.5 40.5 3",
        "happy_couple_0.jpg 9 10 30 50 30 nan 3",
        f"../secret.jpg 0 {FIRST} 3",
        f"happy 0 {FIRST} 3",
        "",
    ]
    (folder / "label.lst").write_text("\n".join(lines))
    return folder


DROPPED = {
    common.CONTRADICTED: 1,
    crops.DEGENERATE: 2,
    crops.OUTSIDE: 2,
    "image missing": 1,
    "image unreadable": 1,
    "malformed line": 7,
    "unknown label": 3,
}


def prepare(source, data_dir, *more):
    command.main(
        ["expw", f"--source={source}", f"--data_dir={data_dir}", *more]
    )


def written(data_dir, suffix=".csv"):
    with (data_dir / "db" / f"expw{suffix}").open(newline="") as file:
        return list(csv.reader(file))


def test_the_list_becomes_the_expected_table(source, tmp_path, capsys):
    prepare(source, tmp_path / "data")
    header, *rows = written(tmp_path / "data")
    assert header == ["path", "split", "emotion"]
    expected = [
        [f"db/expw/happy_couple_{index}_{face}.jpg", emotion]
        for index in range(PHOTOS)
        for face, emotion in enumerate("36")
    ]
    assert [[path, emotion] for path, _, emotion in rows] == expected
    facts = json.loads((tmp_path / "data/db/expw.json").read_text())
    assert facts["tasks"] == {"emotion": list(EMOTION_7)}
    assert facts["source"] == "label.lst with origin"
    assert facts["dropped"][UNSPLIT] == DROPPED
    assert "dropped: malformed line" in capsys.readouterr().out
    header, *dropped = written(tmp_path / "data", ".dropped.csv")
    assert header == ["name", "split", "reason"]
    assert ["gone.jpg, face 0", "", "image missing"] in dropped
    assert ["happy_couple_0.jpg, face 7", "", "unknown label"] in dropped
    assert [f"happy_couple_0.jpg 9 {FIRST}", "", "malformed line"] in dropped


def test_a_fifth_tests_and_a_tenth_of_the_rest_validates(source, tmp_path):
    for seed in range(3):
        data_dir = tmp_path / f"data{seed}"
        prepare(source, data_dir, f"--seed={seed}")
        rows = written(data_dir)[1:]
        sizes = {
            name: sum(row[1] == name for row in rows) for name in tables.SPLITS
        }
        assert sizes["test"] == 2 * PHOTOS / 5
        assert sizes["validation"] in (2, 4)
        # The faces of a photo are neighbours in the table.
        assert [row[1] for row in rows[::2]] == [row[1] for row in rows[1::2]]


def test_the_publishers_folders_give_the_same_table(source, tmp_path):
    prepare(source, tmp_path / "one")
    for name, folder in (("label.lst", "label"), ("origin", "image")):
        (source / folder).mkdir()
        (source / name).rename(source / folder / name)
    prepare(source, tmp_path / "two")
    assert written(tmp_path / "one") == written(tmp_path / "two")


@pytest.mark.parametrize(
    ("more", "expected"),
    [([], (30, 10, 50, 30)), (["--margin=0.25"], (25, 5, 55, 35))],
)
def test_crops_show_the_box_and_its_margin(source, tmp_path, more, expected):
    prepare(source, tmp_path / "data", *more)
    left, top, right, bottom = expected
    photo = np.asarray(Image.open(source / "origin" / "happy_couple_4.jpg"))
    path = tmp_path / "data" / "db" / "expw" / "happy_couple_4_0.jpg"
    crop = np.asarray(Image.open(path))
    assert crop.shape == (bottom - top, right - left, 3)
    difference = photo[top:bottom, left:right].astype(int) - crop
    assert np.abs(difference).mean() < 4


def test_boxes_below_the_least_confidence_are_dropped(source, tmp_path):
    prepare(source, tmp_path / "data", "--min_confidence=9.26")
    rows = written(tmp_path / "data")[1:]
    assert {row[2] for row in rows} == {"3"}
    facts = json.loads((tmp_path / "data/db/expw.json").read_text())
    lost = facts["dropped"][UNSPLIT]
    assert lost == {**DROPPED, expw.UNSURE: PHOTOS}


@pytest.mark.parametrize("name", ["label.lst", "origin"])
def test_an_incomplete_source_is_named_with_what_was_found(
    source, tmp_path, name
):
    (source / name).rename(source / "elsewhere")
    with pytest.raises(UserError) as caught:
        prepare(source, tmp_path / "data")
    message = str(caught.value)
    assert "needs label.lst or label/label.lst" in message
    assert "origin/ or image/origin/" in message
    assert "(found: elsewhere, " in message
    assert "\n" not in message


word = st.text(st.characters(codec="utf-8"), max_size=8)
number = st.one_of(st.integers(-(10**7), 10**7), st.floats()).map(str)


@given(st.lists(st.one_of(word, number), max_size=9))
def test_parsed_lines_are_sound_or_have_a_reason(words):
    face = expw.parse_line(" ".join(words))
    assert face["reason"] in ("malformed line", "unknown label", "")
    assert face.keys() == expw.parse_line("").keys()
    assert face["emotion"] in range(-1, len(EMOTION_7))
    assert (face["emotion"] < 0) == (face["reason"] != "")


@given(
    sides=st.lists(st.integers(-999, 9999), min_size=4, max_size=4),
    face=st.integers(0, 99),
    confidence=st.floats(-200, 200),
    label=st.integers(-2, 9),
)
def test_well_formed_lines_are_read_back(sides, face, confidence, label):
    numbers = " ".join(map(str, sides))
    photo = "angry man_1.JPG"
    line = f"{photo} {face} {numbers} {confidence!r} {label}\r"
    result = expw.parse_line(line)
    assert result["name"] == f"angry man_1.JPG, face {face}"
    if not 0 <= label < len(EMOTION_7):
        assert result["reason"] == "unknown label"
        assert result["emotion"] == -1
        return
    top, left, right, bottom = sides
    assert result == {
        "name": f"angry man_1.JPG, face {face}",
        "group": photo,
        "crop": f"angry man_1_{face}.jpg",
        "box": (left, top, right, bottom),
        "confidence": confidence,
        "emotion": label,
        "reason": "",
    }

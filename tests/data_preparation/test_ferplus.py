"""FER+ from tiny hand-made copies of both layouts."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_preparation import common, ferplus
from samtl.common import flags
from samtl.common.errors import UserError
from samtl.data import checks
from samtl.data.tasks import EMOTION_8

BOX = "(0, 0, 48, 48)"
# Votes: neutral, happiness, surprise, sadness, anger, disgust, fear,
# contempt, unknown, not a face.
HAPPY = "0,8,1,0,0,0,0,0,1,0"
ANGRY = "0,0,0,1,6,2,0,0,1,0"
CONTEMPT = "2,0,0,0,0,0,0,8,0,0"


def image_of(seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (48, 48), dtype=np.uint8)


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image_of(seed)).save(path)


@pytest.fixture
def folders(tmp_path):
    """The generator's layout; every line of train but two is bad somehow."""
    source = tmp_path / "raw"
    lines = [
        f'fer0.png,"{BOX}",{HAPPY}',
        f'fer1.png,"(8, 4, 40, 44)",{ANGRY}',
        f'half.png,"{BOX}",5,5,0,0,0,0,0,0,0,0',
        f'tie.png,"{BOX}",4,4,0,0,0,0,0,0,2,0',
        f'silent.png,"{BOX}",0,0,0,0,0,0,0,0,0,0',
        f'odd.png,"{BOX}",0,0,3,0,0,0,0,0,7,0',
        f'tree.png,"{BOX}",0,0,2,0,0,0,0,0,0,8',
        f'gone.png,"{BOX}",{HAPPY}',
        f'text.png,"{BOX}",{HAPPY}',
        f'fer2.png,"(60, 0, 70, 48)",{HAPPY}',
        f'fer0.png,"{BOX}",{ANGRY}',
        f'fer3.png,"{BOX}",1,2',
        f'fer3.png,"whole",{HAPPY}',
        f'fer3.png,"{BOX}",{HAPPY[:-1]}x',
        f'../../secret.png,"{BOX}",{HAPPY}',
        f'copy.png,"{BOX}",{HAPPY}',
        "",
    ]
    for seed in range(4):
        save(source / "FER2013Train" / f"fer{seed}.png", seed)
    # The same pixels as the test face.
    save(source / "FER2013Train" / "copy.png", 21)
    (source / "FER2013Train" / "text.png").write_text("no image")
    (source / "FER2013Train" / "label.csv").write_text("\n".join(lines))
    for name, seed, votes in (("Valid", 20, CONTEMPT), ("Test", 21, HAPPY)):
        save(source / f"FER2013{name}" / "fer9.png", seed)
        labels = source / f"FER2013{name}" / "label.csv"
        labels.write_text(f'fer9.png,"{BOX}",{votes}\n')
    return source


def prepare(source, data_dir, *more):
    parser = flags.parser("", None)
    ferplus.add_arguments(parser)
    words = [f"--source={source}", f"--data_dir={data_dir}", *more]
    ferplus.prepare(parser.parse_args(words))


EXPECTED = """\
path,split,emotion,emotion_angry,emotion_disgust,emotion_fear,emotion_happy,\
emotion_sad,emotion_surprise,emotion_neutral,emotion_contempt
db/ferplus/train/fer0.png,train,3,\
0.0,0.0,0.0,0.888889,0.0,0.111111,0.0,0.0
db/ferplus/train/fer1.png,train,0,\
0.666667,0.222222,0.0,0.0,0.111111,0.0,0.0,0.0
db/ferplus/validation/fer9.png,validation,7,\
0.0,0.0,0.0,0.0,0.0,0.0,0.2,0.8
db/ferplus/test/fer9.png,test,3,\
0.0,0.0,0.0,0.888889,0.0,0.111111,0.0,0.0
"""
DROPPED = {
    common.DUPLICATE: 1,
    "box outside the photo": 1,
    "image missing": 1,
    "image unreadable": 1,
    "listed twice, with another label": 1,
    "malformed row": 4,
    "no majority": 3,
    "not a face": 1,
    "unknown": 1,
}


def written(data_dir):
    return (data_dir / "db" / "ferplus.csv").read_text()


def test_folders_become_the_expected_table(folders, tmp_path, capsys):
    prepare(folders, tmp_path / "data")
    assert written(tmp_path / "data") == EXPECTED
    facts = json.loads((tmp_path / "data/db/ferplus.json").read_text())
    assert facts["tasks"] == {"emotion": list(EMOTION_8)}
    assert facts["counts"]["train"]["rows"] == 2
    assert facts["dropped"] == {"train": DROPPED, "validation": {}, "test": {}}
    assert "dropped: no majority" in capsys.readouterr().out


def test_crops_are_the_pixels_of_the_box(folders, tmp_path):
    prepare(folders, tmp_path / "data")
    crops = tmp_path / "data" / "db" / "ferplus" / "train"
    whole = np.asarray(Image.open(crops / "fer0.png"))
    np.testing.assert_array_equal(whole, image_of(0))
    part = np.asarray(Image.open(crops / "fer1.png"))
    np.testing.assert_array_equal(part, image_of(1)[4:44, 8:40])
    assert len(list(crops.iterdir())) == 2


def write_tables(source, rows):
    """Both published tables from (usage, name, seed or pixels, votes)."""
    source.mkdir(parents=True, exist_ok=True)
    pixels = ["emotion,pixels,Usage"]
    votes = [f"Usage,{','.join(ferplus.JUDGED)}"]
    for usage, name, image, judged in rows:
        if isinstance(image, int):
            image = " ".join(map(str, image_of(image).ravel()))
        pixels.append(f"0,{image},{usage}")
        votes.append(f"{usage},{name},{judged}")
    (source / "fer2013.csv").write_text("\n".join(pixels) + "\n")
    (source / "fer2013new.csv").write_text("\n".join(votes) + "\n")


GOOD = [
    ("Training", "fer0.png", 0, HAPPY),
    ("Training", "fer1.png", 1, ANGRY),
    ("PublicTest", "fer9.png", 20, CONTEMPT),
    ("PrivateTest", "fer9.png", 21, HAPPY),
]


def test_both_layouts_give_the_same_table(tmp_path):
    nobody = "0,0,0,0,0,0,0,0,0,10"
    bad = [
        ("Training", "", 5, nobody),
        ("Training", "fer5.png", "1 2 3", HAPPY),
        ("Training", "fer5.png", "256 " * 48 * 48, HAPPY),
        ("Training", "fer5.png", "9" * 30 + " 0" * (48 * 48 - 1), HAPPY),
        ("Training", "fer5.png", "-1 " * 48 * 48, HAPPY),
        ("Training", "fer5.png", " ", HAPPY),
        ("Training", "fer5.png", 5, f"{HAPPY[:-1]}-"),
        ("Training", "copy.png", 21, HAPPY),
    ]
    write_tables(tmp_path / "raw", GOOD + bad)
    prepare(tmp_path / "raw", tmp_path / "data")
    assert written(tmp_path / "data") == EXPECTED
    facts = json.loads((tmp_path / "data/db/ferplus.json").read_text())
    assert facts["dropped"]["train"] == {
        common.DUPLICATE: 1,
        "malformed row": 6,
        "not a face": 1,
    }
    for path in (tmp_path / "data" / "db" / "ferplus").glob("*/*.png"):
        assert np.asarray(Image.open(path)).shape[:2] == (48, 48)


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("fer2013.csv", "Usage", "split", "no column Usage"),
        ("fer2013new.csv", "NF", "face", "no column NF"),
        ("fer2013new.csv", "PublicTest", "Test", "row 4: Usage"),
        ("fer2013new.csv", ",fer1.png", "", "row 3: 11 cells under 12"),
        ("fer2013new.csv", "PrivateTest", "", "row 5"),
    ],
)
def test_broken_tables_are_one_line(tmp_path, name, old, new, words):
    source = tmp_path / "raw"
    write_tables(source, GOOD)
    change(source / name, old, new)
    with pytest.raises(UserError, match=words) as caught:
        prepare(source, tmp_path / "data")
    assert "\n" not in str(caught.value)


def test_tables_of_different_length_are_refused(tmp_path):
    write_tables(tmp_path / "raw", GOOD)
    path = tmp_path / "raw" / "fer2013.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(UserError, match=r"3 rows but .* has 4"):
        prepare(tmp_path / "raw", tmp_path / "data")


def test_an_incomplete_source_is_named_with_what_was_found(folders, tmp_path):
    (folders / "FER2013Test" / "label.csv").unlink()
    (folders / "fer2013.csv").touch()
    with pytest.raises(UserError) as caught:
        prepare(folders, tmp_path / "data")
    message = str(caught.value)
    assert "found: FER2013Train, FER2013Valid, fer2013.csv" in message
    assert not (tmp_path / "data" / "db" / "ferplus").exists()


def test_all_images_missing_is_an_error(folders, tmp_path):
    for path in folders.glob("*/*.png"):
        path.unlink()
    with pytest.raises(UserError, match="no usable image of ferplus for train"):
        prepare(folders, tmp_path / "data")


@given(st.lists(st.lists(st.integers(0, 10), min_size=10, max_size=10)))
def test_judge_equals_a_plain_loop(votes):
    labels, reasons, shares = ferplus.judge(votes)
    assert shares.shape == (len(votes), 8)
    for row, label, reason, share in zip(
        votes, labels, reasons, shares, strict=True
    ):
        named = dict(zip(ferplus.VOTED, row, strict=True))
        winners = [name for name in named if named[name] > sum(row) / 2]
        if not winners:
            assert reason == "no majority"
        elif winners[0] in ("unknown", "not a face"):
            assert reason == winners[0]
        else:
            assert reason == ""
            assert EMOTION_8[label] == winners[0]
            total = sum(named[name] for name in EMOTION_8)
            expected = [named[name] / total for name in EMOTION_8]
            np.testing.assert_allclose(share, expected, atol=1e-6)
            assert abs(share.sum() - 1) < checks.SHARE_TOLERANCE


text = st.text(st.characters(codec="utf-8"), max_size=20)
number = st.integers(-2, 300).map(str)


@given(st.lists(st.one_of(text, number), max_size=14))
def test_parsed_rows_are_sound_or_malformed(row):
    face = ferplus.parse_row(row)
    assert face["reason"] in ("", "malformed row")
    assert len(face["votes"]) == 10
    if not face["reason"]:
        assert len(row) == 12
        assert "/" not in face["name"]


@given(
    st.lists(st.integers(0, 99), min_size=4, max_size=4),
    st.lists(st.integers(0, 10), min_size=10, max_size=10),
)
def test_well_formed_rows_are_read_back(box, votes):
    row = ["fer0000001.png", f"({', '.join(map(str, box))})", *map(str, votes)]
    assert ferplus.parse_row(row) == {
        "name": "fer0000001.png",
        "box": tuple(box),
        "votes": votes,
        "reason": "",
    }


@given(text, st.lists(st.one_of(text, number), min_size=11, max_size=11))
def test_parsed_pairs_are_sound_or_have_a_reason(pixels, judged):
    face = ferplus.parse_pair(pixels, judged)
    assert face["reason"] in ("malformed row", "not a face")


def test_the_pixels_of_kaggles_second_table(tmp_path):
    """Its columns have another order, blanks, and votes written as 3.0."""
    whole, other = tmp_path / "whole", tmp_path / "other"
    for folder in (whole, other):
        folder.mkdir()
        write_tables(folder, GOOD)
    (other / "fer2013.csv").rename(other / "icml_face_data.csv")
    votes = other / "fer2013new.csv"
    text = re.sub(r",(\d+)(?=[,\n])", r",\1.0", votes.read_text())
    votes.write_text(text.replace(",", ";"))
    for folder in (whole, other):
        prepare(folder, tmp_path / f"data_{folder.name}")
    tables = [written(tmp_path / f"data_{name}") for name in ("whole", "other")]
    assert tables[0] == tables[1]

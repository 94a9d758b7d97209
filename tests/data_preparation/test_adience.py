"""Adience from tiny hand-made folds and faces."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_preparation import adience
from samtl.common import flags
from samtl.common.errors import UserError
from samtl.data.tasks import AGE, GENDER

HEADER = (
    "user_id\toriginal_image\tface_id\tage\tgender\tx\ty\tdx\tdy\ttilt_ang\t"
    "fiducial_yaw_angle\tfiducial_score"
)
TAIL = "0\t414\t1086\t1383\t-115\t30\t17"
# Two faces of one photographer in each fold.
GOOD = [
    ("(25, 32)", "f", 4, 0),
    ("(8, 12)", "m", 2, 1),
    ("35", "m", 5, 1),
    ("(0, 2)", "f", 0, 0),
    ("(38, 42)", "f", 5, 0),
    ("(60, 100)", "m", 7, 1),
    ("3", "m", 1, 1),
    ("(4, 6)", "f", 1, 0),
    ("(15, 20)", "f", 3, 0),
    ("(48, 53)", "m", 6, 1),
]
# Faces with one label, all in fold 2.
HALF = {
    ("2@N02", "z1_o.jpg", "90", "None", "m"): ("", "1"),
    ("2@N02", "z2_o.jpg", "90", "", "f"): ("", "0"),
    ("2@N02", "z3_o.jpg", "90", "(25, 32)", "u"): ("4", ""),
    ("2@N02", "z4_o.jpg", "90", "(25, 32)", ""): ("4", ""),
    ("2@N02", "z5_o.jpg", "90", "(8, 23)", "f"): ("", "0"),
    ("2@N02", "z6_o.jpg", "90", "(38, 48)", "f"): ("", "0"),
}
# user, image, face, age, gender -> why it is dropped, all in fold 2.
BAD = {
    ("2@N02", "y1_o.jpg", "90", "None", "u"): adience.NO_LABEL,
    ("2@N02", "y2_o.jpg", "90", "(8, 23)", ""): adience.NO_LABEL,
    ("2@N02", "z7_o.jpg", "90", "(25, 32", "f"): "malformed line",
    ("2@N02", "z8_o.jpg", "90", "25.5", "f"): "malformed line",
    ("2@N02", "z9_o.jpg", "90", "(25, 32)", "x"): "malformed line",
    ("..", "za_o.jpg", "90", "(25, 32)", "f"): "malformed line",
    ("2@N02", "../zb_o.jpg", "90", "(25, 32)", "f"): "malformed line",
    ("2@N02", "zc_o.jpg", "x", "(25, 32)", "f"): "malformed line",
    ("2@N02", "gone_o.jpg", "90", "(25, 32)", "f"): "image missing",
    ("2@N02", "text_o.jpg", "90", "(25, 32)", "f"): "image unreadable",
    ("2@N02", "4_o.jpg", "4", "(38, 42)", "f"): "listed twice",
    ("4@N02", "astray_o.jpg", "8", "(25, 32)", "f"): adience.ASTRAY,
}


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (5, 5), dtype=np.uint8)
    face = Image.fromarray(pixels).resize((40, 40), Image.NEAREST)
    face.convert("RGB").save(path, quality=95)


@pytest.fixture
def source(tmp_path):
    """Five folds of two good faces, and every kind of bad line in one."""
    folder = tmp_path / "raw"
    for fold in range(5):
        lines = [HEADER]
        for face in (2 * fold, 2 * fold + 1):
            age, gender, *_ = GOOD[face]
            row = f"{fold}@N02", f"{face}_o.jpg", str(face), age, gender, TAIL
            lines.append("\t".join(row))
            name = f"landmark_aligned_face.{face}.{face}_o.jpg"
            save(folder / "aligned" / f"{fold}@N02" / name, face)
        if fold == 2:
            lines += ["\t".join((*row, TAIL)) for row in BAD]
            lines.append("2@N02\tshort.jpg\t90\t(25, 32)\tf")
        path = folder / f"fold_{fold}_data.txt"
        path.write_text("\n".join(lines) + "\n")
    user = folder / "aligned" / "2@N02"
    (user / "landmark_aligned_face.90.text_o.jpg").write_text("no image")
    return folder


def prepare(source, data_dir, *more):
    parser = flags.parser("", None)
    adience.add_arguments(parser)
    words = [f"--source={source}", f"--data_dir={data_dir}", *more]
    adience.prepare(parser.parse_args(words))


def written(data_dir):
    with (data_dir / "db" / "adience.csv").open(newline="") as file:
        return list(csv.reader(file))


def expected(splits):
    """Rows of the table, given the split of each fold."""
    return sorted(
        [
            f"db/adience/{face // 2}@N02/{face}.{face}_o.jpg",
            splits[face // 2],
            str(age),
            str(gender),
            f"{face // 2}@N02/{face}",
        ]
        for face, (_, _, age, gender) in enumerate(GOOD)
    )


def test_folds_become_the_expected_table(source, tmp_path):
    prepare(source, tmp_path / "data")
    header, *rows = written(tmp_path / "data")
    assert header == ["path", "split", "age", "gender", "subject"]
    splits = ["validation", "train", "train", "train", "test"]
    assert sorted(rows) == expected(splits)
    facts = json.loads((tmp_path / "data/db/adience.json").read_text())
    assert facts["tasks"] == {"age": list(AGE), "gender": list(GENDER)}
    reasons = [*BAD.values(), "malformed line"]
    assert facts["dropped"] == {
        "train": {why: reasons.count(why) for why in reasons},
        "validation": {},
        "test": {},
    }


def test_a_face_may_lack_one_of_the_labels(source, tmp_path):
    path = source / "fold_2_data.txt"
    lines = ["\t".join((*row, TAIL)) for row in HALF]
    path.write_text("\n".join([path.read_text().rstrip(), *lines]) + "\n")
    for seed, (_, image, *_) in enumerate(HALF, 20):
        name = f"landmark_aligned_face.90.{image}"
        save(source / "aligned" / "2@N02" / name, seed)
    prepare(source, tmp_path / "data")
    rows = {row[0]: row for row in written(tmp_path / "data")[1:]}
    assert len(rows) == len(GOOD) + len(HALF)
    for (_, image, *_), labels in HALF.items():
        assert tuple(rows[f"db/adience/2@N02/90.{image}"][2:4]) == labels


@pytest.mark.parametrize("test", range(5))
def test_any_fold_tests_and_the_next_one_validates(source, tmp_path, test):
    text = (source / "fold_2_data.txt").read_text()
    lines = [line for line in text.splitlines() if "astray" not in line]
    (source / "fold_2_data.txt").write_text("\n".join(lines))
    prepare(source, tmp_path / "data", f"--fold={test}")
    splits = ["train"] * 5
    splits[test] = "test"
    splits[(test + 1) % 5] = "validation"
    assert sorted(written(tmp_path / "data")[1:]) == expected(splits)


def test_a_changed_fold_does_not_change_the_labels(source, tmp_path):
    prepare(source, tmp_path / "data")
    message = "but --fold was 4 and is 1; give --overwrite"
    with pytest.raises(UserError, match=message):
        prepare(source, tmp_path / "data", "--fold=1")


@pytest.mark.parametrize("is_empty_folder_there", [False, True])
def test_coarsely_aligned_faces_are_read_too(
    source, tmp_path, is_empty_folder_there
):
    for path in sorted(source.glob("aligned/*/*")):
        name = path.name.replace("landmark_", "coarse_tilt_", 1)
        target = source / "faces" / path.parent.name / name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    for path in source.glob("aligned/*"):
        path.rmdir()
    if not is_empty_folder_there:
        (source / "aligned").rmdir()
    prepare(source, tmp_path / "data")
    assert len(written(tmp_path / "data")) == 1 + len(GOOD)


def test_images_are_kept_whole_and_reduced(source, tmp_path):
    prepare(source, tmp_path / "data", "--size=20")
    crop = tmp_path / "data" / "db" / "adience" / "0@N02" / "0.0_o.jpg"
    face = source / "aligned/0@N02/landmark_aligned_face.0.0_o.jpg"
    small = Image.open(face).resize((20, 20), Image.BOX)
    difference = np.asarray(small).astype(int) - np.asarray(Image.open(crop))
    assert np.abs(difference).mean() < 3


def test_an_incomplete_source_is_one_line(source, tmp_path):
    (source / "fold_3_data.txt").write_text("user\tage\n")
    with pytest.raises(UserError, match=r"fold_3.*no user_id among 'user, age"):
        prepare(source, tmp_path / "data")
    (source / "fold_3_data.txt").unlink()
    with pytest.raises(UserError, match=r"has no fold_3_data\.txt"):
        prepare(source, tmp_path / "data")
    (source / "aligned").rename(source / "photos")
    with pytest.raises(UserError, match="no folder aligned or faces"):
        prepare(source, tmp_path / "data")


@pytest.mark.parametrize(
    ("text", "group"),
    [
        *((f"({name.replace('-', ', ')})", name) for name in AGE[:-1]),
        ("(60, 100)", "60+"),
        ("(8, 12)", "8-13"),
        ("(27, 32)", "25-32"),
        ("(38, 42)", "38-43"),
        ("2", "0-2"),
        ("3", "4-6"),
        ("13", "8-13"),
        ("22", "15-20"),
        ("23", "25-32"),
        ("29", "25-32"),
        ("34", "25-32"),
        ("35", "38-43"),
        ("36", "38-43"),
        ("42", "38-43"),
        ("45", "38-43"),
        ("46", "48-53"),
        ("55", "48-53"),
        ("56", "48-53"),
        ("57", "60+"),
        ("58", "60+"),
    ],
)
def test_published_ages_fall_into_their_groups(text, group):
    assert adience.parse_age(text) == AGE.index(group)


@given(st.one_of(st.text(), st.text("(), 0123456789٣")))
def test_any_age_is_a_group_or_none(text):
    assert adience.parse_age(text) in (None, *range(-1, len(AGE)))


cell = st.one_of(
    st.text(max_size=8),
    st.integers(0, 120).map(str),
    st.sampled_from(["7@N02", "a_o.jpg", "(25, 32)", "m", "f", "u", "None"]),
)


@given(st.lists(cell, min_size=3, max_size=13), st.integers(3, 13))
def test_parsed_lines_are_sound_or_have_a_reason(cells, columns):
    header = HEADER.split("\t")[:columns]
    face = adience.parse_line("\t".join(cells), header)
    assert face.keys() == adience.parse_line("", []).keys()
    if face["reason"]:
        assert face["age"] == face["gender"] == -1
    else:
        assert face["age"] in range(-1, len(AGE))
        assert face["gender"] in range(-1, len(GENDER))
        assert max(face["age"], face["gender"]) >= 0
        assert face["crop"].count("/") == 1
        assert not face["crop"].startswith(".")


@given(
    user=st.from_regex(r"[0-9]{8}@N0[0-9]", fullmatch=True),
    image=st.from_regex(r"[0-9]{11}_[0-9a-f]{10}_o", fullmatch=True),
    face=st.integers(1, 2284),
    age=st.integers(0, 100),
    gender=st.sampled_from("fm"),
)
def test_well_formed_lines_are_read_back(user, image, face, age, gender):
    line = f"{user}\t{image}.jpg\t{face}\t{age}\t{gender}\t{TAIL}\r"
    parsed = adience.parse_line(line, HEADER.split("\t"))
    assert parsed["reason"] == ""
    assert parsed["name"] == f"{face}.{image}.jpg"
    assert parsed["group"] == user
    assert parsed["crop"] == f"{user}/{face}.{image}.jpg"
    assert GENDER[parsed["gender"]] == {"f": "female", "m": "male"}[gender]


def test_folds_of_a_spreadsheet_are_read(source, tmp_path):
    args = flags.parser(adience.__doc__, None)
    adience.add_arguments(args)
    args = args.parse_args([f"--source={source}", f"--data_dir={tmp_path}"])
    expected = adience.read(args)
    for path in source.glob("fold_*.txt"):
        header, *rows = csv.reader(path.open(), delimiter="\t")
        rows = [["User_ID", *header[1:]], *rows, [""] * len(header)]
        with path.open("w", newline="", encoding="utf-16") as file:
            csv.writer(file, delimiter=";").writerows([*r, ""] for r in rows)
    found = adience.read(args)
    columns = ["crop", "age", "gender", "reason"]
    pd.testing.assert_frame_equal(found[columns], expected[columns])

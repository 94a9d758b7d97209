"""MTFL from tiny hand-made lists and photos."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from data_preparation import common, mtfl
from samtl.common import flags
from samtl.common.errors import UserError
from samtl.data import tables
from samtl.data.tasks import GENDER, GLASSES, POSE, SMILE

# Eyes, nose and mouth corners of a face 20 pixels wide around (50, 40).
POINTS = "40 60 50 42 58 30 30 40 50 50"


def save(path, seed, size=(80, 100)):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    # Large gray patches, which JPEG keeps nearly unchanged.
    image = Image.fromarray(rng.integers(0, 256, (5, 5), dtype=np.uint8))
    image = image.resize(size[::-1], Image.Resampling.NEAREST)
    image.convert("RGB").save(path, quality=95)


@pytest.fixture
def source(tmp_path):
    """Twenty-four good training faces, three test faces, and bad lines."""
    folder = tmp_path / "raw"
    train = []
    for index in range(20):
        pose = 1 + index % 2
        train.append(
            f" net_7876\\{index}_0_0.jpg {POINTS} {1 + index % 2} 1 2 {pose}"
        )
        save(folder / "net_7876" / f"{index}_0_0.jpg", index)
    for shot in range(1, 5):
        name = f"Ann_Lee_000{shot}.jpg"
        train.append(f" lfw_5590\\{name} {POINTS} 2 2 2 1\r")
        save(folder / "lfw_5590" / name, 30 + shot)
    test = []
    for index in range(3):
        test.append(f" AFLW/000{index}-image.jpg {POINTS} 1 1 1 {3 + index}")
        save(folder / "AFLW" / f"000{index}-image.jpg", 40 + index)
    bad = [
        f"net_7876\\gone.jpg {POINTS} 1 1 2 1",
        f"net_7876\\text.jpg {POINTS} 1 1 2 1",
        f"net_7876\\0_0_0.jpg {POINTS} 1 1 2 1",
        f"net_7876\\0_0_0.jpg {POINTS} 1 1 2 2",
        f"net_7876\\0_0_0.jpg {POINTS} 2 1 2 1",
        f"net_7876\\copy.jpg {POINTS} 1 1 2 1",
        f"net_7876\\far.jpg {POINTS.replace('0', '000')} 1 1 2 1",
        f"net_7876\\dot.jpg {' '.join(['7'] * 10)} 1 1 2 1",
        f"net_7876\\21_0_0.jpg {POINTS} 3 1 2 1",
        f"net_7876\\21_0_0.jpg {POINTS} 1 1 2 6",
        f"net_7876\\21_0_0.jpg {POINTS} 1 1 2",
        f"net_7876\\21_0_0.jpg {POINTS.replace('30', 'x')} 1 1 2 1",
        f"net_7876\\21_0_0.jpg {POINTS.replace('30', 'nan')} 1 1 2 1",
        f"..\\secret.jpg {POINTS} 1 1 2 1",
        "",
    ]
    (folder / "net_7876" / "text.jpg").write_text("no image")
    save(folder / "net_7876" / "far.jpg", 50)
    # The same pixels as the first test face.
    save(folder / "net_7876" / "copy.jpg", 40)
    (folder / "training.txt").write_text("\n".join(train + bad))
    (folder / "testing.txt").write_text("\n".join(test) + "\n")
    return folder


def prepare(source, data_dir, *more):
    parser = flags.parser("", None)
    mtfl.add_arguments(parser)
    words = [f"--source={source}", f"--data_dir={data_dir}", *more]
    mtfl.prepare(parser.parse_args(words))


def written(data_dir):
    with (data_dir / "db" / "mtfl.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_lists_become_the_expected_table(source, tmp_path, capsys):
    prepare(source, tmp_path / "data")
    header, *rows = written(tmp_path / "data")
    # No training face wears glasses.
    assert header == ["path", "split", "pose", "gender", "subject", "smile"]
    assert rows[:3] == [
        ["db/mtfl/AFLW/0000-image.jpg", "test", "2", "1", "", "1"],
        ["db/mtfl/AFLW/0001-image.jpg", "test", "3", "1", "", "1"],
        ["db/mtfl/AFLW/0002-image.jpg", "test", "4", "1", "", "1"],
    ]
    train = {path: rest for path, _, *rest in rows[3:]}
    expected = {
        f"db/mtfl/net_7876/{index}_0_0.jpg": [
            str(index % 2),
            str(1 - index % 2),
            "",
            "1",
        ]
        for index in range(20)
    } | {
        f"db/mtfl/lfw_5590/Ann_Lee_000{shot}.jpg": ["0", "0", "Ann_Lee", "0"]
        for shot in range(1, 5)
    }
    assert train == expected
    facts = json.loads((tmp_path / "data/db/mtfl.json").read_text())
    assert facts["tasks"] == {
        "pose": list(POSE),
        "gender": list(GENDER),
        "smile": list(SMILE),
    }
    lost = facts["dropped"]["train"] | facts["dropped"]["validation"]
    assert lost == {
        common.DUPLICATE: 1,
        "box outside the photo": 1,
        "image missing": 1,
        "image unreadable": 1,
        "listed twice": 1,
        "listed twice, with another label": 2,
        "malformed line": 6,
        "degenerate box": 1,
    }
    printed = capsys.readouterr().out
    assert "dropped: image missing" in printed
    assert "glasses is left out: no training face of class glasses" in printed


def test_smile_and_glasses_change_no_other_column(source, tmp_path):
    prepare(source, tmp_path / "before")
    # Every code, two that are none -> the cells of the table.
    codes = {
        ("1", "1"): ["1", "1"],
        ("2", "2"): ["0", "0"],
        ("2", "1"): ["0", "1"],
        ("-1", "1"): ["", "1"],
        ("1", "0"): ["1", ""],
        ("3", "x"): ["", ""],
    }
    listed = source / "training.txt"
    lines = [line.split() for line in listed.read_text().splitlines()]
    for index in range(20):
        lines[index][12:14] = list(codes)[index % 6]
    listed.write_text("\n".join(map(" ".join, lines)))
    prepare(source, tmp_path / "after")
    header, *rows = written(tmp_path / "after")
    assert header[5:] == ["smile", "glasses"]
    before = written(tmp_path / "before")
    assert [row[:5] for row in rows] == [row[:5] for row in before[1:]]
    dropped = "db/mtfl.dropped.csv"
    texts = [tmp_path / where / dropped for where in ("before", "after")]
    assert texts[0].read_text() == texts[1].read_text()
    labels = {row[0]: row[5:] for row in rows}
    for index in range(20):
        cells = labels[f"db/mtfl/net_7876/{index}_0_0.jpg"]
        assert cells == list(codes.values())[index % 6]
    table = tables.read("mtfl", tmp_path / "after", ["glasses"])
    assert (table.labels("glasses") == -1).sum() == 6
    facts = json.loads((tmp_path / "after/db/mtfl.json").read_text())
    assert list(facts["tasks"]) == ["pose", "gender", "smile", "glasses"]


def test_validation_is_a_tenth_and_keeps_people_together(source, tmp_path):
    for seed in range(3):
        data_dir = tmp_path / f"data{seed}"
        prepare(source, data_dir, f"--seed={seed}")
        rows = [row for row in written(data_dir)[1:] if row[1] != "test"]
        validation = [row for row in rows if row[1] == "validation"]
        assert 1 <= len(validation) <= 4
        splits = {row[1] for row in rows if row[4] == "Ann_Lee"}
        assert len(splits) == 1


def test_the_same_seed_gives_the_same_table(source, tmp_path):
    prepare(source, tmp_path / "a")
    prepare(source, tmp_path / "b")
    assert written(tmp_path / "a") == written(tmp_path / "b")


def test_crops_are_squares_around_the_landmarks(source, tmp_path):
    prepare(source, tmp_path / "data", "--margin=0.5")
    name = "AFLW/0000-image.jpg"
    crop = np.asarray(Image.open(tmp_path / "data" / "db" / "mtfl" / name))
    photo = np.asarray(Image.open(source / name))
    assert crop.shape == (40, 40, 3)
    difference = photo[20:60, 30:70].astype(int) - crop
    assert np.abs(difference).mean() < 2


def test_large_crops_are_reduced(source, tmp_path):
    prepare(source, tmp_path / "data", "--size=16")
    for path in tables.read("mtfl", tmp_path / "data", ["gender"]).paths:
        assert np.asarray(Image.open(path)).shape[:2] == (16, 16)


def test_missing_list_is_refused(source, tmp_path):
    (source / "testing.txt").unlink()
    with pytest.raises(UserError, match=r"no testing\.txt \(found: AFLW, lf"):
        prepare(source, tmp_path / "data")


def test_all_images_missing_is_an_error(source, tmp_path):
    for path in source.glob("*/*.jpg"):
        path.unlink()
    with pytest.raises(UserError, match="no usable image of mtfl for train"):
        prepare(source, tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lfw_5590/AJ_Cook_0001.jpg", ("AJ_Cook", "AJ_Cook")),
        ("net_7876/106_0_0.jpg", ("", "net_7876/106")),
        ("net_7876/106_2_0.jpg", ("", "net_7876/106")),
        ("net_7876/_60_991_0.jpg", ("", "net_7876/_60_991_0")),
        ("AFLW/0002-image04733.jpg", ("", "AFLW/0002-image04733")),
    ],
)
def test_file_names_give_person_and_group(name, expected):
    assert mtfl.identity(name) == expected


def test_square_of_a_profile_is_as_high_as_that_of_a_frontal_face():
    frontal = np.array([[10.0, 20], [50, 20], [30, 40], [15, 60], [45, 60]])
    assert mtfl.square(frontal) == (10, 20, 50, 60)
    profile = frontal * [0.25, 1] + [22.5, 0]
    assert mtfl.square(profile) == (10, 20, 50, 60)


@given(npst.arrays(float, (5, 2), elements=st.floats(-1e3, 1e3)))
def test_square_is_the_least_around_the_points(points):
    left, top, right, bottom = mtfl.square(points)
    low, high = points.min(axis=0), points.max(axis=0)
    assert (low >= np.array([left, top]) - 1e-9).all()
    assert (high <= np.array([right, bottom]) + 1e-9).all()
    extent = (high - low).max()
    np.testing.assert_allclose([right - left, bottom - top], extent, atol=1e-9)


word = st.text(st.characters(codec="utf-8"), max_size=8)


@given(st.lists(st.one_of(word, st.integers(-1, 6).map(str)), max_size=17))
def test_parsed_lines_are_sound_or_malformed(words):
    face = mtfl.parse_line(" ".join(words))
    assert face["reason"] in ("", "malformed line", "degenerate box")
    assert face.keys() == mtfl.parse_line("").keys()


@given(
    numbers=st.lists(
        st.integers(-999, 9999), min_size=10, max_size=10, unique=True
    ),
    gender=st.sampled_from("12"),
    smile=st.sampled_from(["1", "2", "0", "-1", "3", "x"]),
    glasses=st.sampled_from(["1", "2", "0", "-1", "3", "x"]),
    pose=st.sampled_from("12345"),
    slash=st.sampled_from("/\\"),
)
def test_well_formed_lines_are_read_back(
    numbers, gender, smile, glasses, pose, slash
):
    points = " ".join(f"{number:.6f}" for number in numbers)
    codes = f"{gender} {smile} {glasses} {pose}"
    line = f" lfw_5590{slash}Ann_0001.jpg {points} {codes}\r"
    face = mtfl.parse_line(line)
    assert face["reason"] == ""
    assert face["name"] == "lfw_5590/Ann_0001.jpg"
    points = np.array(numbers, float).reshape(2, 5).T
    assert face["box"] == mtfl.square(points)
    assert face["pose"] == int(pose) - 1
    assert GENDER[face["gender"]] == {"1": "male", "2": "female"}[gender]
    words = {"1": "smiling", "2": "not smiling"}
    assert named(SMILE, face["smile"]) == words.get(smile)
    words = {"1": "glasses", "2": "no glasses"}
    assert named(GLASSES, face["glasses"]) == words.get(glasses)


def named(classes, index):
    return None if index == -1 else classes[index]

"""UTKFace from a tiny hand-made folder of chips."""

import argparse
import csv
import json
import re
import shutil

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from data_preparation import __main__ as command
from data_preparation import common, utkface
from data_preparation.dropped import UNSPLIT
from samtl.common.errors import UserError
from samtl.data import tables
from samtl.data.tasks import AGE, ETHNICITY, GENDER

# Years -> class, all of them besides the ends of the groups.
YEARS = {1: 0, 27: 4, 116: 7}
CHIPS = 20


def save(path, seed):
    rng = np.random.default_rng(seed)
    # Large gray patches, which JPEG keeps nearly unchanged.
    image = Image.fromarray(rng.integers(0, 256, (5, 5), dtype=np.uint8))
    image = image.resize((40, 40), Image.Resampling.NEAREST)
    image.convert("RGB").save(path, quality=95)


def chip(years, number):
    """Name of a chip: odd numbers are female."""
    return f"{years}_{number % 2}_{number % 5}_201701{number:011d}"


@pytest.fixture
def source(tmp_path):
    """Twenty chips of each of three ages, and every kind of bad name."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for years in YEARS:
        for number in range(CHIPS):
            path = folder / f"{chip(years, number)}.jpg.chip.jpg"
            save(path, 100 * years + number)
    good = folder / f"{chip(27, 0)}.jpg.chip.jpg"
    bad = [
        "61_1_20170109142408075.jpg.chip.jpg",
        "53__0_20170116184028385.jpg.chip.jpg",
        "_1_0_20170116184028385.jpg.chip.jpg",
        "25_2_0_20170116184028385.jpg.chip.jpg",
        "25_1_5_20170116184028385.jpg.chip.jpg",
        "25_1_0_.jpg.chip.jpg",
        "25_1_0_20170116220224657  .jpg.chip.jpg",
        "25_1_0_20170116220224657_jpg.chip.jpg",
        "-5_1_0_20170116184028385.jpg.chip.jpg",
        "2.5_1_0_20170116184028385.jpg.chip.jpg",
        "portrait.jpg",
        "117_1_0_20170116184028385.jpg.chip.jpg",
        "999_1_0_20170116184028385.jpg.chip.jpg",
    ]
    for name in bad:
        shutil.copy(good, folder / name)
    (folder / "30_0_0_1.jpg.chip.jpg").write_text("no image")
    (folder / "30_0_0_2.jpg.chip.jpg").write_bytes(b"")
    (folder / "30_0_0_3.jpg.chip.jpg").write_bytes(good.read_bytes()[:-400])
    (folder / "notes.txt").write_text("no chip")
    return folder


DROPPED = {
    "malformed name": 11,
    "impossible age": 2,
    "image unreadable": 3,
}


def prepare(source, data_dir, *more):
    words = [f"--source={source}", f"--data_dir={data_dir}", *more]
    command.main(["utkface", *words])


def written(data_dir, name="utkface.csv"):
    with (data_dir / "db" / name).open(newline="") as file:
        return list(csv.reader(file))


def test_names_become_the_expected_table(source, tmp_path, capsys):
    prepare(source, tmp_path / "data")
    header, *rows = written(tmp_path / "data")
    expected = ["path", "split", "age", "gender", "age_years", "ethnicity"]
    assert header == expected
    labels = {path: cells for path, _, *cells in rows}
    assert labels == {
        f"db/utkface/{chip(years, number)}.jpg": [
            str(group),
            str(GENDER.index("female" if number % 2 else "male")),
            str(years),
            str(number % 5),
        ]
        for years, group in YEARS.items()
        for number in range(CHIPS)
    }
    facts = json.loads((tmp_path / "data/db/utkface.json").read_text())
    assert facts["tasks"] == {
        "age": list(AGE),
        "gender": list(GENDER),
        "ethnicity": ["white", "black", "asian", "indian", "others"],
    }
    assert facts["dropped"][UNSPLIT] == DROPPED
    assert "dropped: malformed name" in capsys.readouterr().out


def test_the_two_odd_spellings_among_the_published_names_are_read(
    source, tmp_path
):
    save(source / "55_0_0_20170116232725357jpg.chip.jpg", 1)
    save(source / "24_0_1_20170116220224657 .jpg.chip.jpg", 2)
    prepare(source, tmp_path / "data")
    rows = {path: cells for path, _, *cells in written(tmp_path / "data")[1:]}
    male = str(GENDER.index("male"))
    assert rows["db/utkface/55_0_0_20170116232725357.jpg"] == [
        "6",
        male,
        "55",
        "0",
    ]
    assert rows["db/utkface/24_0_1_20170116220224657.jpg"] == [
        "4",
        male,
        "24",
        "1",
    ]


def test_each_dropped_file_is_listed_with_its_reason(source, tmp_path):
    prepare(source, tmp_path / "data")
    rows = written(tmp_path / "data", "utkface.dropped.csv")
    text = "\n".join(map(str, rows))
    assert len(rows) == 1 + sum(DROPPED.values())
    assert re.search(r"61_1_2017\d+.jpg.chip.jpg.*malformed name", text)
    assert re.search(r"117_1_0_2017\d+.jpg.chip.jpg.*impossible age", text)


def test_splits_have_equal_shares_of_the_age_groups(source, tmp_path):
    drawn = []
    for seed in range(3):
        data_dir = tmp_path / f"data{seed}"
        prepare(source, data_dir, f"--seed={seed}")
        rows = written(data_dir)[1:]
        for group in YEARS.values():
            splits = [row[1] for row in rows if row[2] == str(group)]
            assert splits.count("test") == CHIPS / 5
            assert 1 <= splits.count("validation") <= 2
        drawn.append({row[0] for row in rows if row[1] == "test"})
    assert drawn[0] != drawn[1] != drawn[2]


def test_equal_chips_stay_in_one_split(source, tmp_path):
    for number in range(CHIPS):
        shutil.copy(
            source / f"{chip(27, number)}.jpg.chip.jpg",
            source / f"{chip(1, number + 100)}.jpg.chip.jpg",
        )
    prepare(source, tmp_path / "data")
    table = tables.read("utkface", tmp_path / "data", ["gender"])
    splits = {}
    for path, split in zip(table.paths, table.rows["split"], strict=True):
        splits.setdefault(path.read_bytes(), set()).add(split)
    assert all(len(where) == 1 for where in splits.values())
    lost = written(tmp_path / "data", "utkface.dropped.csv")
    assert any(common.DUPLICATE in row for row in lost)


def test_chips_are_kept_whole(source, tmp_path):
    prepare(source, tmp_path / "data")
    name = chip(27, 3)
    crop = np.asarray(Image.open(tmp_path / f"data/db/utkface/{name}.jpg"))
    photo = np.asarray(Image.open(source / f"{name}.jpg.chip.jpg"))
    assert crop.shape == photo.shape
    assert np.abs(crop.astype(int) - photo).mean() < 3


def test_the_folder_around_the_archive_will_do(source, tmp_path):
    prepare(source, tmp_path / "a")
    (tmp_path / "around").mkdir()
    source.rename(tmp_path / "around" / "UTKFace")
    prepare(tmp_path / "around", tmp_path / "b")
    assert written(tmp_path / "a") == written(tmp_path / "b")


def test_a_folder_without_chips_is_refused(tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "face.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"no file named like.*but face\.jpg"):
        prepare(tmp_path / "faces", tmp_path / "data")


def test_every_published_age_has_the_group_of_its_years():
    for years in range(117):
        labels = utkface.parse_name(f"{years}_0_0_2017.jpg.chip.jpg")
        assert labels["reason"] == ""
        assert labels["age_years"] == years
        middles = (3, 7, 14, 22.5, 35, 45.5, 56.5)
        assert labels["age"] == sum(years >= middle for middle in middles)


part = st.one_of(
    st.integers(-2, 200).map(str), st.text(max_size=3), st.just("2017010")
)


@given(st.lists(part, max_size=5), st.sampled_from(["", ".jpg.chip.jpg"]))
@example(["२५", "1", "0", "2017"], ".jpg.chip.jpg")
@example(["25", "1", "0", "2017"], ".jpg.chip.jpg\n")
@example(["25", "1", "0", "2017"], ".jpg.chip.jpg")
def test_no_name_yields_labels_out_of_range(parts, ending):
    labels = utkface.parse_name("_".join(parts) + ending)
    numbers = dict(labels)
    reason = numbers.pop("reason")
    assert set(numbers) == {"age", "gender", "ethnicity", "age_years"}
    if reason:
        assert reason in ("malformed name", "impossible age")
        assert set(numbers.values()) == {-1}
    else:
        assert labels["age"] in range(len(AGE))
        assert labels["gender"] == 1 - int(parts[1])
        assert ETHNICITY[labels["ethnicity"]]
        assert labels["ethnicity"] == int(parts[2])
        assert labels["age_years"] == int(parts[0]) <= 116


def test_nested_folders_and_short_names(source, tmp_path):
    inner = tmp_path / "nested" / "UTKFace" / "UTKFace"
    inner.mkdir(parents=True)
    for path in source.glob("*.jpg.chip.jpg"):
        if utkface.NAME.fullmatch(path.name):
            name = path.name.replace(".chip.jpg", "")
            shutil.copy(path, inner / name)
            (inner / f"._{name}").write_bytes(b"\0\5\x16\7")
    words = ["utkface", f"--source={tmp_path / 'nested'}"]
    command.main([*words, f"--data_dir={tmp_path / 'data'}"])
    facts = json.loads((tmp_path / "data/db/utkface.json").read_text())
    assert facts["counts"]["train"]["rows"] > 0
    assert "malformed name" not in facts["dropped"]["no split"]


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".png"])
def test_chips_of_other_suffixes(source, tmp_path, suffix):
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in source.glob("116_*.jpg.chip.jpg"):
        name = path.name.removesuffix(".jpg.chip.jpg")
        with Image.open(path) as image:
            image.save(folder / f"{name}{suffix}")
    faces = utkface.read(argparse.Namespace(source=folder))
    assert len(faces) > 0
    assert set(faces["reason"]) == {""}
    assert all(name.count(".") == 1 for name in faces["crop"])

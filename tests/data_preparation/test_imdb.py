"""IMDB and WIKI from a tiny .mat file, written with scipy, and crops."""

import csv
import datetime
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from data_preparation import __main__ as command
from data_preparation import common, imdb
from data_preparation.dropped import UNSPLIT
from samtl.common import isolation
from samtl.common.errors import UserError
from samtl.data.tasks import AGE, GENDER

PEOPLE, PHOTOS = 40, 2
GOOD = {
    "gender": 1.0,
    "name": "Ann Lee",
    "face_score": 2.5,
    "second_face_score": math.nan,
}
REASONS = {
    "",
    "malformed path",
    "impossible date",
    "impossible age",
    "no gender",
    "no face",
    "low face score",
    "second face",
}


@pytest.fixture(autouse=True)
def no_process(monkeypatch):
    """Read in this process: another one takes a second to start."""
    monkeypatch.setattr(
        isolation, "call", lambda function, path, **limits: function(path)
    )


def matlab(year, month=1, day=1):
    """Matlab's serial number of a date."""
    return datetime.date(year, month, day).toordinal() + 366


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    # Large gray patches, which JPEG keeps nearly unchanged.
    image = Image.fromarray(rng.integers(0, 256, (9, 9), dtype=np.uint8))
    image = image.resize((90, 90), Image.Resampling.NEAREST)
    image.convert("RGB").save(path, quality=95)


def good_rows():
    """Two photos each of twenty one-year-olds and twenty men of forty."""
    for person in range(PEOPLE):
        for photo in range(PHOTOS):
            number = PHOTOS * person + photo
            yield {
                **GOOD,
                "dob": matlab(2008 if person % 2 else 1970, 3, 1 + photo),
                "photo_taken": 2009 + (not person % 2),
                "full_path": f"{person % 3:02d}/nm{person}_rm{number}.jpg",
                "gender": float(1 - person % 2),
                "name": f"Person {person}",
            }


BAD = [
    ({"dob": 0}, "impossible date"),
    ({"dob": 366}, "impossible date"),
    ({"dob": math.nan}, "impossible date"),
    ({"dob": math.inf}, "impossible date"),
    ({"dob": 1e300}, "impossible date"),
    ({"photo_taken": 0}, "impossible date"),
    ({"photo_taken": 1969}, "impossible age"),
    ({"dob": matlab(1890), "photo_taken": 1992}, "impossible age"),
    ({"gender": math.nan}, "no gender"),
    ({"gender": 2.0}, "no gender"),
    ({"face_score": -math.inf}, "no face"),
    ({"face_score": math.inf}, "no face"),
    ({"face_score": math.nan}, "no face"),
    ({"face_score": 0.99}, "low face score"),
    ({"second_face_score": 0.01}, "second face"),
    ({"full_path": "../secret.jpg"}, "malformed path"),
    ({"full_path": "/etc/passwd.jpg"}, "malformed path"),
    ({"full_path": ""}, "malformed path"),
    ({"full_path": "00/nm0_rm0.jpg"}, common.REPEATED),
    ({"full_path": "00/gone.jpg"}, "image missing"),
    ({"full_path": "00/text.jpg"}, "image unreadable"),
]
DROPPED = {
    reason: sum(reason == why for _, why in BAD)
    for reason in dict.fromkeys(why for _, why in BAD)
}


def write_mat(path, name, rows):
    """A struct as published: 1 x N numbers and 1 x N cells of texts."""
    table = pd.DataFrame(rows)
    fields = {}
    for field in imdb.NUMBERS:
        fields[field] = table[field].to_numpy(float)[None]
    fields["photo_taken"] = fields["photo_taken"].astype(np.uint16)
    boxes = [np.array([[1.0, 1.0, 50.0, 50.0]])] * len(table)
    columns = {
        **{k: list(table[k]) for k in imdb.TEXTS},
        "face_location": boxes,
    }
    for field, values in columns.items():
        cells = np.empty((1, len(values)), dtype=object)
        cells[0] = [
            value if len(value) else np.zeros((0, 0)) for value in values
        ]
        fields[field] = cells
    savemat(path, {name: fields}, do_compression=True)


def make(folder, name):
    rows = list(good_rows())
    for number, row in enumerate(rows):
        save(folder / row["full_path"], number)
    (folder / "00" / "text.jpg").write_text("no image")
    base = {**rows[0], "name": ""}
    for number, (change, _) in enumerate(BAD):
        rows.append({**base, "full_path": f"00/b{number}.jpg", **change})
    rows.append({**base, "full_path": "00/777_1970-03-01_2010.jpg"})
    save(folder / "00" / "777_1970-03-01_2010.jpg", 500)
    write_mat(folder / f"{name}.mat", name, rows)


@pytest.fixture(params=["imdb", "wiki"])
def source(request, tmp_path):
    """An unpacked archive: good faces, every kind of bad one, one unnamed."""
    folder = tmp_path / "raw" / f"{request.param}_crop"
    folder.mkdir(parents=True)
    make(folder, request.param)
    return folder.parent


def name_of(source):
    return next(source.glob("*_crop")).name.removesuffix("_crop")


def prepare(source, data_dir, *more):
    words = [f"--source={source}", f"--data_dir={data_dir}", *more]
    command.main([name_of(source), *words])


def written(source, data_dir):
    path = data_dir / "db" / f"{name_of(source)}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_a_mat_file_becomes_the_expected_table(source, tmp_path, capsys):
    prepare(source, tmp_path / "data")
    name = name_of(source)
    header, *rows = written(source, tmp_path / "data")
    columns = ["path", "split", "age", "gender", "age_years", "subject"]
    assert header == columns
    expected = {
        f"db/{name}/{person % 3:02d}/nm{person}_rm{2 * person + photo}.jpg": [
            str(AGE.index("0-2" if person % 2 else "38-43")),
            str(GENDER.index("female" if person % 2 else "male")),
            "1" if person % 2 else "40",
            f"Person {person}",
        ]
        for person in range(PEOPLE)
        for photo in range(PHOTOS)
    }
    unnamed = f"db/{name}/00/777_1970-03-01_2010.jpg"
    expected[unnamed] = [str(AGE.index("38-43")), "1", "40", "777"]
    assert {path: cells for path, _, *cells in rows} == expected
    facts = json.loads((tmp_path / f"data/db/{name}.json").read_text())
    assert facts["tasks"] == {"age": list(AGE), "gender": list(GENDER)}
    assert facts["dropped"][UNSPLIT] == DROPPED
    assert "dropped: second face" in capsys.readouterr().out


def test_people_stay_in_one_split_of_equal_shares(source, tmp_path):
    prepare(source, tmp_path / "data", "--seed=3")
    rows = written(source, tmp_path / "data")[1:]
    splits = {}
    for _, split, age, *_, subject in rows:
        splits.setdefault(subject, set()).add(split)
        assert age in ("0", "5")
    assert all(len(where) == 1 for where in splits.values())
    for age in "05":
        tests = [row for row in rows if row[1] == "test" and row[2] == age]
        assert 7 <= len(tests) <= 9


def test_flags_set_the_limits_of_the_scores(source, tmp_path):
    limits = ["--min_face_score=0.5", "--max_second_face_score=0.1"]
    name = name_of(source)
    for number, (_, reason) in enumerate(BAD):
        if reason in ("low face score", "second face"):
            save(source / f"{name}_crop/00/b{number}.jpg", 600 + number)
    prepare(source, tmp_path / "data", *limits)
    facts = json.loads((tmp_path / f"data/db/{name}.json").read_text())
    lost = facts["dropped"][UNSPLIT]
    assert "low face score" not in lost
    assert "second face" not in lost
    assert len(written(source, tmp_path / "data")) == 1 + PEOPLE * PHOTOS + 3


@pytest.mark.parametrize(
    ("margin", "inside"), [(0, slice(20, 70)), (0.1, slice(15, 75))]
)
def test_crops_are_the_detected_face_and_a_margin(
    source, tmp_path, margin, inside
):
    prepare(source, tmp_path / "data", f"--margin={margin}")
    name, path = name_of(source), "00/nm0_rm0.jpg"
    crop = np.asarray(Image.open(tmp_path / f"data/db/{name}" / path))
    photo = np.asarray(Image.open(source / f"{name}_crop" / path))
    # 90 pixels are 1.8 times the face.
    expected = photo[inside, inside].astype(int)
    assert crop.shape == expected.shape
    assert np.abs(expected - crop).mean() < 2


def test_the_folder_of_the_archive_and_a_mat_file_beside_it_will_do(
    source, tmp_path
):
    name = name_of(source)
    folder = source / f"{name}_crop"
    prepare(source, tmp_path / "a")
    words = [f"--source={folder}", f"--data_dir={tmp_path / 'b'}"]
    command.main([name, *words])
    (folder / f"{name}.mat").rename(source / f"{name}.mat")
    prepare(source, tmp_path / "c")
    tables = [written(source, tmp_path / letter) for letter in "abc"]
    assert tables[0] == tables[1] == tables[2]


def test_a_missing_mat_file_is_an_error(source, tmp_path):
    name = name_of(source)
    (source / f"{name}_crop" / f"{name}.mat").unlink()
    with pytest.raises(UserError, match=rf"no {name}\.mat.*but {name}_crop"):
        prepare(source, tmp_path / "data")


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:10],
        lambda content: content[:200],
        lambda content: content[:-100],
        lambda content: content[:300] + b"!" + content[301:],
        lambda content: b"no .mat file\n" * 100,
    ],
)
def test_a_damaged_mat_file_is_an_error_of_one_line(source, tmp_path, damage):
    name = name_of(source)
    path = source / f"{name}_crop" / f"{name}.mat"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="download it again") as error:
        prepare(source, tmp_path / "data")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"faces": np.zeros(3)}, "no dob, .* in a struct imdb but faces;"),
        ({"imdb": np.zeros(3)}, "no dob, .* in a struct imdb but imdb;"),
        (
            {"imdb": {"dob": 1.0}},
            "no photo_taken, .* in a struct imdb but dob;",
        ),
        (
            {"imdb": dict.fromkeys(imdb.NUMBERS + imdb.TEXTS, "text")},
            "not numbers and texts of one size but dob <U4 1,",
        ),
        (
            {
                "imdb": {
                    **dict.fromkeys(imdb.NUMBERS, np.zeros(2)),
                    **dict.fromkeys(imdb.TEXTS, np.zeros(3)),
                }
            },
            "of one size but dob float64 2,.*full_path float64 3",
        ),
    ],
)
def test_an_unknown_layout_is_told_from_the_published_one(
    tmp_path, content, message
):
    savemat(tmp_path / "imdb.mat", content)
    with pytest.raises(UserError, match=message):
        imdb.load(tmp_path / "imdb.mat", "imdb")


def test_cells_that_hold_no_text_are_empty(tmp_path):
    fields = dict.fromkeys(imdb.NUMBERS + imdb.TEXTS, np.zeros(2))
    savemat(tmp_path / "imdb.mat", {"imdb": fields})
    table = imdb.load(tmp_path / "imdb.mat", "imdb")
    assert table["full_path"].tolist() == table["name"].tolist() == ["", ""]


@given(
    st.dates(datetime.date(1, 1, 1), datetime.date(2030, 1, 1)),
    st.integers(1, 2030),
    st.floats(0, 0.99),
)
@example(datetime.date(1980, 7, 1), 2000, 0.0)
@example(datetime.date(1980, 7, 2), 2000, 0.0)
@example(datetime.date(1980, 6, 30), 2000, 0.5)
def test_age_is_the_number_of_birthdays_until_july(birth, photo, hour):
    number = birth.toordinal() + 366 + hour
    years, is_known = imdb.age_years([number], [photo])
    is_later = (birth.month, birth.day) > (7, 1)
    assert is_known.all()
    assert years[0] == photo - birth.year - is_later


number = st.one_of(
    st.floats(), st.integers(-5, 3000).map(float), st.floats(7e5, 7.5e5)
)
row = st.fixed_dictionaries(
    {
        **dict.fromkeys(imdb.NUMBERS, number),
        "gender": st.sampled_from([0.0, 1.0, math.nan, -1.0, 0.5]),
        "full_path": st.one_of(
            st.text(), st.from_regex(r"\w\w/\w+_\w+\.jpg", fullmatch=True)
        ),
        "name": st.text(),
    }
)


@given(st.lists(row, min_size=1, max_size=5))
def test_no_row_yields_labels_out_of_range(rows):
    table = pd.DataFrame(rows)
    faces = imdb.parse(table, 1.0, 0.0)
    assert len(faces) == len(rows)
    assert set(faces["reason"]) <= REASONS
    for face in faces.itertuples():
        if face.reason:
            assert face.age == face.gender == face.age_years == -1
        else:
            assert face.age in range(len(AGE))
            assert face.gender in range(len(GENDER))
            assert 0 <= face.age_years <= 100
            assert face.subject
            assert ".." not in face.crop
            assert not face.crop.startswith("/")

"""AFLW from tiny hand-made tables and photos."""

import csv
import json
import math
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_preparation import aflw
from samtl.common import flags
from samtl.common.errors import UserError
from samtl.data import tables
from samtl.data.tasks import GENDER, GLASSES, POSE, mirrored

# AFLW's yaw in degrees (positive: to the left edge of the image) -> pose.
YAWS = {60: 0, 30: 1, 0: 2, -30: 3, -60: 4}
COUNTS = {60: 12, 30: 12, 0: 32, -30: 12, -60: 12}
NAMES = {
    "faces": "Faces",
    "facepose": "FacePose",
    "facerect": "FaceRect",
    "faceimages": "FaceImages",
    "facemetadata": "FaceMetaData",
    "featurecoords": "FeatureCoords",
}


def good_tables():
    """Rows of 80 faces, two in each photo: ids 1 and 2, 3 and 4, ..."""
    yaws = [yaw for yaw, count in COUNTS.items() for _ in range(count)]
    rows = {table: [] for table in aflw.COLUMNS}
    for face_id, yaw in enumerate(yaws, start=1):
        number, place = divmod(face_id - 1, 2)
        photo = f"image{number:05d}.jpg"
        rows["faces"].append((face_id, photo))
        angles = np.radians([yaw, 10, -20]).tolist()
        rows["facepose"].append((face_id, *angles))
        left = 16 * place
        rows["facerect"].append((face_id, left, 4, 16, 16))
        rows["faceimages"].append((photo, f"0/{photo}"))
        rows["facemetadata"].append((face_id, "fm"[face_id % 2]))
        # Turned to the left edge, the nose is left of the eyes' middle. The
        # order of the eyes must not matter.
        eyes = (left + 4, left + 12)[:: 1 - 2 * place]
        nose = left + 8 - 3 * int(np.sign(yaw))
        for feature, x in zip((8, 11, 15), (*eyes, nose), strict=True):
            rows["featurecoords"].append((face_id, feature, x, 8.0))
    rows["faceimages"] = sorted(set(rows["faceimages"]))
    return rows


def bad_faces(rows):
    """Add faces that cannot be used; returns how many by reason."""
    pose = {
        "missing angle": [None, (0.1, None, 0.1), ("x", 0, 0)],
        "impossible angle": [(6.283, 0.0, 0.0), (math.radians(150), 0, 0)],
    }
    rect = {
        "missing box": [None, (4, 4, None, 8), ("inf", 4, 8, 8)],
        "degenerate box": [(4, 4, 0, 8), (4, 4, 8, -8)],
        "box outside the photo": [(400, 4, 8, 8), (-90, 4, 8, 8)],
    }
    photo = {"image missing": "gone.jpg", "image unreadable": "text.jpg"}
    face_id = 1000

    def add(photo, angles, box):
        nonlocal face_id
        face_id += 1
        rows["faces"].append((face_id, photo))
        if angles:
            rows["facepose"].append((face_id, *angles))
        if box:
            rows["facerect"].append((face_id, *box))

    for cases in pose.values():
        for angles in cases:
            add("image00000.jpg", angles, (0, 4, 16, 16))
    for cases in rect.values():
        for box in cases:
            add("image00000.jpg", (0.0, 0.0, 0.0), box)
    for name in photo.values():
        add(name, (0.0, 0.0, 0.0), (0, 4, 16, 16))
    rows["faces"] += [(30, "image00014.jpg"), ("one", "image00000.jpg")]
    counts = {why: len(cases) for why, cases in (pose | rect).items()}
    return (
        counts
        | dict.fromkeys(photo, 1)
        | {
            "listed twice": 1,
            "malformed row": 1,
        }
    )


def save_photos(folder):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(40):
        # Large gray patches, which JPEG keeps nearly unchanged.
        pixels = rng.integers(0, 256, (6, 8), dtype=np.uint8)
        photo = Image.fromarray(pixels).resize((32, 24), Image.NEAREST)
        photo = photo.convert("RGB")
        photo.save(folder / f"image{number:05d}.jpg", quality=95)
    (folder / "text.jpg").write_text("no image")


def headings(table, cells):
    names = (*aflw.COLUMNS[table], *aflw.OPTIONAL.get(table, ()))
    return names[: len(cells[0])]


def save_database(rows, folder):
    """As published."""
    with closing(sqlite3.connect(folder / "aflw.sqlite")) as database:
        for table, cells in rows.items():
            columns, name = headings(table, cells), NAMES[table]
            database.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
            marks = ", ".join("?" * len(columns))
            database.executemany(f"INSERT INTO {name} VALUES ({marks})", cells)
        database.commit()


def save_tables(rows, folder):
    """As exported."""
    for table, cells in rows.items():
        name = "faceid" if table == "faces" else table
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([headings(table, cells), *cells])


SAVE = {"database": save_database, "export": save_tables}


@pytest.fixture(params=SAVE)
def source(request, tmp_path):
    """A folder in either layout, good and bad faces, and the bad counts."""
    folder = tmp_path / "raw"
    is_database = request.param == "database"
    save_photos(folder / ("flickr/0" if is_database else "images"))
    rows = good_tables()
    dropped = bad_faces(rows)
    SAVE[request.param](rows, folder)
    return folder, dropped


def prepare(source, data_dir, *more):
    parser = flags.parser("", None)
    aflw.add_arguments(parser)
    words = [f"--source={source}", f"--data_dir={data_dir}", *more]
    aflw.prepare(parser.parse_args(words))


def facts_of(data_dir):
    return json.loads((data_dir / "db" / "aflw.json").read_text())


def test_tables_become_the_expected_table(source, tmp_path):
    folder, dropped = source
    prepare(folder, tmp_path / "data")
    with (tmp_path / "data" / "db" / "aflw.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    angles = ["yaw", "pitch", "roll"]
    assert header == ["path", "split", "pose", *angles, "sex", "gender"]
    yaws = [yaw for yaw, count in COUNTS.items() for _ in range(count)]
    assert sorted([path, *rest] for path, _, *rest in rows) == sorted(
        [
            f"db/aflw/{face_id}.jpg",
            str(YAWS[yaw]),
            f"{-yaw}.0",
            "10.0",
            "-20.0",
            ("female", "male")[face_id % 2],
            "01"[face_id % 2],
        ]
        for face_id, yaw in enumerate(yaws, start=1)
    )
    facts = facts_of(tmp_path / "data")
    assert facts["tasks"] == {"pose": list(POSE), "gender": list(GENDER)}
    assert "agrees with the nose in 100.0% of 48 turned" in facts["source"]
    lost = [pair for part in facts["dropped"].values() for pair in part.items()]
    assert dict(lost) == dropped
    assert len(lost) == len(dropped)


def test_splits_keep_photos_whole_and_mix_the_poses(source, tmp_path):
    prepare(source[0], tmp_path / "data")
    table = tables.read("aflw", tmp_path / "data", ["pose"]).rows
    photo = (table["path"].str.extract(r"(\d+)\.jpg")[0].astype(int) - 1) // 2
    assert (table.groupby(photo)["split"].nunique() == 1).all()
    shares = table["split"].value_counts(normalize=True)
    assert 0.15 < shares["test"] < 0.25
    assert 0.05 < shares["validation"] < 0.12
    test = table[table["split"] == "test"]
    assert test["pose"].nunique() == 5


def test_crops_are_padded_squares_around_the_box(source, tmp_path):
    folder, _ = source
    prepare(folder, tmp_path / "data", "--margin=0.25")
    crop = np.asarray(Image.open(tmp_path / "data/db/aflw/2.jpg"))
    assert crop.shape == (24, 24, 3)
    (path,) = folder.rglob("image00000.jpg")
    photo = np.asarray(Image.open(path)).astype(int)
    # The box of face 2 is 16..32 by 4..20 in a photo 32 wide and 24 high.
    padded = np.pad(photo[0:24, 12:32], ((0, 0), (0, 4), (0, 0)), "edge")
    assert np.abs(padded - crop).mean() < 4


@pytest.mark.parametrize("save", SAVE.values())
def test_the_other_sign_of_yaw_is_refused(tmp_path, save):
    save_photos(tmp_path / "raw" / "images")
    rows = good_tables()
    rows["facepose"] = [(i, -yaw, *rest) for i, yaw, *rest in rows["facepose"]]
    save(rows, tmp_path / "raw")
    with pytest.raises(UserError, match=r"only 0% of 48 turned faces"):
        prepare(tmp_path / "raw", tmp_path / "data")
    assert not (tmp_path / "data" / "db" / "aflw.csv").exists()


@pytest.mark.parametrize("save", SAVE.values())
def test_without_optional_tables_the_sign_is_reported_as_unchecked(
    tmp_path, save
):
    save_photos(tmp_path / "raw" / "images")
    rows = good_tables()
    save({table: rows[table] for table in aflw.NEEDED}, tmp_path / "raw")
    prepare(tmp_path / "raw", tmp_path / "data")
    assert "sign of yaw not checked" in facts_of(tmp_path / "data")["source"]
    table = tables.read("aflw", tmp_path / "data", ["pose"]).rows
    assert len(table) == 80
    assert table["sex"].isna().all()


@pytest.mark.parametrize("save", SAVE.values())
def test_glasses_are_read_beside_unchanged_columns(tmp_path, save):
    # The codes, and two that are none.
    codes, cells = [0, 1, None, 2, "1"], ["0", "1", "", "", "1"]
    rows, written = good_tables(), []
    for folder in (tmp_path / "before", tmp_path / "after"):
        save_photos(folder / "images")
        save(rows, folder)
        prepare(folder, folder)
        with (folder / "db" / "aflw.csv").open(newline="") as file:
            written.append(list(csv.DictReader(file)))
        details = rows["facemetadata"]
        rows["facemetadata"] = [(*row, codes[row[0] % 5]) for row in details]
    for face in written[1]:
        face_id = int(face["path"].removeprefix("db/aflw/")[:-4])
        assert face.pop("glasses") == cells[face_id % 5]
    assert written[0] == written[1]
    expected = {"pose": list(POSE), "gender": list(GENDER)}
    assert facts_of(tmp_path / "before")["tasks"] == expected
    expected["glasses"] = list(GLASSES)
    assert facts_of(tmp_path / "after")["tasks"] == expected


def test_the_database_is_only_read(tmp_path):
    save_photos(tmp_path / "raw" / "flickr")
    save_database(good_tables(), tmp_path / "raw")
    path = tmp_path / "raw" / "aflw.sqlite"
    before = path.read_bytes(), sorted(path.parent.iterdir())
    path.chmod(0o444)
    prepare(tmp_path / "raw", tmp_path / "data")
    assert (path.read_bytes(), sorted(path.parent.iterdir())) == before


def test_a_corrupt_database_is_one_line(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "aflw.sqlite").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with pytest.raises(UserError, match=r"aflw\.sqlite: .*unpack") as caught:
        prepare(tmp_path, tmp_path / "data")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("save", SAVE.values())
def test_a_missing_table_is_named_with_what_was_found(tmp_path, save):
    rows = good_tables()
    del rows["facepose"]
    save(rows, tmp_path)
    with pytest.raises(UserError, match="lacks facepose") as caught:
        prepare(tmp_path, tmp_path / "data")
    assert "\n" not in str(caught.value)


def test_a_missing_column_is_named(tmp_path):
    rows = good_tables()
    save_tables(rows, tmp_path)
    (tmp_path / "facepose.csv").write_text("face_id,roll,pitch\n1,0,0\n")
    with pytest.raises(UserError, match=r"facepose\.csv has no column yaw"):
        prepare(tmp_path, tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "aflw.sqlite")) as database:
        database.execute("CREATE TABLE Faces (face_id)")
    with pytest.raises(UserError, match=r"aflw\.sqlite: no such column"):
        prepare(tmp_path, tmp_path / "data")


def test_photos_are_found_without_their_folder(tmp_path):
    folder = tmp_path / "raw"
    save_photos(folder / "flickr" / "0")
    save_tables(good_tables(), folder)
    prepare(folder, tmp_path / "one")
    (folder / "flickr" / "0").rename(folder / "0")
    (folder / "flickr").rmdir()
    prepare(folder, tmp_path / "two")
    one, two = (tmp_path / n / "db" / "aflw.csv" for n in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_missing_photos_are_an_error(tmp_path):
    save_tables(good_tables(), tmp_path)
    with pytest.raises(UserError, match="has no photos; unpack aflw-images-0"):
        prepare(tmp_path, tmp_path / "data")


@pytest.mark.parametrize(
    ("degrees", "pose"),
    [
        (135, "left profile"),
        (45.01, "left profile"),
        (45, "left"),
        (15.01, "left"),
        (15, "frontal"),
        (-15, "frontal"),
        (-15.01, "right"),
        (-45, "right"),
        (-45.01, "right profile"),
        (-135, "right profile"),
    ],
)
def test_yaw_falls_into_the_documented_bins(degrees, pose):
    face = aflw.parse_face(row_of(math.radians(degrees)))
    assert POSE[face["pose"]] == pose
    assert face["yaw"] == -degrees


def row_of(yaw, **more):
    columns = dict.fromkeys(("pitch", "roll"), 0.0)
    box = {"x": 0, "y": 0, "w": 5, "h": 5}
    names = {"face_id": 7, "file_id": "image00001.jpg", "sex": "m"}
    return {**columns, **box, **names, "yaw": yaw, **more}


anything = st.one_of(
    st.none(), st.floats(), st.integers(), st.text(), st.binary()
)
mostly_good = st.fixed_dictionaries(
    {},
    optional={
        column: st.one_of(anything, st.floats(-4, 4), st.integers(0, 99))
        for columns in (*aflw.COLUMNS.values(), *aflw.OPTIONAL.values())
        for column in columns
    },
)


@given(mostly_good, st.booleans())
def test_parsed_rows_are_sound_or_have_a_reason(row, is_complete):
    if is_complete:
        row = row_of(0.5) | row
    face = aflw.parse_face(row)
    assert face.keys() == aflw.parse_face({}).keys()
    assert face["sex"] in ("", "female", "male")
    assert face["gender"] == ("", "female", "male").index(face["sex"]) - 1
    assert face["glasses"] in range(-1, len(GLASSES))
    if face["reason"]:
        assert face["pose"] == -1
        return
    assert face["pose"] in range(len(POSE))
    assert abs(face["yaw"]) <= 135
    assert max(abs(face["pitch"]), abs(face["roll"])) < 180.01
    assert not any(map(math.isnan, face["box"]))
    assert "/" not in face["crop"]


@given(st.floats(-2.3, 2.3))
def test_a_mirrored_yaw_has_the_mirrored_pose(yaw):
    one, other = (aflw.parse_face(row_of(angle)) for angle in (yaw, -yaw))
    assert one["yaw"] == -other["yaw"]
    assert one["pose"] == mirrored(POSE)[other["pose"]]


finite = st.floats(-1e3, 1e3)


@given(finite, st.floats(-0.9, 0.9), finite, finite, st.floats(1, 50))
def test_the_nose_is_measured_along_the_eyes(shift, turn, x, y, distance):
    """Against points built from the answer, tilted by up to 51 degrees."""
    along = distance * np.exp(1j * turn)
    middle = complex(x, y)
    eyes = middle - along / 2, middle + along / 2
    nose = middle + shift * along + 0.7j * along
    for pair in (eyes, eyes[::-1]):
        assert math.isclose(
            aflw.nose_offset(*pair, nose), shift, rel_tol=1e-6, abs_tol=1e-6
        )


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "face_id": anything,
                "feature_id": st.one_of(st.sampled_from([8, 11, 15]), anything),
                "x": anything,
                "y": anything,
            }
        )
    )
)
def test_no_landmarks_make_the_offsets_fail(rows):
    offsets = aflw.nose_offsets(rows)
    assert set(offsets) <= {str(row["face_id"]) for row in rows}


@pytest.mark.parametrize("turns", [-1, 1, 2])
def test_whole_turns_of_roll_change_nothing(turns):
    row = {"face_id": 1, "file_id": "a.jpg", "x": 1, "y": 1, "w": 9, "h": 9}
    angles = {"yaw": 0.3, "pitch": 0.1}
    one = aflw.parse_face({**row, **angles, "roll": 0.5})
    other = aflw.parse_face({**row, **angles, "roll": 0.5 + turns * math.tau})
    assert other["reason"] == ""
    assert other["roll"] == pytest.approx(one["roll"], abs=2e-3)
    assert {**other, "roll": 0} == {**one, "roll": 0}

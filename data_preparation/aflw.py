"""AFLW: about 24,400 faces in photos, with head pose, sex and glasses.

Source folder, the published database beside its unpacked photos:

    aflw.sqlite      tables Faces, FacePose, FaceRect; if there: FaceImages,
                     FaceMetaData (sex and glasses), FeatureCoords (21
                     landmarks)
    flickr/0/  flickr/2/  flickr/3/    image00002.jpg ... (or 0/  2/  3/)

or an export of these tables, each with its column names in the first line:

    faceid.csv       face_id,file_id            (or faces.csv)
    facepose.csv     face_id,roll,pitch,yaw     radians
    facerect.csv     face_id,x,y,w,h            pixels
    facemetadata.csv face_id,sex,glasses        glasses may be missing
    featurecoords.csv  faceimages.csv           if you have them
    images/          image00002.jpg ...

Angles become degrees and yaw changes its sign, so that here, as in every
dataset, positive yaw turns the nose towards the right edge of the image. With
landmarks at hand the sign is checked on the data, and a file that contradicts
it is refused. Pose is yaw in five classes, with edges at 15 and 45 degrees.
There is no official split; one is drawn, the faces of a photo together. Glasses
are 1, worn, or 0; other values and faces without a row are missing labels.
"""

import math
import re
import sqlite3
from contextlib import closing

import pandas as pd

from data_preparation import common, crops, raw
from data_preparation.synthetic import pose_of
from samtl.common.errors import UserError
from samtl.data.tasks import GENDER, GLASSES, POSE, Task

DATASET = common.Dataset(
    name="aflw",
    title="5 head poses from yaw angles, gender, glasses, about 24,400 faces",
    url=(
        "https://www.tugraz.at/institute/icg/research/team-bischof/"
        "learning-recognition-surveillance/downloads/aflw"
    ),
    tasks=(Task("pose", POSE),),
    citation=(
        "Koestinger, Wohlhart, Roth, Bischof: Annotated Facial Landmarks in "
        "the Wild, ICCV Workshops 2011"
    ),
    terms="for non-commercial research, on request from TU Graz",
    is_padded=True,
    partial=(Task("gender", GENDER), Task("glasses", GLASSES)),
)
DATABASE = "aflw.sqlite"
# Columns that are read. The first three tables are needed.
COLUMNS = {
    "faces": ("face_id", "file_id"),
    "facepose": ("face_id", "yaw", "pitch", "roll"),
    "facerect": ("face_id", "x", "y", "w", "h"),
    "faceimages": ("file_id", "filepath"),
    "facemetadata": ("face_id", "sex"),
    "featurecoords": ("face_id", "feature_id", "x", "y"),
}
NEEDED = tuple(COLUMNS)[:3]
# Columns that a table may lack.
OPTIONAL = {"facemetadata": ("glasses",)}
SEXES = {"f": "female", "m": "male"}
# Published code -> class index.
WORN = {0: GLASSES.index("no glasses"), 1: GLASSES.index("glasses")}
# Bytes of a row in the database and of a value.
SHORTEST_ROW, LONGEST_VALUE = 6, 2**20
# In radians; a single precision pi is a little more than pi.
LARGEST_ANGLE = 3.1416
# In degrees. Beyond it no face can be seen: the fit of the angles failed.
LARGEST_YAW = 135
# feature_id of both eyes and the nose.
EYES, NOSE = (8, 11), 15
# The sign of yaw is checked on at least so many turned faces; so large a
# share of them must agree. In MTFL's photos of AFLW it is 99.6 %.
FEWEST, AGREEMENT = 20, 0.9


def add_arguments(parser):
    """Declare the flags of this dataset."""
    common.add_arguments(parser, margin=0.1)


def prepare(args):
    """Write db/aflw.csv, its JSON and its crops.

    Crops are padded, so that all show the whole box.
    """
    faces = read(args)
    common.build(
        DATASET,
        faces,
        args,
        layout=f"{layout_of(args.source)}; {check_yaw_sign(faces)}",
        columns=["yaw", "pitch", "roll", "sex"],
    )


def read(args):
    """Read the tables of either layout and join them.

    Returns:
        DataFrame as described in `common`, with yaw, pitch and roll (degrees),
        sex ("female", "male" or ""), gender and glasses, and nose (see
        `nose_offset`; NaN where landmarks are missing).

    Raises:
        UserError: the tables or the photos are missing or cannot be read.
    """
    source = args.source
    labels = load_tables(source)
    photos = _photos(source, args.data_dir)
    paths = {row["file_id"]: row["filepath"] for row in labels["faceimages"]}
    details = [
        _by_face(labels[table])
        for table in ("facepose", "facerect", "facemetadata")
    ]
    rows = []
    for face in labels["faces"]:
        row = dict(face)
        row["filepath"] = paths.get(face["file_id"])
        for detail in details:
            row |= detail.get(str(face["face_id"]), {})
        rows.append(parse_face(row))
    faces = pd.DataFrame(rows, columns=list(parse_face({})))
    faces["source"] = [
        photos.get(photo, source / photo) for photo in faces["group"]
    ]
    faces["split"] = ""
    offsets = nose_offsets(labels["featurecoords"])
    faces["nose"] = [
        offsets.get(face_id, math.nan) for face_id in faces["face_id"]
    ]
    return faces


def layout_of(source):
    """Which files are read, in words."""
    if (source / DATABASE).is_file():
        return DATABASE
    return ", ".join(path.name for path in _tables(source).values())


def load_tables(source):
    """Read the tables that are there.

    Returns:
        {table: list of rows}, each a dict of the table's COLUMNS, those of
        OPTIONAL that it has, and perhaps more; values are numbers, str or None.
        Missing tables are empty.

    Raises:
        UserError: a needed table is missing or one cannot be read.
    """
    if (source / DATABASE).is_file():
        found = _load_database(source / DATABASE)
    else:
        found = {
            table: raw.csv_table(path, COLUMNS[table])
            for table, path in _tables(source).items()
        }
    missing = [table for table in NEEDED if table not in found]
    if missing:
        raise UserError(
            f"{source} must hold {DATABASE} with the tables Faces, FacePose "
            "and FaceRect, or faceid.csv, facepose.csv and facerect.csv, but "
            f"lacks {', '.join(missing)} (found: {raw.found(source)}); "
            "download it again"
        )
    return {table: found.get(table, []) for table in COLUMNS}


def _tables(source):
    """{table: path} of the exported tables, whatever their case."""
    paths = {
        path.name.lower().removesuffix(".csv"): path
        for path in sorted(source.iterdir())
        if path.name.lower().endswith(".csv")
    }
    if "faceid" in paths:
        paths["faces"] = paths["faceid"]
    return {table: paths[table] for table in COLUMNS if table in paths}


def _load_database(path):
    """Read stored rows only: what SQLite computes may have no end."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    most = path.stat().st_size // SHORTEST_ROW
    try:
        with closing(sqlite3.connect(uri, uri=True)) as database:
            database.row_factory = sqlite3.Row
            database.text_factory = lambda text: text.decode(errors="replace")
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
            about = database.execute("PRAGMA table_list")
            present = {
                str(row["name"]).lower()
                for row in about
                if row["type"] == "table"
            }
            return {
                table: _rows(database, table, most)
                for table in COLUMNS
                if table in present
            }
    except sqlite3.Error as error:
        raise UserError(
            f"cannot read {path}: {error}; unpack it again from aflw-db.tar.gz"
        ) from error


def _rows(database, table, most):
    """A table's rows as dicts of its COLUMNS and OPTIONAL columns.

    Raises:
        sqlite3.Error: also for more than `most` rows, which a damaged file has
            when its pages form a circle.
    """
    about = database.execute(f"PRAGMA table_info({table})")  # of stored columns
    present = {row["name"].lower() for row in about}
    missing = [name for name in COLUMNS[table] if name not in present]
    if missing:
        raise sqlite3.DatabaseError(f"no such column: {table}.{missing[0]}")
    optional = [name for name in OPTIONAL.get(table, ()) if name in present]
    columns = [*COLUMNS[table], *optional]
    query = f"SELECT {', '.join(columns)} FROM {table} LIMIT {most + 1}"
    rows = [
        dict(zip(columns, row, strict=True)) for row in database.execute(query)
    ]
    if len(rows) > most:
        raise sqlite3.DatabaseError(f"{table} has more rows than the file")
    return rows


def _photos(source, data_dir):
    """{file name: path} of all photos; AFLW's names are unique."""
    folders = (source / "flickr", source / "images", source)
    folder = next(folder for folder in folders if folder.is_dir())
    paths = raw.images(folder, data_dir)
    if not paths:
        raise UserError(
            f"{folder} has no photos; unpack aflw-images-0, -2 and -3 there"
        )
    return {path.name: path for path in paths}


def _by_face(rows):
    """{face_id: its first row}."""
    return {str(row["face_id"]): row for row in reversed(rows)}


def parse_face(row):
    """Check and convert one face's row of the joined tables.

    Args:
        row: dict with the columns of COLUMNS and OPTIONAL, or fewer; any
            values.

    Returns:
        dict: face_id, name, crop, group (name of the photo), box, pose (class
        index), yaw, pitch, roll (degrees), sex, gender and glasses (class
        indices, -1 where unknown) and reason ("", or why the face cannot be
        used, with pose -1).
    """
    face_id = str(row.get("face_id")).strip()
    path = row.get("filepath") or row.get("file_id") or ""
    photo = re.split(r"[/\\]", str(path).strip())[-1]
    sex = SEXES.get(str(row.get("sex")).strip().lower(), "")
    (worn,) = _numbers(row, ["glasses"]) or (None,)
    face = {
        "face_id": face_id,
        "name": f"{photo}, face {face_id}",
        "crop": f"{face_id}.jpg",
        "group": photo,
        "box": None,
        "pose": -1,
        "yaw": math.nan,
        "pitch": math.nan,
        "roll": math.nan,
        "sex": sex,
        "gender": GENDER.index(sex) if sex else -1,
        "glasses": WORN.get(worn, -1),
        "reason": "",
    }
    if not (re.fullmatch("[0-9]{1,12}", face_id) and photo):
        return {**face, "reason": "malformed row"}
    angles = _numbers(row, COLUMNS["facepose"][1:])
    if angles is None:
        return {**face, "reason": "missing angle"}
    angles = *angles[:2], _wrapped(angles[2])
    # Positive yaw turns to the image's right here, in AFLW to its left.
    yaw, pitch, roll = (round(math.degrees(angle), 3) for angle in angles)
    yaw = 0 - yaw
    if max(map(abs, angles)) > LARGEST_ANGLE or abs(yaw) > LARGEST_YAW:
        return {**face, "reason": "impossible angle"}
    box = _numbers(row, COLUMNS["facerect"][1:])
    if box is None:
        return {**face, "reason": "missing box"}
    left, top, width, height = box
    if width < 1 or height < 1:
        return {**face, "reason": crops.DEGENERATE}
    return {
        **face,
        "box": (left, top, left + width, top + height),
        "pose": pose_of(yaw),
        "yaw": yaw,
        "pitch": pitch,
        "roll": roll,
    }


def _wrapped(roll):
    """A roll without whole turns around the line of sight, radians."""
    is_small = abs(roll) <= LARGEST_ANGLE
    return roll if is_small else math.remainder(roll, 2 * math.pi)


def _numbers(row, columns):
    """Values of columns as float, or None unless all are finite numbers."""
    try:
        values = [float(row[column]) for column in columns]
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return values if all(map(math.isfinite, values)) else None


def nose_offsets(rows):
    """`nose_offset` of the faces that have both eyes and the nose.

    Args:
        rows: of FeatureCoords, see `COLUMNS`.

    Returns:
        {face_id: offset}.
    """
    points = {}
    for row in rows:
        values = _numbers(row, COLUMNS["featurecoords"][1:])
        if values and min(values) >= 0 and max(values) < 1e6:
            feature, x, y = values
            points.setdefault(str(row["face_id"]), {})[feature] = complex(x, y)
    return {
        face_id: nose_offset(*(features[eye] for eye in EYES), features[NOSE])
        for face_id, features in points.items()
        if features.keys() >= {*EYES, NOSE}
    }


def nose_offset(eye, other, nose):
    """How far the nose lies from the middle of the eyes, along their line.

    Args:
        eye, other, nose: complex, x + yi in pixels; the eyes in any order.

    Returns:
        float, in distances between the eyes, positive towards the image's
        right; NaN where the eyes coincide.
    """
    left, right = sorted([eye, other], key=lambda point: point.real)
    line = right - left
    if not line:
        return math.nan
    return ((nose - (left + right) / 2) / line).real


def check_yaw_sign(faces):
    """Compare the sign of yaw with the side that the nose is on.

    Args:
        faces: of `read`.

    Returns:
        str, the result in words.

    Raises:
        UserError: the signs contradict each other.
    """
    is_turned = ~faces["pose"].isin([-1, POSE.index("frontal")])
    turned = faces[is_turned & faces["nose"].notna()]
    if len(turned) < FEWEST:
        return (
            "sign of yaw not checked, too few turned faces with landmarks: "
            f"{len(turned)}"
        )
    share = ((turned["nose"] > 0) == (turned["yaw"] > 0)).mean()
    if share < AGREEMENT:
        raise UserError(
            f"yaw agrees with the side of the nose in only {share:.0%} of "
            f"{len(turned)} turned faces, so it is not as AFLW publishes it "
            "(radians, positive to the image's left); take the tables from "
            "aflw-db.tar.gz"
        )
    return (
        f"sign of yaw agrees with the nose in {share:.1%} of {len(turned)} "
        "turned faces"
    )

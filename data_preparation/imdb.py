"""IMDB: faces of actors in photos from IMDb, with gender and age.

Source folder, with the archive imdb_crop.tar unpacked in it, or the folder
imdb_crop itself; imdb.mat may also come from imdb_meta.tar:

    imdb_crop/imdb.mat    struct with one entry a face: dob, photo_taken,
                          full_path, gender, name, face_location, face_score,
                          second_face_score
    imdb_crop/00/ ...     the faces, cut out with 40 % of their size around

Age is the number of birthdays up to July 1 of the year of the photo, as the
authors count it. Faces are dropped that have an impossible date of birth, an
age outside 0 to 100, no gender, no or a weak face detection, or a second face
in the photo: the labels may belong to the second face.

Of the 40 %, --margin keeps 10 %: that shows the face from forehead to chin, as
in the other datasets.

The splits are drawn with equal shares of the age groups; all photos of a
person are in the same one.
"""

import functools

import numpy as np
import pandas as pd
from scipy.io import loadmat

from data_preparation import ages, common, raw
from samtl.common import flags, isolation
from samtl.common.errors import UserError
from samtl.data.tasks import AGE, GENDER, Task

TASKS = (Task("age", AGE), Task("gender", GENDER))
URL = "https://data.vision.ee.ethz.ch/cvl/rrothe/imdb-wiki/"
CITATION = (
    "Rothe, Timofte, Van Gool: Deep Expectation of Real and Apparent Age from "
    "a Single Image Without Facial Landmarks, IJCV 2018"
)
TERMS = "for academic research only; photos belong to their copyright holders"
DATASET = common.Dataset(
    name="imdb",
    title="8 age groups and gender, 460,723 photos of 20,284 actors",
    url=f"{URL} (imdb_crop.tar)",
    tasks=TASKS,
    citation=CITATION,
    terms=TERMS,
)
NUMBERS = ("dob", "photo_taken", "gender", "face_score", "second_face_score")
TEXTS = ("full_path", "name")
# Day 1 of Matlab's calendar is January 1 of the year 0, a leap year.
DAY_ZERO = np.datetime64("0000-01-01", "D") - 1
# Dates of birth before the year 1 and after 2737 are not dates.
FIRST_DAY, LAST_DAY = 367, 1_000_000
OLDEST = 100
# Share of a published crop that is the detected face; the rest is margin.
FACE = 1 / (1 + 2 * 0.4)
PATIENCE = 30  # seconds that reading a MiB of the .mat file may take
# Bytes of memory that reading may take, and as many more for each byte of the
# file: every text becomes an array.
MEMORY, GROWTH = 640 * 2**20, 100
PATH = r"(?:\w[\w.-]*/)*\w[\w.-]*\.\w+"


def add_arguments(parser):
    """Declare the flags of this dataset."""
    common.add_arguments(parser, margin=0.1)
    score = flags.Number(float, -100)
    text = "least score of the face detection"
    flags.add_flag(parser, "min_face_score", score, 1.0, text)
    text = "largest score of a second face in the photo"
    flags.add_flag(parser, "max_second_face_score", score, 0.0, text)


def prepare(args, dataset=DATASET):
    """Write db/imdb.csv, its JSON and its crops."""
    common.build(
        dataset,
        read(args, dataset.name),
        args,
        layout=f"{dataset.name}.mat, {dataset.name}_crop",
        columns=["age_years", "subject"],
    )


def read(args, name="imdb"):
    """Read imdb.mat or wiki.mat.

    Args:
        args: of the command line.
        name: "imdb" or "wiki".

    Returns:
        DataFrame as described in `common`, with `age_years` and `subject`.

    Raises:
        UserError: the file is missing or is not as published.
    """
    inner = args.source / f"{name}_crop"
    folders = [folder for folder in (inner, args.source) if folder.is_dir()]
    file = f"{name}.mat"
    found = [folder for folder in folders if (folder / file).is_file()]
    if not found:
        raise UserError(
            f"{args.source} has no {file}, nor has {name}_crop in it, but "
            f"{raw.found(args.source)}; unpack {name}_crop.tar there"
        )
    faces = parse(
        load(found[0] / file, name),
        args.min_face_score,
        args.max_second_face_score,
    )
    faces["source"] = [folders[0] / path for path in faces["name"]]
    faces["box"] = FACE
    return faces


def load(path, name):
    """The fields of a .mat file that are used.

    Args:
        path: of the file.
        name: of the struct in it.

    Returns:
        DataFrame with the columns NUMBERS (float) and TEXTS (str, "" where a
        cell is empty), one row a face.

    Raises:
        UserError: the file is damaged, or not as published.
    """
    try:
        read = functools.partial(loadmat, simplify_cells=True)
        seconds = PATIENCE * (1 + path.stat().st_size / 2**20)
        memory = MEMORY + GROWTH * path.stat().st_size
        content = isolation.call(
            read, path, seconds=round(seconds), memory=memory
        )
    # A damaged file fails in any of the ways of the reader's compiled code.
    except Exception as error:
        raise UserError(
            f"cannot read {path}: {str(error) or type(error).__name__}; "
            "download it again"
        ) from error
    struct = content.get(name)
    fields = struct if isinstance(struct, dict) else {}
    missing = [field for field in NUMBERS + TEXTS if field not in fields]
    if missing:
        have = list(fields) or [key for key in content if key[:2] != "__"]
        raise UserError(
            f"{path} has no {', '.join(missing)} in a struct {name} but "
            f"{', '.join(have) or 'nothing'}; download it again"
        )
    columns = {field: np.ravel(fields[field]) for field in NUMBERS + TEXTS}
    sizes = {field: column.size for field, column in columns.items()}
    is_number = [columns[field].dtype.kind in "biuf" for field in NUMBERS]
    if len(set(sizes.values())) != 1 or not all(is_number):
        have = [
            f"{field} {columns[field].dtype} {sizes[field]}" for field in sizes
        ]
        raise UserError(
            f"the fields of {path} are not numbers and texts of one size but "
            f"{', '.join(have)}; download it again"
        )
    table = pd.DataFrame(columns).astype(dict.fromkeys(NUMBERS, float))
    for field in TEXTS:
        is_text = [isinstance(cell, str) for cell in table[field]]
        table[field] = table[field].where(is_text, "")
    return table


def parse(table, min_face_score, max_second_face_score):
    """Labels of faces, or why they cannot be used.

    Args:
        table: DataFrame of `load`.
        min_face_score: faces with a lower one are dropped.
        max_second_face_score: so are those with a higher one.

    Returns:
        DataFrame as described in `common` but for `source` and `box`, with
        `age_years` (-1 where unknown) and `subject`, one row each of `table`.
    """
    path, score = table["full_path"], table["face_score"]
    years, is_dated = age_years(table["dob"], table["photo_taken"])
    is_known = table["gender"].isin([0, 1])
    flaws = {
        "malformed path": ~path.str.fullmatch(PATH),
        "impossible date": ~is_dated,
        "impossible age": (years < 0) | (years > OLDEST),
        "no gender": ~is_known,
        "no face": ~np.isfinite(score),
        "low face score": score < min_face_score,
        "second face": table["second_face_score"] > max_second_face_score,
    }
    reason = np.select(list(flaws.values()), list(flaws), "").astype(object)
    years = np.where(reason == "", years, -1)
    # 0 is female and 1 male, as in GENDER.
    gender = table["gender"].where(reason == "", -1).astype(int)
    # Every file name begins with the number of a person.
    person = path.str.rpartition("/")[2].str.partition("_")[0]
    subject = table["name"].where(table["name"] != "", person)
    return pd.DataFrame(
        {
            "name": path,
            "crop": path.str.rpartition(".")[0] + ".jpg",
            "split": "",
            "group": subject,
            "age": ages.group(years),
            "gender": gender,
            "age_years": years,
            "subject": subject,
            "reason": reason,
        }
    )


def age_years(birth, photo):
    """Completed years on July 1 of the year of the photo.

    The authors compute datevec(datenum(photo_taken, 7, 1) - dob) in Matlab,
    which is one less for birthdays on June 30 and July 1 in some years.

    Args:
        birth: float [N], days in Matlab's calendar.
        photo: float [N], year.

    Returns:
        (years, is_known): int [N], 0 where unknown; and bool [N], whether
        the date of birth is a day after the year 0 and the photo's year is a
        number.
    """
    birth, photo = np.asarray(birth), np.asarray(photo)
    is_known = (birth >= FIRST_DAY) & (birth <= LAST_DAY)
    is_known &= (photo >= 1) & (photo <= 9999)
    day = DAY_ZERO + np.where(is_known, birth, FIRST_DAY).astype(int)
    year = day.astype("M8[Y]")
    is_later = day > (year.astype("M8[M]") + 6).astype("M8[D]")
    born = year.astype(int) + 1970
    years = np.where(is_known, photo, born).astype(int) - born - is_later
    return np.where(is_known, years, 0), is_known

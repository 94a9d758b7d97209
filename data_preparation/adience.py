"""Adience: faces in unfiltered photos, with gender and eight age groups.

Source folder, the published files with one of the two archives unpacked:

    fold_0_data.txt ... fold_4_data.txt    user_id, original_image, face_id,
                                           age, gender, x, y, dx, dy, ...;
                                           tabs between, one line a face
    aligned/USER/landmark_aligned_face.FACE_ID.ORIGINAL_IMAGE      or
    faces/USER/coarse_tilt_aligned_face.FACE_ID.ORIGINAL_IMAGE

The images are crops already and kept whole; where both folders hold some,
aligned/ is read. One of the five official folds tests (--fold; the authors' is
the last), the next one validates (after the last the first), the other three
train. No photographer is in two folds.

Ages are a group, "(25, 32)", another range or a number of years. An age gets
the group in which both its ends lie, when the gaps between groups are divided
at their middles (see data_preparation/ages.py). A face may lack one of the two
labels. The yaw angle is not read: it is a detector's estimate, "without
guarantee".
"""

import re
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from data_preparation import ages, common, duplicates, raw
from samtl.common import flags
from samtl.common.errors import UserError
from samtl.data.tasks import AGE, GENDER, Task

DATASET = common.Dataset(
    name="adience",
    title="8 age groups and gender, 19,370 faces of 2,284 people, 5 folds",
    url="https://talhassner.github.io/home/projects/Adience/Adience-data.html",
    tasks=(Task("age", AGE), Task("gender", GENDER)),
    citation=(
        "Eidinger, Enbar, Hassner: Age and Gender Estimation of Unfiltered "
        "Faces, IEEE Transactions on Information Forensics and Security, 2014"
    ),
    terms="photos under their authors' Creative Commons licences on Flickr",
)
FOLDS = 5
COLUMNS = ("user_id", "original_image", "face_id", "age", "gender")
# Folder of images -> how their names start.
PREFIXES = {
    "aligned": "landmark_aligned_face",
    "faces": "coarse_tilt_aligned_face",
}
GENDERS = {
    "f": GENDER.index("female"),
    "m": GENDER.index("male"),
    **dict.fromkeys(("u", ""), -1),  # unknown
}
MALFORMED = "malformed line"
NO_LABEL = "no age of one group and no gender"
ASTRAY = "user in several folds"


def add_arguments(parser):
    """Declare the flags of this dataset."""
    common.add_arguments(parser, margin=0.3)
    text = "the fold to test on; the next one validates"
    number = flags.Number(int, 0, FOLDS - 1)
    flags.add_flag(parser, "fold", number, FOLDS - 1, text)


def prepare(args):
    """Write db/adience.csv, its JSON and its crops."""
    faces = read(args)
    common.build(
        DATASET,
        faces,
        args,
        layout=f"fold_0..{FOLDS - 1}_data.txt, {images_in(args.source)}",
        columns=["subject"],
    )


def read(args):
    """Read all folds.

    Returns:
        DataFrame as described in `common`, with `subject`, the person.

    Raises:
        UserError: a fold or the folder of images is missing or unreadable.
    """
    folder = images_in(args.source)
    rows = [
        {**parse_line(line, header), "split": split_of(fold, args.fold)}
        for fold in range(FOLDS)
        for header, line in _lines(args.source / f"fold_{fold}_data.txt")
    ]
    faces = pd.DataFrame(rows, columns=[*parse_line("", []), "split"])
    faces["source"] = [
        args.source / folder / user / f"{PREFIXES[folder]}.{face}"
        for user, face in zip(faces["group"], faces["name"], strict=True)
    ]
    is_good = faces["reason"] == ""
    good = faces[is_good]
    is_astray = duplicates.straddling(good["group"], good["split"])
    faces.loc[is_good, "reason"] = np.where(is_astray, ASTRAY, "")
    return faces


def images_in(source):
    """The folder of images to read, the aligned ones if there is a choice.

    Raises:
        UserError: there is none.
    """
    for folder in PREFIXES:
        if any(path.is_dir() for path in (source / folder).glob("*")):
            return folder
    raise UserError(
        f"{source} has no folder {' or '.join(PREFIXES)} with folders in it "
        f"(found: {raw.found(source)}); unpack aligned.tar.gz or faces.tar.gz "
        "there"
    )


def split_of(fold, test):
    """The split of a fold when fold number `test` is tested on."""
    return {0: "test", 1: "validation"}.get((fold - test) % FOLDS, "train")


def _lines(path):
    """Pairs of the headings and a line, for every line below the headings.

    Raises:
        UserError: the file cannot be read or lacks a heading.
    """
    header, *rows = raw.csv_rows(path) or [[]]
    header = [word.strip().lower() for word in header]
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise UserError(
            f"{path} must begin with a line of headings, {', '.join(COLUMNS)} "
            f"..., tabs between, but has no {missing[0]} among "
            f"{', '.join(header)[:80]!r}; download it again"
        )
    count = len(header)
    return [
        (header, "\t".join(row if any(row[count:]) else row[:count]))
        for row in rows
    ]


def parse_line(line, header):
    """Read one line of a fold.

    Args:
        line: values with tabs between.
        header: list of str, their names.

    Returns:
        dict: name (face id and file name, or the malformed line), crop, box,
        age and gender (class indices, -1 where there is none), subject, group
        (the photographer) and reason ("", or why the face cannot be used, with
        both labels -1).
    """
    cells = [cell.strip() for cell in line.split("\t")]
    row = dict.fromkeys(COLUMNS, "")
    if len(cells) == len(header):
        row |= zip(header, cells, strict=True)
    user, image, face_id = (row[column] for column in COLUMNS[:3])
    face = {
        "name": f"{face_id}.{image}",
        "crop": f"{user}/{face_id}.{PurePosixPath(image).stem}.jpg",
        "box": None,
        "age": -1,
        "gender": -1,
        "subject": f"{user}/{face_id}",
        "group": user,
        "reason": "",
    }
    is_named = (
        re.fullmatch(r"\w[\w@.-]*", user)
        and re.fullmatch(r"\w[\w@.-]*\.\w+", image)
        and re.fullmatch(r"[0-9]+", face_id)
    )
    if not is_named:
        return {**face, "name": line.strip()[:80], "reason": MALFORMED}
    age = parse_age(row["age"])
    if age is None or row["gender"] not in GENDERS:
        return {**face, "reason": MALFORMED}
    gender = GENDERS[row["gender"]]
    if age == gender == -1:
        return {**face, "reason": NO_LABEL}
    return {**face, "age": age, "gender": gender}


def parse_age(text):
    """The age group of "(25, 32)" or "35".

    Returns:
        class index; -1 for no age, or a range over several groups; None for
        what is neither.
    """
    if text in ("", "None"):
        return -1
    ends = re.fullmatch(r"\(([0-9]{1,3}), ?([0-9]{1,3})\)|([0-9]{1,3})", text)
    if not ends:
        return None
    groups = {int(ages.group(int(end))) for end in ends.groups() if end}
    return groups.pop() if len(groups) == 1 else -1

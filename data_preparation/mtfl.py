"""MTFL: faces in photos with five landmarks, head pose and gender.

Source folder, as in the published archive MTFL.zip:

    training.txt  testing.txt   path, x1..x5, y1..y5, gender, smile, glasses,
                                pose; one line a face
    lfw_5590/  net_7876/        photos of training.txt
    AFLW/                       photos of testing.txt

Pose says where the face looks as seen by the viewer: in "left profile" and
"left" the nose points to the left edge of the image, in "right" and "right
profile" to the right edge. So it is in 99 % of the faces of these classes,
judged by the nose against the middle of the eyes; names and pixels agree with
mirroring. Frontal faces lean to either side equally often.

The test faces are the official ones. A tenth of the training faces is set
aside for validation, with the same mix of poses; photos of one person, as far
as the file names tell, stay together.
"""

import re

import numpy as np
import pandas as pd

from data_preparation import common
from utils import flags
from utils.errors import UserError
from utils.tasks import GENDER, POSE, Task

NAME = "mtfl"
TITLE = "5 head poses and gender, 12,995 faces in photos with landmarks"
URL = "http://mmlab.ie.cuhk.edu.hk/projects/TCDCN.html (MTFL.zip)"
CITATION = (
    "Zhang, Luo, Loy, Tang: Facial Landmark Detection by Deep Multi-task "
    "Learning, ECCV 2014"
)
TERMS = "for research; photos belong to their owners (LFW, AFLW, web)"

TASKS = (Task("pose", POSE), Task("gender", GENDER))
LISTS = {"testing.txt": "test", "training.txt": "train"}
# Position in the published code -> class name.
GENDERS = {"1": "male", "2": "female"}
POSES = dict(zip("12345", POSE, strict=True))
FOLDS = 10
MALFORMED = "malformed line"


def add_arguments(parser):
    """Declare the flags of this dataset."""
    common.add_arguments(parser)
    text = (
        "space around the landmarks on each side, as a share of their larger "
        "extent; 0.7 shows forehead and chin"
    )
    flags.add_flag(parser, "margin", flags.Number(float, 0, 2), 0.7, text)
    text = "largest width and height of a crop, in pixels"
    flags.add_flag(parser, "size", flags.Number(int, 16, 4096), 128, text)
    text = "seed of the validation split"
    seeds = flags.Number(int, 0, 2**32 - 1)
    flags.add_flag(parser, "seed", seeds, 0, text)


def prepare(args):
    """Write db/mtfl.csv, its JSON and its crops.

    Raises:
        UserError: the source is incomplete or the dataset exists already.
    """
    with common.staged(NAME, args) as folder:
        faces = read(args.source)
        dropped = common.Dropped()
        faces = dropped.keep(faces, faces["reason"])
        faces["box"] = [
            common.square(points, args.margin) for points in faces["landmarks"]
        ]
        faces["digest"], reasons = common.cut(faces, folder, size=args.size)
        faces = dropped.keep(faces, reasons)
        set_validation_aside(faces, args.seed)
        facts = {
            "source": ", ".join(LISTS),
            "margin": args.margin,
            "size": args.size,
            "split_seed": args.seed,
            "citation": CITATION,
            "terms": TERMS,
        }
        columns = ["subject"]
        common.publish(
            NAME, faces, columns, TASKS, folder, args, dropped, facts
        )


def read(source):
    """Read both lists, the test list first.

    Returns:
        DataFrame with `source`, `crop`, `split`, `landmarks` (float [5, 2]),
        `pose`, `gender` (class indices), `subject` ("" where unknown), `group`
        and `reason` (not empty: the line cannot be used).

    Raises:
        UserError: a list is missing or cannot be read.
    """
    rows = []
    for name, split in LISTS.items():
        try:
            text = (source / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"cannot read {source / name}: {error}; --source must hold "
                "the unpacked archive, see --help"
            ) from error
        for line in text.splitlines():
            if line.strip():
                rows.append({**parse_line(line), "split": split})
    faces = pd.DataFrame(rows, columns=[*parse_line(""), "split"])
    faces["source"] = [source / name for name in faces["name"]]
    faces["crop"] = faces["name"].str.replace(r"\.\w+$", ".jpg", regex=True)
    is_repeated = faces["crop"].duplicated() & (faces["reason"] == "")
    faces.loc[is_repeated, "reason"] = "listed twice"
    return faces


def parse_line(line):
    """Read one line of training.txt or testing.txt.

    Returns:
        dict: name (relative path with slashes), landmarks (float [5, 2], x
        and y in pixels; the eyes, the nose, the corners of the mouth), pose
        and gender (class indices), subject, group and reason ("", or
        "malformed line" or "no extent of landmarks" with nothing else of use).
    """
    bad = {
        "name": "",
        "landmarks": None,
        "pose": -1,
        "gender": -1,
        "subject": "",
        "group": "",
        "reason": MALFORMED,
    }
    words = line.split()
    if len(words) != 15:
        return bad
    name = words[0].replace("\\", "/")
    try:
        numbers = np.array(words[1:11], dtype=float)
    except ValueError:
        return bad
    is_good = (
        re.fullmatch(r"(\w[\w.-]*/)+\w[\w.-]*\.\w+", name)
        and (np.abs(numbers) < 1e6).all()
        and words[11] in GENDERS
        and words[14] in POSES
    )
    if not is_good:
        return bad
    landmarks = numbers.reshape(2, 5).T
    if np.ptp(landmarks, axis=0).max() < 1:
        return {**bad, "reason": "no extent of landmarks"}
    subject, group = whose(name)
    return {
        "name": name,
        "landmarks": landmarks,
        "pose": POSE.index(POSES[words[14]]),
        "gender": GENDER.index(GENDERS[words[11]]),
        "subject": subject,
        "group": group,
        "reason": "",
    }


def whose(name):
    """The person in a photo, and the group it must not be split from.

    LFW names its files after the person, `lfw_5590/Ann_Lee_0001.jpg`; some
    files of the web part are faces of one photo, `net_7876/106_0_0.jpg` and
    `net_7876/106_2_0.jpg`. Other photos are groups of their own.

    Returns:
        (subject, group); subject is "" where the name does not tell.
    """
    stem = name.rsplit("/", 1)[1].rsplit(".", 1)[0]
    person = re.fullmatch(r"([^\W\d].*)_\d{4}", stem)
    if person and name.startswith("lfw"):
        return person[1], person[1]
    photo = re.fullmatch(r"(\d+)_\d+_\d+", stem)
    return "", f"{name.split('/')[0]}/{photo[1] if photo else stem}"


def set_validation_aside(faces, seed):
    """Change `split` of a tenth of the training faces to validation.

    Raises:
        UserError: there are too few training faces.
    """
    train = faces.index[faces["split"] == "train"]
    part = faces.loc[train]
    chosen = common.validation_rows(
        part["pose"].to_numpy(), part["group"].to_numpy(), FOLDS, seed
    )
    faces.loc[train[chosen], "split"] = "validation"

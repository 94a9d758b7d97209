"""MTFL: faces in photos with landmarks, pose, gender, smile and glasses.

Source folder, as in the published archive MTFL.zip:

    training.txt  testing.txt   path, x1..x5, y1..y5, gender, smile, glasses,
                                pose; one line a face
    lfw_5590/  net_7876/        photos of training.txt
    AFLW/                       photos of testing.txt

Pose is the direction of the face as seen by the viewer: in "left profile" and
"left" the nose points to the left edge of the image, in "right" and "right
profile" to the right edge. So it is in 99 % of the faces of these classes,
judged by the nose against the middle of the eyes; names and pixels agree with
mirroring. Frontal faces lean to either side equally often.

Gender is 1 male or 2 female, smile 1 smiling or 2 not, glasses 1 worn or 2 not.
A face needs pose and gender; another code for smile or glasses is a missing
label.

The test faces are the official ones. A tenth of the training faces is set
aside for validation, with the same mix of poses; photos of one person, as far
as the file names tell, stay together.
"""

import re

import numpy as np
import pandas as pd

from data_preparation import common, crops, raw
from samtl.data.tasks import GENDER, GLASSES, POSE, SMILE, Task

DATASET = common.Dataset(
    name="mtfl",
    title="5 head poses, gender, smile and glasses, 12,995 faces in photos",
    url="http://mmlab.ie.cuhk.edu.hk/projects/TCDCN.html (MTFL.zip)",
    tasks=(Task("pose", POSE), Task("gender", GENDER)),
    partial=(Task("smile", SMILE), Task("glasses", GLASSES)),
    citation=(
        "Zhang, Luo, Loy, Tang: Facial Landmark Detection by Deep Multi-task "
        "Learning, ECCV 2014"
    ),
    terms=(
        "for research; photos belong to their copyright holders (LFW, AFLW, "
        "web)"
    ),
    is_padded=True,
)
LISTS = {"testing.txt": "test", "training.txt": "train"}
# Position in the published code -> class name.
GENDERS = {"1": "male", "2": "female"}
# Position in the published code -> class index.
SMILES = {"1": SMILE.index("smiling"), "2": SMILE.index("not smiling")}
WORN = {"1": GLASSES.index("glasses"), "2": GLASSES.index("no glasses")}
POSES = dict(zip("12345", POSE, strict=True))
MALFORMED = "malformed line"


def add_arguments(parser):
    """Declare the flags; a margin of 0.7 shows forehead and chin."""
    common.add_arguments(parser, margin=0.7)


def prepare(args):
    """Write db/mtfl.csv, its JSON and its crops.

    Crops are padded, so that all are squares at the same scale.
    """
    common.build(
        DATASET,
        read(args),
        args,
        layout=", ".join(LISTS),
        columns=["subject"],
    )


def read(args):
    """Read both lists, the test list first.

    Returns:
        DataFrame as described in `common`, with `subject` ("" where unknown).

    Raises:
        UserError: a list is missing or cannot be read.
    """
    rows = [
        {**parse_line(line), "split": split}
        for name, split in LISTS.items()
        for line in raw.lines(args.source / name)
    ]
    faces = pd.DataFrame(rows, columns=[*parse_line(""), "split"])
    faces["source"] = [args.source / name for name in faces["name"]]
    faces["crop"] = faces["name"].str.replace(r"\.\w+$", ".jpg", regex=True)
    return faces


def square(points):
    """The square around points.

    Its side is the larger of the points' width and height, so that a face in
    profile, with landmarks close together in x, gets the crop that the same
    face gets from the front.

    Args:
        points: float [P, 2], x and y in pixels.

    Returns:
        (left, top, right, bottom), float.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    half = (high - low).max() / 2
    x, y = (low + high) / 2
    return x - half, y - half, x + half, y + half


def parse_line(line):
    """Read one line of training.txt or testing.txt.

    Returns:
        dict: name (relative path with slashes), box (the square around eyes,
        nose and corners of the mouth), pose, gender, smile and glasses (class
        indices; -1 for another code of smile or glasses), subject, group and
        reason ("", or "malformed line" or "degenerate box" with the line as
        name and nothing else of use).
    """
    bad = {
        "name": line.strip()[:80],
        "box": None,
        "pose": -1,
        "gender": -1,
        "smile": -1,
        "glasses": -1,
        "subject": "",
        "group": "",
        "reason": MALFORMED,
    }
    words = raw.cells(line, 15)
    if not words:
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
        return {**bad, "reason": crops.DEGENERATE}
    subject, group = identity(name)
    return {
        "name": name,
        "box": square(landmarks),
        "pose": POSE.index(POSES[words[14]]),
        "gender": GENDER.index(GENDERS[words[11]]),
        "smile": SMILES.get(words[12], -1),
        "glasses": WORN.get(words[13], -1),
        "subject": subject,
        "group": group,
        "reason": "",
    }


def identity(name):
    """The person in a photo, and the group that must share one split.

    LFW names its files after the person, `lfw_5590/Ann_Lee_0001.jpg`; some
    files of the web part are faces of one photo, `net_7876/106_0_0.jpg` and
    `net_7876/106_2_0.jpg`. Other photos are groups of their own.

    Returns:
        (subject, group); subject is "" where the name has no person.
    """
    stem = name.rsplit("/", 1)[1].rsplit(".", 1)[0]
    person = re.fullmatch(r"([^\W\d].*)_\d{4}", stem)
    if person and name.startswith("lfw"):
        return person[1], person[1]
    photo = re.fullmatch(r"(\d+)_\d+_\d+", stem)
    return "", f"{name.split('/')[0]}/{photo[1] if photo else stem}"

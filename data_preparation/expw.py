"""ExpW: faces in photos from the web, with one of seven emotions.

Source folder, as the parts of the published archive unpack:

    label.lst    photo, number of the face in it, top, left, right, bottom,
                 confidence of the box, emotion; one line a face
    origin/      the photos

or the same in the publisher's folders, label/label.lst and image/origin/.
Emotions are 0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral.

There is no official split: a fifth of the faces is drawn for testing and a
tenth of the others for validation, with the same mix of emotions; the faces of
one photo stay together.
"""

import math
import re

import pandas as pd

from data_preparation import common, raw
from samtl.common import flags
from samtl.common.errors import UserError
from samtl.data.tasks import EMOTION_7, Task

EMOTION = Task("emotion", EMOTION_7)
DATASET = common.Dataset(
    name="expw",
    title="7 emotions, 91,793 faces in photos with boxes",
    url="http://mmlab.ie.cuhk.edu.hk/projects/socialrelation/index.html",
    tasks=(EMOTION,),
    citation=(
        "Zhang, Luo, Loy, Tang: From Facial Expression Recognition to "
        "Interpersonal Relation Prediction, IJCV 2018"
    ),
    terms="for research; photos belong to their copyright holders",
    is_padded=True,
)
LISTS = ("label.lst", "label/label.lst")
PHOTOS = ("origin", "image/origin")
LABELS = tuple(map(str, range(len(EMOTION_7))))
MALFORMED = "malformed line"
UNKNOWN_LABEL = "unknown label"
UNSURE = "confidence below --min_confidence"


def add_arguments(parser):
    """Declare the flags; the boxes show forehead and chin as they are."""
    common.add_arguments(parser, margin=0.0)
    text = (
        "least confidence of a box, in the unit of the list, where it is 53 in "
        "the median"
    )
    number = flags.Number(float, 0)
    flags.add_flag(parser, "min_confidence", number, 0.0, text)


def prepare(args):
    """Write db/expw.csv, its JSON and its crops.

    Crops are padded, so that all are squares at the same scale.
    """
    labels, photos = find(args.source)
    layout = " with ".join(
        str(path.relative_to(args.source)) for path in (labels, photos)
    )
    common.build(DATASET, read(args), args, layout=layout)


def find(source):
    """The list of faces and the folder of photos, two Paths.

    Raises:
        UserError: one is missing; the message lists the files that exist.
    """
    labels = [source / name for name in LISTS if (source / name).is_file()]
    photos = [source / name for name in PHOTOS if (source / name).is_dir()]
    if not (labels and photos):
        raise UserError(
            f"{source} needs {' or '.join(LISTS)}, and the unpacked photos in "
            f"{'/ or '.join(PHOTOS)}/ (found: {raw.found(source)}); see --help"
        )
    return labels[0], photos[0]


def read(args):
    """Read the list.

    Returns:
        DataFrame as described in `common`.

    Raises:
        UserError: the list or the folder of photos is missing.
    """
    labels, photos = find(args.source)
    faces = pd.DataFrame(
        map(parse_line, raw.lines(labels)), columns=[*parse_line("")]
    )
    is_unsure = faces["confidence"] < args.min_confidence
    faces.loc[is_unsure & (faces["reason"] == ""), "reason"] = UNSURE
    faces["source"] = [photos / photo for photo in faces["group"]]
    faces["split"] = ""
    return faces


def parse_line(line):
    """Read one line of label.lst.

    Returns:
        dict: name, group (the photo's name), crop, box (four int), confidence,
        emotion (class index) and reason ("", or "malformed line" or "unknown
        label" with nothing else of use but the name).
    """
    bad = {
        "name": line.strip()[:80],
        "group": "",
        "crop": "",
        "box": None,
        "confidence": math.nan,
        "emotion": -1,
        "reason": MALFORMED,
    }
    words = raw.cells(line, 8)  # a photo's name may hold blanks
    if not words:
        return bad
    photo, face, *sides, confidence, label = words
    is_good = (
        re.fullmatch(r"\w[^/\\]*\.\w+", photo)
        and re.fullmatch(r"\d{1,6}", face, re.ASCII)
        and all(re.fullmatch(r"-?\d{1,6}", side, re.ASCII) for side in sides)
        and re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", confidence, re.ASCII)
    )
    if not is_good:
        return bad
    name = f"{photo}, face {face}"
    if label not in LABELS:
        return {**bad, "name": name, "reason": UNKNOWN_LABEL}
    top, left, right, bottom = map(int, sides)
    return {
        "name": name,
        "group": photo,
        "crop": f"{photo.rsplit('.', 1)[0]}_{face}.jpg",
        "box": (left, top, right, bottom),
        "confidence": float(confidence),
        "emotion": LABELS.index(label),
        "reason": "",
    }

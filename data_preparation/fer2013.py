"""FER2013: 48 x 48 gray faces with one of seven emotions.

Source folder, either with the table, 0 angry to 6 neutral in `emotion`:

    fer2013.csv           emotion,pixels,Usage      (fer2013.tar.gz, Kaggle)
    icml_face_data.csv    emotion, Usage, pixels    (the same under its new
                                                    name, instead)

or with the faces as images, in one folder a class:

    Training/angry/...    PublicTest/angry/...    PrivateTest/angry/...

or, as Kaggle users share them, with both tests in one folder:

    train/angry/Training_3908.jpg ...
    test/angry/PublicTest_10131363.jpg  test/angry/PrivateTest_88305.jpg ...

The names of class folders may have capitals, be the number of the class, or
another form of the word, such as "fearful" or "sadness". A folder validation/,
valid/ or val/ beside train/ and test/ validates.

Splits are the official ones: Training trains, PublicTest validates and
PrivateTest tests. A name that begins with one of these words counts more than
its folder. If no image validates by name or folder, the whole of test/ tests
and a tenth of train/ is drawn for validation.
"""

import re

import numpy as np
import pandas as pd

from data_preparation import common, raw
from samtl.common.errors import UserError
from samtl.data.tasks import EMOTION_7, Task

EMOTION = Task("emotion", EMOTION_7)
DATASET = common.Dataset(
    name="fer2013",
    title="7 emotions, 35,887 gray faces of 48 x 48 pixels",
    url=(
        "https://www.kaggle.com/c/challenges-in-representation-learning-"
        "facial-expression-recognition-challenge/data"
    ),
    tasks=(EMOTION,),
    citation=(
        "Goodfellow et al.: Challenges in Representation Learning: A Report "
        "on Three Machine Learning Contests, ICONIP 2013"
    ),
    terms="rules of the challenge on Kaggle; for research",
    is_gray=True,
)
SIDE = 48
TABLES = ("fer2013.csv", "icml_face_data.csv")
USAGES = {
    "Training": "train",
    "PublicTest": "validation",
    "PrivateTest": "test",
}
# Usage in lower case -> split.
SPLIT_OF = {usage.lower(): split for usage, split in USAGES.items()}
# Names of folders, in lower case.
SPLITS = {
    **SPLIT_OF,
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
# Other words in use -> class.
SYNONYMS = {
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}
# How a class is written, in lower case -> index.
LABELS = {
    **{name: index for index, name in enumerate(EMOTION_7)},
    **{str(index): index for index in range(len(EMOTION_7))},
    **{word: EMOTION_7.index(name) for word, name in SYNONYMS.items()},
}
UNKNOWN_LABEL = "unknown label"
UNKNOWN_USAGE = "unknown usage"
MALFORMED = "malformed pixels"


def add_arguments(parser):
    """Declare the flags of this dataset."""
    common.add_arguments(parser)


def prepare(args):
    """Write db/fer2013.csv, its JSON and its crops."""
    faces = read(args)
    table = find_table(args.source)
    layout = table.name if table else "images in class folders"
    common.build(DATASET, faces, args, layout=layout)


def read(args):
    """Read any of the layouts.

    Returns:
        DataFrame as described in `common`.

    Raises:
        UserError: there is none, or the table cannot be read.
    """
    table = find_table(args.source)
    rows = _read_table(table) if table else _read_folders(args)
    columns = ["source", "name", "crop", "emotion", "split", "reason"]
    faces = pd.DataFrame(rows, columns=columns)
    faces["box"] = None
    faces["group"] = faces["crop"]
    return faces


def find_table(source):
    """The published table, a Path, or None where there is none."""
    paths = (source / name for name in TABLES)
    return next((path for path in paths if path.is_file()), None)


def _read_table(path):
    rows = []
    table = raw.csv_table(path, ["emotion", "pixels", "Usage"])
    for number, cells in enumerate(table):
        face = parse_row(cells["emotion"], cells["pixels"], cells["Usage"])
        # FER+ names the same faces like this.
        name = f"fer{number:07}.png"
        rows.append({**face, "name": name, "crop": f"{face['split']}/{name}"})
    return rows


def parse_row(emotion, pixels, usage):
    """Read one row of the table.

    Args:
        emotion: one of LABELS, "0" to "6" in the published tables.
        pixels: 48 * 48 numbers in 0..255, separated by blanks.
        usage: one of USAGES, in any case.

    Returns:
        dict: source (uint8 [48, 48] or None), emotion (class index or -1),
        split ("" where unknown) and reason ("": none of the three is missing).
    """
    image = parse_pixels(pixels)
    label = LABELS.get(emotion.strip().lower(), -1)
    split = SPLIT_OF.get(usage.strip().lower(), "")
    reason = ""
    if image is None:
        reason = MALFORMED
    elif label < 0:
        reason = UNKNOWN_LABEL
    elif not split:
        reason = UNKNOWN_USAGE
    return {"source": image, "emotion": label, "split": split, "reason": reason}


def parse_pixels(text):
    """uint8 [48, 48] from its numbers, or None where they are not an image."""
    # Checked and read as a whole: number by number takes a minute for the set.
    if not re.fullmatch(r"[\d\s]+", text, re.ASCII):
        return None
    values = np.fromstring(text, np.int64, sep=" ")
    if len(values) != SIDE * SIDE or values.max() > 255:
        return None
    return values.astype(np.uint8).reshape(SIDE, SIDE)


def _read_folders(args):
    rows, source = [], args.source
    for path in raw.images(source, args.data_dir):
        face = parse_path(path.relative_to(source))
        rows.append({**face, "source": path})
    if all(row["reason"] for row in rows):
        raise UserError(
            f"{source} needs {' or '.join(TABLES)}, or images in class folders "
            f"as in {next(iter(USAGES))}/angry/ (found: {raw.found(source)}); "
            "see --help"
        )
    _require_classes(source, [row for row in rows if row["split"] == "train"])
    return rows


def _require_classes(source, rows):
    """Refuse folders of unknown classes where known classes are empty."""
    there = {row["emotion"] for row in rows}
    names = [row["source"].parent.name for row in rows if row["emotion"] < 0]
    odd = {name for name in names if name.lower() not in SPLITS}
    missing = [name for k, name in enumerate(EMOTION_7) if k not in there]
    if odd and missing:
        raise UserError(
            f"{source} has no training image of {', '.join(missing)} but some "
            f"in folders {', '.join(sorted(odd))}, which are not "
            "classes; rename or remove these, see --help"
        )


def parse_path(path):
    """Read the label of an image off its place.

    Args:
        path: PurePath of the image, relative to the source folder.

    Returns:
        dict: name, crop, emotion (class index or -1), split ("" where unknown)
        and reason ("": neither is missing).
    """
    label = path.parent.name.lower()
    words = [*path.parent.parts, path.name.split("_")[0]]
    known = [word.lower() for word in words if word.lower() in SPLITS]
    emotion = LABELS.get(label, -1)
    split = SPLITS[known[-1]] if known else ""
    reason = ""
    if emotion < 0:
        reason = UNKNOWN_LABEL
    elif not split:
        reason = UNKNOWN_USAGE
    return {
        "name": path.as_posix(),
        "crop": f"{split}/{EMOTION_7[emotion]}/{path.stem}.png",
        "emotion": emotion,
        "split": split,
        "reason": reason,
    }

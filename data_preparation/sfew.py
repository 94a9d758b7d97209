"""SFEW 2.0: frames of films, cut to aligned faces, with one of seven emotions.

Source folder, as the published archives unpack, in whatever order of folders:

    .../Train_Aligned_Faces/Angry/Airheads_000519240_00000005.png ...
    .../Val_Aligned_Faces/Angry/...

with the class folders Angry, Disgust, Fear, Happy, Neutral, Sad and Surprise.
The second may be called Val_Aligned_Faces_new. Whole frames, landmarks and the
test images, whose labels are not published, are not needed.

As is usual in publications, Train trains and Val tests. A tenth of Train is
drawn for validation, with the same mix of emotions; the faces of one film stay
together. A file is named after its film, FILM_NUMBER_NUMBER.png. Others are
taken too, each as of a film of its own.
"""

import re

import pandas as pd

from data_preparation import common, raw
from samtl.common.errors import UserError
from samtl.common.text import counted
from samtl.data.tasks import EMOTION_7, Task

EMOTION = Task("emotion", EMOTION_7)
DATASET = common.Dataset(
    name="sfew",
    title="7 emotions, 1,394 labelled faces from films",
    url="https://cs.anu.edu.au/few/AFEW.html (by agreement with the authors)",
    tasks=(EMOTION,),
    citation=(
        "Dhall, Goecke, Lucey, Gedeon: Static Facial Expression Analysis in "
        "Tough Conditions: Data, Evaluation Protocol and Benchmark, ICCV "
        "Workshops 2011; Dhall, Ramana Murthy, Goecke, Joshi, Gedeon: Video "
        "and Image based Emotion Recognition Challenges in the Wild: EmotiW "
        "2015, ICMI 2015"
    ),
    terms="for academic research, under the authors' licence agreement",
)
FACES = re.compile(r"(train|val)_aligned_faces", re.IGNORECASE)
SPLITS = {"train": "train", "val": "test"}
FILM = re.compile(r"(.+)_\d+_\d+")
UNKNOWN_LABEL = "unknown label"


def add_arguments(parser):
    """Declare the flags; the margin is that of a box that is detected."""
    common.add_arguments(parser, margin=0.0)


def prepare(args):
    """Write db/sfew.csv, its JSON and its crops."""
    layout = "Train_Aligned_Faces, Val_Aligned_Faces"
    common.build(DATASET, read(args), args, layout=layout)


def read(args):
    """Find the aligned faces.

    Returns:
        DataFrame as described in `common`.

    Raises:
        UserError: one of the two parts has no face in a class folder.
    """
    rows = []
    for path in raw.images(args.source, args.data_dir):
        face = parse_path(path.relative_to(args.source))
        # The other images are whole frames, or faces without a label.
        if face["split"]:
            rows.append({**face, "source": path})
    good = {row["split"] for row in rows if not row["reason"]}
    if good != set(SPLITS.values()):
        raise UserError(
            f"{args.source} needs folders Train_Aligned_Faces and "
            "Val_Aligned_Faces with images in class folders as in Angry/ "
            f"(found: {raw.found(args.source)}); unpack both archives, see "
            "--help"
        )
    faces = pd.DataFrame(rows)
    faces["box"] = None
    is_alone = (faces["group"] == faces["name"]) & (faces["reason"] == "")
    if is_alone.any():
        common.say(
            f"{counted(is_alone.sum(), 'face')} of an unknown film, such as "
            f"{faces['name'][is_alone].iloc[0]}: one film may be in training "
            "and validation"
        )
    return faces


def parse_path(path):
    """Read label and film of a face off its place.

    Args:
        path: PurePath of the image, relative to the source folder.

    Returns:
        dict: name, crop, emotion (class index or -1), split ("": no aligned
        face), group (the film, or the name) and reason.
    """
    label = path.parent.name.lower()
    parts = [FACES.match(part) for part in path.parent.parts]
    parts = [SPLITS[part[1].lower()] for part in parts if part]
    film = FILM.fullmatch(path.stem)
    split = parts[-1] if parts else ""
    return {
        "name": path.as_posix(),
        "crop": f"{split}/{label}/{path.stem}.jpg",
        "emotion": EMOTION_7.index(label) if label in EMOTION_7 else -1,
        "split": split,
        "group": film[1] if film else path.as_posix(),
        "reason": "" if label in EMOTION_7 else UNKNOWN_LABEL,
    }

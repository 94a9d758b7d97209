"""FER+: 48 x 48 gray faces of FER2013, each judged by ten annotators.

Source folder, either what the FER+ generator writes:

    FER2013Train/label.csv    name, box, ten votes; one line a face
    FER2013Train/fer0000000.png ...
    FER2013Valid/  FER2013Test/    the same

or the two published tables:

    fer2013.csv       emotion,pixels,Usage          (FER2013, Kaggle)
    fer2013new.csv    Usage,Image name,ten votes    (FER+, GitHub)

A face is kept when more than half of its ten votes agree on one of the eight
emotions. All votes for emotions stay as shares, to train on.
"""

import re

import numpy as np
import pandas as pd

from data_preparation import common, fer2013, raw
from data_preparation.fer2013 import (
    SIDE,
    SPLIT_OF,
    USAGES,
    parse_pixels,
)
from samtl.common.errors import UserError
from samtl.common.text import counted
from samtl.data import tables
from samtl.data.tasks import EMOTION_8, Task

EMOTION = Task("emotion", EMOTION_8)
DATASET = common.Dataset(
    name="ferplus",
    title="8 emotions with vote shares, 35,887 gray faces of 48 x 48 pixels",
    url="https://github.com/microsoft/FERPlus (votes) and Kaggle (fer2013.csv)",
    tasks=(EMOTION,),
    citation=(
        "Barsoum, Zhang, Canton Ferrer, Zhang: Training Deep Networks for "
        "Facial Expression Recognition with Crowd-Sourced Label Distribution, "
        "ICMI 2016; images: Goodfellow et al.: Challenges in Representation "
        "Learning, ICONIP 2013"
    ),
    terms="votes: MIT licence; images: FER2013 challenge, for research",
    is_gray=True,
)
# Order of the published vote columns, in the words of samtl.data.tasks.
VOTED = (
    "neutral",
    "happy",
    "surprise",
    "sad",
    "angry",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "not a face",
)
FOLDERS = {
    "FER2013Train": "train",
    "FER2013Valid": "validation",
    "FER2013Test": "test",
}
# Headings of fer2013new.csv, in the order of VOTED.
JUDGED = (
    "Image name",
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
VOTES = "fer2013new.csv"
TABLES = (" or ".join(fer2013.TABLES), VOTES)
FOLDER_LAYOUT = f"{', '.join(FOLDERS)} with label.csv"
TABLE_LAYOUT = " with ".join(TABLES)
MALFORMED = "malformed row"


def add_arguments(parser):
    """Declare the flags of this dataset."""
    common.add_arguments(parser)


def prepare(args):
    """Write db/ferplus.csv, its JSON and its crops."""
    faces = read(args)
    common.build(
        DATASET,
        faces,
        args,
        layout=find_layout(args.source),
        columns=tables.share_columns(EMOTION),
    )


def judge(votes):
    """Turn ten votes into a label, or into the reason why there is none.

    Args:
        votes: int [N, 10], in the order of VOTED.

    Returns:
        labels: int64 [N], index into EMOTION_8; meaningless with a reason.
        reasons: str [N]: empty, "not a face", "unknown" or "no majority".
        shares: float64 [N, 8], votes for emotions alone; rows sum to 1, or
            to 0 where nobody saw an emotion.
    """
    votes = np.asarray(votes).reshape(-1, len(VOTED))
    order = [VOTED.index(label) for label in EMOTION_8]
    is_majority = 2 * votes > votes.sum(axis=1, keepdims=True)
    reasons = np.full(len(votes), "no majority", dtype=object)
    reasons[is_majority[:, order].any(axis=1)] = ""
    for reason in ("unknown", "not a face"):
        reasons[is_majority[:, VOTED.index(reason)]] = reason
    emotions = votes[:, order]
    total = emotions.sum(axis=1, keepdims=True)
    shares = np.round(emotions / np.maximum(total, 1), 6)
    return emotions.argmax(axis=1), reasons, shares


def read(args):
    """Read either layout.

    Returns:
        DataFrame as described in `common`, with the shares of the votes.

    Raises:
        UserError: neither layout is complete, or the tables do not match.
    """
    is_folders = find_layout(args.source) == FOLDER_LAYOUT
    rows = (_read_folders if is_folders else _read_tables)(args.source)
    columns = [*parse_row([]), "source", "split"]
    faces = pd.DataFrame(rows, columns=columns)
    votes = np.array(faces.pop("votes").tolist()).reshape(-1, len(VOTED))
    labels, reasons, shares = judge(votes)
    faces[tables.share_columns(EMOTION)] = shares
    faces["reason"] = faces["reason"].where(faces["reason"] != "", reasons)
    faces[EMOTION.name] = np.where(faces["reason"] == "", labels, -1)
    faces["crop"] = faces["split"] + "/" + faces["name"]
    faces["group"] = faces["crop"]
    return faces


def find_layout(source):
    """Which layout is complete, FOLDER_LAYOUT or TABLE_LAYOUT.

    Raises:
        UserError: neither is; the message lists the files that exist.
    """
    found = [name for name in FOLDERS if (source / name / "label.csv").exists()]
    if len(found) == len(FOLDERS):
        return FOLDER_LAYOUT
    pixels, votes = fer2013.find_table(source), source / VOTES
    if pixels and votes.exists():
        return TABLE_LAYOUT
    found += [path.name for path in (pixels, votes) if path and path.exists()]
    raise UserError(
        f"{source} needs label.csv in each of {', '.join(FOLDERS)}, or both "
        f"{' and '.join(TABLES)} (found: {', '.join(found) or 'none'}); "
        "see --help"
    )


def _read_folders(source):
    rows = []
    for name, split in FOLDERS.items():
        for row in raw.csv_rows(source / name / "label.csv"):
            face = parse_row(row)
            path = source / name / face["name"]
            rows.append({**face, "split": split, "source": path})
    return rows


def parse_row(row):
    """Read one line of a label.csv.

    Args:
        row: list of str: file name, box "(left, top, right, bottom)" and ten
            votes.

    Returns:
        dict: name, box (four int), votes (ten int) and reason (empty, or
        "malformed row" with the row as name and nothing else of use).
    """
    bad = {
        "name": ",".join(row)[:80],
        "box": None,
        "votes": [0] * 10,
        "reason": MALFORMED,
    }
    if len(row) != 2 + len(VOTED):
        return bad
    name = row[0].strip()
    numbers = re.fullmatch(
        r"\((\d{1,6}), *(\d{1,6}), *(\d{1,6}), *(\d{1,6})\)", row[1].strip()
    )
    votes = _counts(row[2:])
    if not (numbers and votes and _is_file_name(name)):
        return bad
    box = tuple(map(int, numbers.groups()))
    return {"name": name, "box": box, "votes": votes, "reason": ""}


def _read_tables(source):
    pixels_path, votes_path = fer2013.find_table(source), source / VOTES
    pixels = raw.csv_table(pixels_path, ["pixels", "Usage"])
    votes = raw.csv_table(votes_path, ["Usage", *JUDGED])
    if len(pixels) != len(votes):
        raise UserError(
            f"{pixels_path} has {counted(len(pixels), 'row')} but "
            f"{votes_path} has {len(votes)}; get both files whole"
        )
    rows = []
    pairs = zip(pixels, votes, strict=True)
    for line, (image, judged) in enumerate(pairs, start=2):
        usage = image["Usage"].strip().lower()
        if usage != judged["Usage"].strip().lower() or usage not in SPLIT_OF:
            raise UserError(
                f"row {line}: Usage is {image['Usage']!r} in {pixels_path} and "
                f"{judged['Usage']!r} in {votes_path}; it must be the same "
                f"one of {', '.join(USAGES)}"
            )
        face = parse_pair(image["pixels"], [judged[name] for name in JUDGED])
        face["name"] = face["name"] or f"{votes_path.name}, row {line}"
        rows.append({**face, "split": SPLIT_OF[usage]})
    return rows


def parse_pair(pixels, judged):
    """Read a face from a row of fer2013.csv and its row of fer2013new.csv.

    Args:
        pixels: 48 * 48 numbers in 0..255, separated by blanks.
        judged: list of str: image name and ten votes. FER+ leaves the name
            empty where the image is not a face.

    Returns:
        dict: source (uint8 [48, 48]), name, box, votes and reason.
    """
    box = (0, 0, SIDE, SIDE)
    face = {"source": None, "name": "", "box": box, "votes": [0] * 10}
    name, votes = judged[0].strip(), _counts(judged[1:])
    if len(judged) != 1 + len(VOTED) or not votes:
        return {**face, "reason": MALFORMED}
    if not name:
        return {**face, "votes": votes, "reason": "not a face"}
    image = parse_pixels(pixels)
    if image is None or not _is_file_name(name):
        return {**face, "reason": MALFORMED}
    return {**face, "source": image, "name": name, "votes": votes, "reason": ""}


def _counts(words):
    """Whole numbers of at least 0, or an empty list where one is not."""
    words = [word.strip() for word in words]
    is_good = all(re.fullmatch(r"\d{1,9}", word, re.ASCII) for word in words)
    return [int(word) for word in words] if is_good else []


def _is_file_name(name):
    return re.fullmatch(r"\w[\w.-]*\.png", name, re.ASCII) is not None

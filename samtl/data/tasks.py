"""Classification tasks: a name and the names of the classes.

Any name will do; the tasks of the field have theirs, and an order, here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

EMOTION_7 = (
    "angry",
    "disgust",
    "fear",
    "happy",
    "sad",
    "surprise",
    "neutral",
)
EMOTION_8 = (*EMOTION_7, "contempt")
POSE = ("left profile", "left", "frontal", "right", "right profile")
GENDER = ("female", "male")
AGE = (
    "0-2",
    "4-6",
    "8-13",
    "15-20",
    "25-32",
    "38-43",
    "48-53",
    "60+",
)
SMILE = ("not smiling", "smiling")
GLASSES = ("no glasses", "glasses")
# UTKFace's groups, in the order of its codes.
ETHNICITY = ("white", "black", "asian", "indian", "others")
# left_profile, Left, profileLeft, but not bright.
SIDE = re.compile(r"(?<![A-Za-z])(?:left|right|LEFT|RIGHT)|Left|Right")
OTHER = {"left": "right", "LEFT": "RIGHT", "Left": "Right"}
OTHER |= {other: side for side, other in OTHER.items()}


ORDER = ("emotion", "pose", "gender", "age")
NAME = re.compile(r"[a-z][a-z0-9_]*")
# Names of other columns: of tables, and of tables of predictions.
TAKEN = ("path", "split", "subject", "dataset", "label", "prediction")


@dataclass(frozen=True)
class Task:
    """A classification task.

    name: matches NAME and is not TAKEN.
    classes: their names, in the order of class indices.
    can_flip: whether an image that is flipped horizontally keeps its label,
        or has the class of the other side (see `mirrored`).
    """

    name: str
    classes: tuple[str, ...]
    can_flip: bool = True

    def __len__(self):
        return len(self.classes)


def ordered(names: Iterable[str]) -> list[str]:
    """Names of tasks in canonical order: those of ORDER, then the others."""
    names = list(names)
    others = [name for name in names if name not in ORDER]
    return [name for name in ORDER if name in names] + others


def mirrored(classes: tuple[str, ...]) -> list[int]:
    """Indices of the classes seen in a mirror: left and right swap.

    `target[..., mirrored(classes)]` is the target of the flipped image. The
    sides are told by words that begin with left or right.

    Raises:
        ValueError: a class has a side, and there is none of the other side.
    """
    seen = [SIDE.sub(lambda side: OTHER[side[0]], name) for name in classes]
    for name, other in zip(classes, seen, strict=True):
        if other not in classes:
            raise ValueError(f"a class {name!r} but no {other!r}")
    return [list(classes).index(other) for other in seen]

"""The tasks of the field: a name and the names of its classes."""

import re
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
# left_profile, Left, profileLeft, but not bright.
SIDE = re.compile(r"(?<![A-Za-z])(?:left|right|LEFT|RIGHT)|Left|Right")
OTHER = {"left": "right", "LEFT": "RIGHT", "Left": "Right"}
OTHER |= {other: side for side, other in OTHER.items()}


@dataclass(frozen=True)
class Task:
    """A classification task: its name and its classes in index order."""

    name: str
    classes: tuple[str, ...]

    def __len__(self):
        return len(self.classes)


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

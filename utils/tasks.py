"""The tasks of the field: a name and the names of its classes."""

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


@dataclass(frozen=True)
class Task:
    """A classification task: its name and its classes in index order."""

    name: str
    classes: tuple[str, ...]

    def __len__(self):
        return len(self.classes)


def mirrored(classes):
    """Indices of the classes seen in a mirror: left and right swap.

    `target[..., mirrored(classes)]` is the target of the flipped image.
    """
    swap = {"left": "right", "right": "left"}
    names = [
        " ".join(swap.get(word, word) for word in name.split())
        for name in classes
    ]
    return [list(classes).index(name) for name in names]

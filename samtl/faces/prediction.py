"""A face with its predicted class probabilities."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from samtl.faces.face import Face

# Yaw of the pose classes in degrees: the centres of their bins.
YAW = {
    "left profile": -67.5,
    "left": -30.0,
    "frontal": 0.0,
    "right": 30.0,
    "right profile": 67.5,
}


@dataclass(frozen=True)
class Prediction:
    """A face and the class probabilities of every task.

    Attributes:
        face: Face.
        labels: {task: {class name: probability in 0..1}}, classes in the
            order of the network's outputs.
        number: of the face in its image, or of its track in a video, from 1.
        age_years: expected age; None if the network predicts none.
    """

    face: Face
    labels: dict[str, dict[str, float]]
    number: int
    age_years: float | None = None

    def best(self, task: str) -> tuple[str, float]:
        """(most probable class of a task, its probability)."""
        return max(self.labels[task].items(), key=lambda item: item[1])

    @property
    def yaw(self) -> float | None:
        """Expected yaw in degrees, see `yaw`; None without known poses."""
        return yaw(self.labels["pose"]) if has_yaw(self.labels) else None

    def text(self) -> str:
        """The best class of every task, as in "happy 93%, frontal 88%"."""
        best = [self.best(task) for task in self.labels]
        return ", ".join(f"{name} {percent(share)}" for name, share in best)


def has_yaw(tasks: dict[str, Collection[str]]) -> bool:
    """Whether {task: class names} has poses of known yaw."""
    return "pose" in tasks and set(tasks["pose"]) <= YAW.keys()


def yaw(poses: dict[str, float]) -> float:
    """Expected yaw in degrees, positive towards the right edge of the image.

    Classes on the other side than the most probable one do not count: between
    two profiles, the mean is a frontal pose, which is neither.

    Args:
        poses: {class of YAW: probability in 0..1}.
    """
    side = YAW[max(poses, key=poses.get)]
    shares = {n: share for n, share in poses.items() if YAW[n] * side >= 0}
    total = sum(YAW[name] * share for name, share in shares.items())
    return total / sum(shares.values())


def percent(share: float) -> str:
    """A probability in 0..1 as text, rounded down: 49.6 % is less than 50 %."""
    return f"{math.floor(100 * share + 1e-9)}%"

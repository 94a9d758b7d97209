"""A face with its predicted class probabilities."""

import math
from dataclasses import dataclass

from samtl.faces.face import Face


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

    def text(self) -> str:
        """The best class of every task, as in "happy 93%, frontal 88%"."""
        best = [self.best(task) for task in self.labels]
        return ", ".join(f"{name} {percent(share)}" for name, share in best)


def percent(share: float) -> str:
    """A probability in 0..1 as text, rounded down: 49.6 % is less than 50 %."""
    return f"{math.floor(100 * share + 1e-9)}%"

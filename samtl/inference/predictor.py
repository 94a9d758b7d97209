"""Calibrated class probabilities of faces from a loaded network."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from samtl.faces.face import Face
from samtl.faces.prediction import Prediction
from samtl.inference import ages, cropping

LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class Predictor:
    """A network with the description of its input and outputs.

    Attributes:
        name: of its file.
        tasks: {task: class names in output order}.
        shape: (height, width, channels) of its input.
        margin: of the crops, see `cropping.window`.
        temperatures: {task: T > 0}, see `temperature_scaling`.
        mirrors: {task: class indices after a horizontal flip, or None where
            a flip breaks the label}.
        run: float32 [B, H, W, C] in 0..255 -> {task: float32 [B, C_t]},
            softmax probabilities.
        ages: representative ages of the classes of the task age, in years;
            empty without that task, or where its classes are not age groups.
    """

    name: str
    tasks: dict[str, tuple[str, ...]]
    shape: tuple[int, int, int]
    margin: float
    temperatures: dict[str, float]
    mirrors: dict[str, list[int] | None]
    run: Callable[[np.ndarray], dict[str, np.ndarray]]
    ages: tuple[float, ...] = ()

    def crop(self, image: np.ndarray, face: Face) -> np.ndarray:
        """The network's input for a face.

        Args:
            image: uint8 [H, W, 3], RGB.
            face: Face.

        Returns:
            uint8 [height, width, channels], of the shape `shape`.
        """
        window = cropping.window(face, self.margin)
        turns = cropping.quarter_turns(face)
        return self.resized(cropping.cut(image, window, turns))

    def resized(self, pixels: np.ndarray) -> np.ndarray:
        """The network's input for a crop.

        Args:
            pixels: uint8 [H, W, 3], RGB.

        Returns:
            uint8 [height, width, channels], of the shape `shape`.
        """
        height, width, channels = self.shape
        if channels == 1:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        shrinks = pixels.shape[0] > height
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        pixels = cv2.resize(
            pixels, (width, height), interpolation=interpolation
        )
        return pixels.reshape(self.shape)

    def probabilities(self, crops: list[np.ndarray]) -> dict[str, np.ndarray]:
        """Calibrated probabilities, with test-time augmentation.

        p = softmax((log p_1 + log p_2) / (2 T)), where p_1 are the network's
        probabilities for a crop and p_2 those for its mirror image, with the
        classes of left and right swapped.

        Args:
            crops: list of B crops, see `crop`.

        Returns:
            {task: float64 [B, C_t]}, rows sum to 1.
        """
        if not crops:
            return {
                task: np.empty((0, len(classes)))
                for task, classes in self.tasks.items()
            }
        images = np.stack(crops).astype(np.float32)
        outputs = self.run(np.concatenate([images, images[:, :, ::-1]]))
        found = {}
        for task, mirror in self.mirrors.items():
            plain, flipped = np.split(outputs[task].astype(float), 2)
            both = plain
            if mirror is not None:
                both = np.sqrt(plain * flipped[:, mirror])
            found[task] = temperature_scaling(both, self.temperatures[task])
        return found

    def named(
        self, probabilities: dict[str, np.ndarray]
    ) -> dict[str, dict[str, float]]:
        """Probabilities of one face, {task: float [C_t]}, by class name.

        Returns:
            {task: {class name: probability}}, as in `Prediction.labels`.
        """
        return {
            task: dict(zip(classes, probabilities[task].tolist(), strict=True))
            for task, classes in self.tasks.items()
        }

    def prediction(
        self, face: Face, probabilities: dict[str, np.ndarray], number: int
    ) -> Prediction:
        """Prediction for one face, from its {task: float [C_t]}."""
        labels = self.named(probabilities)
        return Prediction(face, labels, number, self.age_years(probabilities))

    def age_years(self, probabilities: dict[str, np.ndarray]) -> float | None:
        """Expected age of one face, in years; None if `ages` is empty.

        Args:
            probabilities: {task: float [C_t]}.
        """
        if not self.ages:
            return None
        return ages.expected(probabilities["age"], self.ages)


def temperature_scaling(
    probabilities: np.ndarray, temperature: float
) -> np.ndarray:
    """Probabilities at a temperature: softmax(log p / T).

    Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks",
    ICML 2017, section 4.2. T > 1 lowers the confidence of an overconfident
    network. The order of the classes stays the same.

    Args:
        probabilities: float [B, C], >= 0; rows need not sum to 1.
        temperature: T > 0.

    Returns:
        float64 [B, C], rows sum to 1.
    """
    logits = np.log(np.maximum(probabilities, LEAST_PROBABILITY), dtype=float)
    powers = np.exp((logits - logits.max(-1, keepdims=True)) / temperature)
    return powers / powers.sum(-1, keepdims=True)

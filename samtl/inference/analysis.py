"""Faces of an image with their labels, for programs."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from samtl.faces import detect, inputs
from samtl.faces.media import output
from samtl.inference import loading

if TYPE_CHECKING:  # dicts need no pandas
    import pandas as pd

UNSURE = 0.5  # least probability of a label that is not marked as unsure


def analyze(
    image: str | Path | np.ndarray,
    weights: str | Path | None = None,
    as_frame: bool = False,
) -> "list[dict] | pd.DataFrame":
    """Emotion, head pose, gender and age of the faces in an image.

    The result is that of the image demo.

    Args:
        image: file, see `inputs.read`, or uint8 [H, W, 3], RGB.
        weights: .onnx file of a run or release; None: the shipped network.
        as_frame: return a DataFrame (needs pandas) instead of dicts.

    Returns:
        list of a dict a face, see `output.record`, the most certain face first;
        empty without a face. Or a DataFrame with a row a face and the columns
        of `output.columns`.

    Raises:
        UserError: a file cannot be read.
        ValueError: the array is not uint8 [H, W, 3].
    """
    pixels = _pixels(image)
    detector, predictor = _loaded(None if weights is None else Path(weights))
    faces = detector(pixels)
    crops = [predictor.crop(pixels, face) for face in faces]
    probabilities = predictor.probabilities(crops)
    found = []
    for index, face in enumerate(faces):
        of_face = {task: rows[index] for task, rows in probabilities.items()}
        prediction = predictor.prediction(face, of_face, index + 1)
        found.append(output.record(prediction, UNSURE))
    if not as_frame:
        return found
    import pandas as pd

    columns = output.columns(predictor.tasks, bool(predictor.ages))
    return pd.DataFrame(map(output.row, found), columns=columns)


def _pixels(image):
    if isinstance(image, (str, Path)):
        return inputs.read(image).pixels
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"the image is {image.dtype} {list(image.shape)}; give uint8 "
            "[height, width, 3], RGB, or a file"
        )
    return image


@functools.lru_cache(maxsize=4)
def _loaded(weights):
    """(detector, predictor), kept for the next image."""
    detector = detect.open(megapixels=detect.MEGAPIXELS)
    return detector, loading.load(weights)

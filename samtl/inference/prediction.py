"""What a trained network says about faces, through OpenCV.

The weights that ship with the repository are three files in weights/:

    four_tasks.onnx   float32 [batch, height, width, channels] pixels in 0..255
                      -> one output a task, under its name: softmax
                      probabilities float32 [batch, classes]; the
                      normalisation of the pixels is inside
    four_tasks.keras  the same network as it was trained
    four_tasks.json   how to use them:
        tasks         {task: [class names in output order]}
        input         {"shape": ["batch", height, width, channels]}; one
                      channel is gray, three are RGB
        margin        around the square of the landmarks, as a share of its
                      side, see `window`; left out: 0.7, as in training
        temperatures  {task: T > 0}, see `tempered`; left out: 1
        sha256        {file name: hex digest}, checked before loading; left
                      out: not checked

Any best.onnx or best.keras that a training run leaves is read the same way:
the JSON is the one of the same name beside it, or else labels.json.
"""

import contextlib
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from samtl.common import files, flags, isolation
from samtl.common.errors import UserError, reason
from samtl.data.tasks import mirrored
from samtl.faces.detect import Face

WEIGHTS = Path(__file__).resolve().parents[2] / "weights" / "four_tasks.onnx"
MARGIN = 0.7
# The square of the landmarks where a detector gives only a box: its side and
# how far it lies below the box's middle, as shares of the box's height.
# Medians over 243 faces of MTFL against YuNet's boxes.
SIDE, BELOW = 0.40, 0.06
LEAST_PROBABILITY = 1e-12
LARGEST = 4096  # pixels of an input's side
PATIENCE = 60  # seconds that loading a network may take


@dataclass(frozen=True)
class Prediction:
    """A face and what the network says about it.

    Attributes:
        face: Face.
        labels: {task: {class name: probability}}, classes in output order.
        number: of the face in its picture, or of its track in a video, from 1.
    """

    face: Face
    labels: dict[str, dict[str, float]]
    number: int

    def best(self, task):
        """(the most probable class of a task, its probability)."""
        return max(self.labels[task].items(), key=lambda item: item[1])

    def text(self):
        """All tasks in one line, as in "happy 93%, frontal 88%"."""
        best = [self.best(task) for task in self.labels]
        return ", ".join(f"{name} {percent(share)}" for name, share in best)


@dataclass(frozen=True)
class Predictor:
    """A network with all that is needed to feed and to read it.

    Attributes:
        name: of its file.
        tasks: {task: class names}.
        shape: (height, width, channels) of its input.
        margin: see `window`.
        temperatures: {task: T}.
        mirrors: {task: class indices seen in a mirror}.
        run: float32 [B, H, W, C] in 0..255 -> {task: float32 [B, C_t]}.
    """

    name: str
    tasks: dict[str, tuple[str, ...]]
    shape: tuple[int, int, int]
    margin: float
    temperatures: dict[str, float]
    mirrors: dict[str, list[int]]
    run: Callable

    def crop(self, image, face):
        """What the network sees of a face.

        Args:
            image: uint8 [H, W, 3], RGB.
            face: Face.

        Returns:
            uint8 [height, width, channels] of its input.
        """
        height, width, channels = self.shape
        pixels = cut(image, window(face, self.margin), quarter_turns(face))
        if channels == 1:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        shrinks = pixels.shape[0] > height
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        pixels = cv2.resize(
            pixels, (width, height), interpolation=interpolation
        )
        return pixels.reshape(self.shape)

    def probabilities(self, crops):
        """Calibrated probabilities of faces, seen as they are and mirrored.

        The logits of both are averaged: a face and its mirror image have the
        same labels, but for left and right, and two looks err less than one.

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
            both = np.sqrt(plain * flipped[:, mirror])
            found[task] = tempered(both, self.temperatures[task])
        return found

    def named(self, probabilities):
        """{task: float [C_t]} as in `Prediction.labels`."""
        return {
            task: dict(zip(classes, probabilities[task].tolist(), strict=True))
            for task, classes in self.tasks.items()
        }


def percent(share):
    """A probability as text. Rounded down: 49.6 % is less than 50 %."""
    return f"{math.floor(100 * share + 1e-9)}%"


def add_flag(parser):
    """Declare --weights, the argument of `load`."""
    text = (
        "trained network, .onnx or .keras, with its .json or labels.json "
        "beside it, such as a run's best.onnx (left out: weights/"
        "four_tasks.onnx)"
    )
    flags.add_flag(parser, "weights", Path, None, text)


def load(path=None):
    """Load a network.

    Args:
        path: .onnx or .keras file; None: the one that ships with the
            repository. Keras is imported for a .keras file only.

    Returns:
        Predictor.

    Raises:
        UserError: a file is missing, is not what its SHA-256 says, or does
            not hold such a network.
    """
    path = Path(path or WEIGHTS)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read the weights {path}: {error.strerror}; get the "
            "repository's weights/ folder again, or give another network as "
            "--weights FILE"
        ) from error
    description, source = _describe(path)
    expected = description["sha256"].get(path.name)
    if expected not in (None, hashlib.sha256(data).hexdigest()):
        raise UserError(
            f"{path} has another SHA-256 than {source} says: it is damaged or "
            "was replaced; get both files again"
        )
    tasks, shape = description["tasks"], description["shape"]
    load_network = _load_keras if path.suffix == ".keras" else _load_onnx
    if expected is None and load_network is _load_onnx:
        _probe(path, shape, list(tasks))
    run = load_network(path, list(tasks))
    predictor = Predictor(
        path.name,
        tasks,
        shape,
        description["margin"],
        description["temperatures"],
        description["mirrors"],
        run,
    )
    _try(predictor, path, source)
    return predictor


def window(face, margin):
    """The square that is cut out for the network, as in data preparation.

    Its side is the larger extent of the landmarks, grown by `margin` of it on
    each side, around their middle.

    Args:
        face: Face; one without landmarks is framed by its box.
        margin: share of the square's side, >= 0.

    Returns:
        (left, top, right, bottom) in whole pixels, right and bottom exclusive;
        may reach beyond the image.
    """
    if face.landmarks is None:
        left, top, right, bottom = face.box
        side = SIDE * (bottom - top)
        x, y = (left + right) / 2, (top + bottom) / 2 + BELOW * (bottom - top)
    else:
        low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
        side = float((high - low).max())
        x, y = ((low + high) / 2).tolist()
    size = max(1, round(side * (1 + 2 * margin)))
    left, top = round(x - size / 2), round(y - size / 2)
    return left, top, left + size, top + size


def quarter_turns(face):
    """Quarter turns to the left that set a face upright, 0..3.

    Networks are trained on upright faces; what leans less than 45 degrees is
    left as it is, as in their training.
    """
    if face.landmarks is None:
        return 0
    down = face.landmarks[3:].mean(axis=0) - face.landmarks[:2].mean(axis=0)
    # Down is 90 degrees, x to the right and y down.
    angle = np.degrees(np.arctan2(down[1], down[0])) - 90
    return round(angle / 90) % 4


def cut(image, box, turns=0):
    """Cut a box out of an image, whose edge pixels repeat outside.

    Args:
        image: uint8 [H, W, C].
        box: (left, top, right, bottom) in pixels, see `window`.
        turns: quarter turns to the left that the cut is given.

    Returns:
        uint8 [bottom - top, right - left, C], sides exchanged for odd turns.
    """
    left, top, right, bottom = box
    height, width = image.shape[:2]
    # A box beside the image shows the pixels of its nearest edge.
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    columns = np.clip(np.arange(left, right), 0, width - 1)
    inside = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if inside.shape[:2] != (bottom - top, right - left):
        inside = inside[rows - rows[0]][:, columns - columns[0]]
    return np.ascontiguousarray(np.rot90(inside, turns))


def tempered(probabilities, temperature):
    """Probabilities at another temperature: softmax(log p / T).

    Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks",
    ICML 2017, section 4.2: T > 1 makes an overconfident network modest and
    changes no ranking.

    Args:
        probabilities: float [B, C], rows sum to 1.
        temperature: T > 0.

    Returns:
        float64 [B, C].
    """
    logits = np.log(np.maximum(probabilities, LEAST_PROBABILITY), dtype=float)
    powers = np.exp((logits - logits.max(-1, keepdims=True)) / temperature)
    return powers / powers.sum(-1, keepdims=True)


def _describe(path):
    """(what the JSON beside the weights says, its path)."""
    beside = path.with_suffix(".json")
    source = beside if beside.is_file() else path.with_name("labels.json")
    try:
        content = files.read_json(source)
        tasks = {
            task: tuple(map(str, classes))
            for task, classes in content["tasks"].items()
        }
        height, width, channels = map(int, content["input"]["shape"][1:])
        given = content.get("temperatures", {})
        temperatures = {task: float(given.get(task, 1)) for task in tasks}
        mirrors = {name: mirrored(classes) for name, classes in tasks.items()}
        margin = float(content.get("margin", MARGIN))
        sha256 = dict(content.get("sha256", {}))
        is_good = (
            tasks
            and all(tasks.values())
            and all(len(set(names)) == len(names) for names in tasks.values())
            and 0 < min(height, width) <= max(height, width) <= LARGEST
            and channels in (1, 3)
            and 0 <= margin < 10
            and all(0 < T < np.inf for T in temperatures.values())
        )
        if not is_good:
            raise ValueError("a value is out of its range")
    except OSError as error:
        raise UserError(
            f"cannot read {beside} nor {path.with_name('labels.json')}, which "
            f"says what the outputs of {path.name} mean: {error.strerror}; put "
            "the file beside the weights"
        ) from error
    except (
        ArithmeticError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise UserError(
            f"{source} does not describe a network ({error!r}); get it again "
            "together with its weights"
        ) from error
    return {
        "tasks": tasks,
        "shape": (height, width, channels),
        "temperatures": temperatures,
        "mirrors": mirrors,
        "margin": margin,
        "sha256": sha256,
    }, source


def _probe(path, shape, tasks):
    """Refuse a file that OpenCV crashes on, as on some damaged ones."""
    try:
        isolation.call(_use, path, shape, tasks, seconds=PATIENCE)
    except ChildProcessError as error:
        raise UserError(
            f"{path} is damaged ({error}); get it again, or give another "
            "network as --weights"
        ) from error


def _use(path, shape, tasks):
    # What does not crash is reported by who loads the network.
    with contextlib.suppress(cv2.error, UserError):
        _load_onnx(path, tasks)(np.zeros((1, *shape), np.float32))


def _load_onnx(path, tasks):
    try:
        # By name, OpenCV crashes where the name is no UTF-8.
        data = np.frombuffer(path.read_bytes(), np.uint8)
        network = cv2.dnn.readNetFromONNX(data)
    except cv2.error as error:
        raise UserError(
            f"{path} is not a network that OpenCV {cv2.__version__} reads; "
            "give the best.onnx of a run or a .keras file as --weights"
        ) from error

    def run(images):
        network.setInput(images)
        return dict(zip(tasks, network.forward(tasks), strict=True))

    return run


def _load_keras(path, tasks):
    import keras

    from samtl import networks

    try:
        networks.check_decompressed_size(path)
        # In safe mode, no code that is in the file runs.
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        model = networks.probabilities(model)
    except UserError:
        raise
    # Keras fails on damaged files in every way there is.
    except Exception as error:
        raise UserError(
            f"{path} is not a network that Keras {keras.__version__} reads "
            f"({reason(error)}); give the best.keras of a run as --weights"
        ) from error

    def run(images):
        outputs = model(images, training=False)
        return {
            task: keras.ops.convert_to_numpy(outputs[task]) for task in tasks
        }

    return run


def _try(predictor, path, source):
    """Run the network once: what fits not is found before the first face."""
    try:
        outputs = predictor.run(np.zeros((1, *predictor.shape), np.float32))
        shapes = {task: outputs[task].shape for task in predictor.tasks}
    # Each of OpenCV and Keras's backends has errors of its own.
    except Exception as error:
        raise UserError(
            f"{path} does not have the input and outputs that {source} says; "
            "get both files from the same place"
        ) from error
    for task, classes in predictor.tasks.items():
        if shapes[task] != (1, len(classes)):
            raise UserError(
                f"{source} names {len(classes)} classes of {task}, {path} has "
                f"{shapes[task][-1]}; get both files from the same place"
            )

"""Trained networks from .onnx and .keras files, opened safely.

The repository ships one network as three files in weights/:

    four_tasks.onnx   float32 [batch, height, width, channels] pixels in 0..255
                      -> one output a task, under its name: softmax
                      probabilities float32 [batch, classes]. The
                      normalisation of the pixels is part of the network.
    four_tasks.keras  the same network as it was trained
    four_tasks.json   the description of its input and outputs:
        tasks         {task: [class names in output order]}
        input         {"shape": ["batch", height, width, channels]}; one
                      channel is gray, three are RGB
        margin        of the crops as a share of the landmarks' square, see
                      `cropping.window`; default: 0.7, as in training
        temperatures  {task: T > 0}, see `predictor.temperature_scaling`;
                      default: 1
        age_years     representative ages of the classes of the task age, in
                      years, such as their training images' mean age; default:
                      by the classes' names, see `ages.representative`
        sha256        {file name: hex digest}, checked before loading;
                      default: no check

The best.onnx and best.keras of a training run have the same format. Their
description is the JSON file of the same name, or else labels.json, in the same
folder.
"""

import argparse
import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from samtl.common import files, flags, isolation, onnx_files, quiet, shipped
from samtl.common.errors import UserError, reason
from samtl.common.text import printable
from samtl.data.tasks import mirrored
from samtl.inference import ages
from samtl.inference.predictor import Predictor

WEIGHTS = shipped.WEIGHTS / "four_tasks.onnx"
MARGIN = 0.7
LARGEST = 4096  # pixels of an input's side
PATIENCE = 60  # seconds for loading a network in a child process
OLDEST = 150  # years


def add_flag(parser: argparse.ArgumentParser) -> None:
    """Declare --weights, the argument of `load`."""
    text = (
        "trained network, an .onnx or .keras file such as a run's best.onnx, "
        "with its .json or labels.json in the same folder (left out: weights/"
        "four_tasks.onnx)"
    )
    flags.add_flag(parser, "weights", Path, None, text)


def load(path: Path | None = None) -> Predictor:
    """Load a network.

    Args:
        path: .onnx or .keras file; None: the network that the repository
            ships. Only a .keras file imports Keras.

    Returns:
        Predictor.

    Raises:
        UserError: a file is missing, has another SHA-256 than its
            description, or does not hold such a network.
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
            f"the SHA-256 of {path} differs from that in {source}: it is "
            "damaged or was replaced; get both files again"
        )
    tasks, shape = description["tasks"], description["shape"]
    load_network = _load_keras if path.suffix == ".keras" else _load_onnx
    if expected is None and load_network is _load_onnx:
        _check_in_child(path, shape, list(tasks))
    predictor = Predictor(
        path.name,
        tasks,
        shape,
        description["margin"],
        description["temperatures"],
        description["mirrors"],
        load_network(path, list(tasks)),
        description["ages"],
    )
    _check_outputs(predictor, path, source)
    return predictor


def _describe(path: Path) -> tuple[dict, Path]:
    """(content of the weights' description, its path).

    Raises:
        UserError: there is no description, or a value is out of its range.
    """
    own, of_run = path.with_suffix(".json"), path.with_name("labels.json")
    source = own if own.is_file() else of_run
    try:
        content = files.read_json(source)
        tasks = {
            task: tuple(map(str, classes))
            for task, classes in content["tasks"].items()
        }
        height, width, channels = map(int, content["input"]["shape"][1:])
        given = content.get("temperatures", {})
        temperatures = {task: float(given.get(task, 1)) for task in tasks}
        mirrors = _mirrors(tasks, set(content.get("no_flip", ())))
        margin = float(content.get("margin", MARGIN))
        sha256 = dict(content.get("sha256", {}))
        years = _ages(content, tasks.get("age", ()))
        is_good = (
            _are_names(tasks)
            and 0 < min(height, width) <= max(height, width) <= LARGEST
            and channels in (1, 3)
            and 0 <= margin < 10
            and all(0 < T < np.inf for T in temperatures.values())
        )
        if not is_good:
            raise ValueError("a value is out of its range")
    except OSError as error:
        raise UserError(
            f"cannot read {own} or {of_run}, the description of the outputs "
            f"of {path.name}: {error.strerror}; put the file into the folder "
            "of the weights"
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
        "ages": years,
    }, source


def _are_names(tasks: dict) -> bool:
    """Whether there are tasks, each with different and printable classes."""
    return bool(tasks) and all(
        names
        and len(set(names)) == len(names)
        and all(printable(name) == name for name in (task, *names))
        for task, names in tasks.items()
    )


def _mirrors(tasks: dict, fixed: set[str]) -> dict[str, list[int] | None]:
    """`Predictor.mirrors`; `fixed` names the tasks that a flip breaks."""
    return {
        name: None if name in fixed else mirrored(classes)
        for name, classes in tasks.items()
    }


def _ages(content: dict, classes: tuple[str, ...]) -> tuple[float, ...]:
    """`Predictor.ages` of the classes of age, () if there are none.

    Raises:
        ValueError: the description has not one age from 0 to OLDEST a class.
    """
    if not classes or "age_years" not in content:
        return ages.representative(classes)
    years = tuple(map(float, content["age_years"]))
    is_good = all(0 <= age <= OLDEST for age in years)
    if len(years) != len(classes) or not is_good:
        raise ValueError("age_years is not one age a class")
    return years


def _check_in_child(path: Path, shape: tuple, tasks: list[str]) -> None:
    """Refuse a file on which OpenCV crashes, as it does on damaged ones."""
    try:
        isolation.call(_run_once, path, shape, tasks, seconds=PATIENCE)
    except ChildProcessError as error:
        raise UserError(
            f"{path} is damaged ({error}); get it again, or give another "
            "network as --weights"
        ) from error


def _run_once(path, shape, tasks):
    # Other errors than a crash are reported by the parent, on loading.
    with contextlib.suppress(cv2.error, KeyError, UserError):
        _load_onnx(path, tasks)(np.zeros((1, *shape), np.float32))


def _load_onnx(path: Path, tasks: list[str]) -> Callable:
    """`Predictor.run` of an .onnx file, computed by OpenCV."""
    try:
        # Bytes, as OpenCV crashes on a file name that is not valid UTF-8.
        data = np.frombuffer(onnx_files.read(path), np.uint8)
        network = cv2.dnn.readNetFromONNX(data)
    except (cv2.error, ValueError) as error:
        raise UserError(
            f"{path} is not a network that OpenCV {cv2.__version__} reads; "
            "give the best.onnx of a run or a .keras file as --weights"
        ) from error

    # OpenCV 5 computes all outputs of a network or none.
    names = network.getUnconnectedOutLayersNames()

    def run(images):
        network.setInput(images)
        outputs = dict(zip(names, network.forward(names), strict=True))
        return {task: outputs[task] for task in tasks}

    return run


def _load_keras(path: Path, tasks: list[str]) -> Callable:
    """`Predictor.run` of a .keras file, computed by Keras."""
    # Imported here: it takes seconds, and .onnx files do not need it.
    quiet.load_keras()
    import keras

    from samtl import networks

    try:
        networks.check_stored_inside(path)
        # Safe mode runs no code from the file.
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        model = networks.probabilities(model)
    except UserError:
        raise
    # On damaged files, Keras raises exceptions of any type.
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


def _check_outputs(predictor: Predictor, path: Path, source: Path) -> None:
    """Run the network once, so that errors appear before the first face.

    Raises:
        UserError: input or outputs differ from the description.
    """
    try:
        outputs = predictor.run(np.zeros((1, *predictor.shape), np.float32))
        shapes = {task: outputs[task].shape for task in predictor.tasks}
    # OpenCV and every backend of Keras raise exceptions of their own.
    except Exception as error:
        raise UserError(
            f"{path} does not have the input and outputs that {source} "
            "describes; get both files from the same place"
        ) from error
    for task, classes in predictor.tasks.items():
        if shapes[task] != (1, len(classes)):
            raise UserError(
                f"{source} names {len(classes)} classes of {task}, {path} has "
                f"{shapes[task][-1]}; get both files from the same place"
            )

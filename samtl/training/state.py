"""What a stopped run needs to go on: one atomic file."""

import json
from pathlib import Path

import numpy as np
from keras import ops

from samtl.common import archives, files
from samtl.common.errors import UserError, reason
from samtl.networks.weights import UNREADABLE
from samtl.training.learner import Learner

FILE = "state.npz"  # in the folder of a run


def save(path: Path, learner: Learner, state: dict, rows: list[dict]) -> None:
    """Write everything that the next round depends on.

    Args:
        path: of the file.
        learner: its network, optimizer and auxiliary model are written.
        state: of the loop, JSON-able.
        rows: metrics of the rounds so far.
    """
    arrays = {
        name: ops.convert_to_numpy(variable)
        for name, variable in _variables(learner).items()
    }
    text = json.dumps({"state": state, "rows": rows})
    with files.write(path) as temporary:
        np.savez(temporary, **arrays, json=np.array(text))


def read(path: Path) -> tuple[dict, list[dict], dict[str, np.ndarray]]:
    """What `save` wrote: (state, rows, arrays by name).

    Raises:
        UserError: the file is damaged.
    """
    try:
        arrays = archives.read_arrays(path)
        values = json.loads(str(arrays.pop("json")))
        return values["state"], values["rows"], arrays
    except UNREADABLE as error:
        raise damaged(path, error) from error


def restore(path: Path, learner: Learner, arrays: dict) -> None:
    """Set all variables of a learner to the arrays of `read`.

    Raises:
        UserError: they are of another network.
    """
    variables = _variables(learner)
    shapes = {name: array.shape for name, array in arrays.items()}
    if shapes != {name: tuple(v.shape) for name, v in variables.items()}:
        raise damaged(path, "it is of another network")
    for name, variable in variables.items():
        variable.assign(arrays[name])


def damaged(path: Path, error: Exception | str) -> UserError:
    """The error of a run that cannot go on from a file."""
    return UserError(
        f"the run cannot go on from {path} ({reason(error)}); start a new run"
    )


def _variables(learner):
    """Every variable that training changes, by a name that is stable."""
    groups = {
        "network": learner.network.variables,
        "optimizer": learner.optimizer.variables,
    }
    if own := learner.task_weighting.variables:
        groups["task_weighting"] = own
    if learner.consistency is not None and learner.consistency.variables:
        groups["consistency"] = learner.consistency.variables
    if learner.auxiliary_model:
        # The name in the files of older runs.
        groups["companion"] = learner.auxiliary_model.variables
    return {
        f"{group}/{index:04d}": variable
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }

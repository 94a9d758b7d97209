"""What is predicted and printed while missing labels are filled in."""

import keras
import numpy as np
import pytest

from samtl import pseudo_labels
from samtl.data import images
from samtl.data.tasks import Task
from samtl.pseudo_labels.filling import fill_missing
from tests import tiny

GENDER = Task("gender", ("female", "male"))
METHOD = pseudo_labels.Method("hard", density=False)


@pytest.mark.parametrize("limit", [2, 30])
def test_bounds_of_estimated_densities_are_printed(tmp_path, capsys, limit):
    table = tiny.dataset(tmp_path, "faces", ["pose"])
    split = images.open_splits(table, (16, 16, 1), cache_gb=0)["train"]
    random = np.random.default_rng(0)
    outputs = {
        "logits": {"gender": random.normal(size=(len(split), 2))},
        "features": {"gender": random.normal(size=(len(split), 4))},
    }
    method = pseudo_labels.Method(
        "hard", distribution=False, density_exact_limit=limit
    )
    fill_missing(split, [split], [GENDER], method, lambda _: outputs, (0, 0))
    printed = capsys.readouterr().out
    if limit == 2:
        assert printed.startswith("gender on faces: density estimated for")
        assert "over 2 images (--density_exact_limit); with prob" in printed
        assert printed.endswith("at --density_t=0.6 +- 0.0018\n")
    else:
        assert printed == ""


def test_a_pool_that_is_its_own_reference_is_predicted_once(tmp_path):
    table = tiny.dataset(tmp_path, "faces", ["gender"])
    table.rows.loc[::2, "gender"] = -1
    split = images.open_splits(table, (16, 16, 1), cache_gb=0)["train"]
    random = np.random.default_rng(0)
    outputs = {
        "logits": {"gender": random.normal(size=(len(split), 2))},
        "features": {"gender": random.normal(size=(len(split), 4))},
    }
    calls = []

    def teacher(split, rows=slice(None)):
        calls.append(split)
        return keras.tree.map_structure(lambda values: values[rows], outputs)

    filled = [
        fill_missing(pool, [split], [GENDER], METHOD, teacher, (0, 0))
        # A copy of the Split is another one.
        for pool in (split, split.take(np.arange(len(split))))
    ]
    assert len(calls) == 1 + 2
    weights = [f[GENDER].diagnostics["distribution"] for f in filled]
    assert len(weights[0]) == 8
    np.testing.assert_array_equal(*weights)

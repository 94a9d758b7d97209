"""Weights and triples in a program of others, of any backend."""

import os
import subprocess
import sys

CODE = """
import sys
import numpy as np
from samtl import pseudo_labels

random = np.random.default_rng(0)
logits, features = random.normal(size=(60, 3)), random.normal(size=(60, 8))
reference, labels = random.normal(size=(40, 8)), random.integers(3, size=40)
method = pseudo_labels.Method(pseudo_labels.Kind.HARD)
triples, weights = pseudo_labels.fill(
    method, logits, features, reference, labels
)
assert weights["selected"].sum() == 12
for array in (triples.target, triples.weight, triples.temperature):
    assert type(array) is np.ndarray and array.dtype == np.float32
np.testing.assert_allclose(triples.target.sum(axis=1), 1, atol=1e-6)
print(*sorted({"jax", "tensorflow", "torch"} & set(sys.modules)))
"""


def test_only_the_chosen_backend_is_loaded():
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["jax"]

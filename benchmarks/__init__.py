"""Measurements of the code, each beside its limit or its rival in one run."""

import samtl  # noqa: F401  it sets what OpenCV and TensorFlow read

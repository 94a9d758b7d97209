"""Multi-task learning for face analysis from disjoint datasets.

    from samtl import analyze
    faces = analyze("photo.jpg")

An installed package needs no backend for `analyze`. `samtl.pseudo_labels` uses
the backend that KERAS_BACKEND names.
"""

import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

__version__ = "0.1.0"

# A small file may promise more pixels than there is memory. OpenCV takes its
# limit, here that of Pillow, when it is loaded.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "178956970")

# TensorFlow takes its faster kernels, oneDNN's, by itself only on processors
# with AVX-512; on another, mini_Xception trains 1.8 times as fast with them.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# TensorFlow tells much about the machine between a run's own lines; its errors
# still show.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def _has(package):
    return PathFinder.find_spec(package) is not None


# Keras would look for TensorFlow, which Python 3.14 does not have.
if "KERAS_BACKEND" not in os.environ and not _has("tensorflow") and _has("jax"):
    os.environ["KERAS_BACKEND"] = "jax"


def __getattr__(name):
    # Training needs no detector, and the detector's OpenCV the limit above.
    if name == "analyze":
        from samtl.inference.analysis import analyze

        return analyze
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _hook(kind, error, trace, before=sys.excepthook):
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        before(kind, error, trace)


# The scripts' imports take seconds, too: Ctrl-C among them is as in
# `errors.run_script`. Programs of others keep their hook.
_command = sys.argv[0] if sys.argv else ""
_folder = Path(__file__).resolve().parents[1]
if _command == "-m" or Path(_command).resolve().parent == _folder:
    sys.excepthook = _hook

"""What holds for all tests: quiet backends, no window, repeatable examples."""

import importlib
import os
import sys
from pathlib import Path

from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")
sys.path.insert(0, str(Path(__file__).parent.parent))
importlib.import_module("utils")  # before OpenCV, whose limit it sets

# Compiling a Keras op takes longer than hypothesis allows one example.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

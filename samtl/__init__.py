"""What every script and module stands on."""

import os
import sys

# A small file may promise more pixels than there is memory. OpenCV takes its
# limit, here that of Pillow, when it is loaded.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "178956970")

# TensorFlow takes its faster kernels, oneDNN's, by itself only on processors
# with AVX-512; on another, mini_Xception trains 1.8 times as fast with them.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# TensorFlow tells much about the machine between a run's own lines; its errors
# still show.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def _hook(kind, error, trace, before=sys.excepthook):
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        before(kind, error, trace)


# Imports take seconds, too: Ctrl-C among them is as in `errors.run_script`.
sys.excepthook = _hook

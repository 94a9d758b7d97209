"""What every script and module stands on."""

import os

# A small file may promise more pixels than there is memory. OpenCV takes its
# limit, here that of Pillow, when it is loaded.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "178956970")

# TensorFlow takes its faster kernels, oneDNN's, by itself on Intel's newer
# processors only; mini_Xception trains 1.8 times as fast with them on AMD's.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

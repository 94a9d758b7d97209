"""What every script and module stands on."""

import os

# A small file may promise more pixels than there is memory. OpenCV takes its
# limit, here that of Pillow, when it is loaded.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "178956970")

"""Emotion, head pose, gender and age of the faces in images.

    python final_image_demo.py photo.jpg

The demo is `samtl.demos.image`, so that an installed package has it too, as the
command `samtl`.
"""

from samtl.common.errors import run_script
from samtl.demos.image import main, parser

__all__ = ["main", "parser"]

if __name__ == "__main__":
    run_script(main)

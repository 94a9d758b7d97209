"""The pictures of the README and docs/demos.md, made by the demos.

    python -m docs.pictures

runs both demos on the sample portrait. It writes the annotated portrait and a
frame of the annotated clip to docs/images/. The demos get --weights, if it is
not the shipped network, and --detector_model.
"""

import argparse
import tempfile
from pathlib import Path

from PIL import Image

import final_image_demo
import final_video_demo
from samtl.common import files
from samtl.common.errors import run_script
from samtl.faces import detect, inputs
from samtl.faces.media import video
from samtl.inference import loading

IMAGES = Path(__file__).resolve().parent / "images"
START, SECONDS = 1.0, 1.0  # part of the clip, whose last frame is kept
QUALITY = 85


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    loading.add_flag(parser)
    detect.add_flag(parser)
    words = [
        f"--{name}={value}"
        for name, value in vars(parser.parse_args()).items()
        if value is not None
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words.append(f"--output={folder}")
        final_image_demo.main(words)
        final_video_demo.main(
            [f"--start={START}", f"--end={START + SECONDS}", *words]
        )
        (portrait,) = folder.glob("*.jpg")
        (clip,) = folder.glob("*.mp4")
        _keep(inputs.read(portrait).pixels, "demo_image.jpg")
        *_, frame = video.open_source(str(clip)).frames()
        _keep(frame.pixels, "demo_video.jpg")


def _keep(pixels, name):
    """Write uint8 [H, W, 3], RGB, to docs/images/."""
    with files.write(IMAGES / name) as path:
        Image.fromarray(pixels).save(path, quality=QUALITY, optimize=True)
    print(IMAGES / name)


if __name__ == "__main__":
    run_script(main)

"""A picture of synthetic faces, class by class.

python -m data_preparation.drawing.sheet docs/images/synthetic_faces.png
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from data_preparation import synthetic
from samtl.common import files, flags
from samtl.common.errors import run_script

SIZE = 72  # of a face, pixels
ROWS = 3  # faces of a class
HEADING = 15  # pixels above them
COLOURS = 224  # of the palette, which keeps the file small


def sheet():
    """One column a class; [H, W, 3] uint8, RGB."""
    age = _columns("synthetic_gender_age", "age")
    emotion = _columns("synthetic_emotion", "emotion")
    pose = _columns("synthetic_pose", "pose")
    # The first six are children.
    gender = _columns("synthetic_gender_age", "gender", first=6)
    blank = np.full_like(age[0], 255)
    rows = [[*emotion, blank], [*pose, blank, *gender], age]
    return np.vstack([np.hstack(columns) for columns in rows])


def _columns(name, task, first=0):
    """Test faces of every class of a task, under its name."""
    columns = []
    for label, title in enumerate(synthetic.TASKS[task].classes):
        heading = np.full((HEADING, SIZE, 3), 255, np.uint8)
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(heading, title, (1, 11), font, 0.33, 0, 1, cv2.LINE_AA)
        faces, number = [heading], first
        while len(faces) <= ROWS:
            if synthetic.labels_of(name, number)[task] == label:
                face, _ = synthetic.draw_face(name, "test", number, SIZE, 0)
                faces.append(face)
            number += 1
        columns.append(np.vstack(faces))
    return columns


def main():
    parser = flags.parser(__doc__, None)
    parser.prog = "python -m data_preparation.drawing.sheet"
    text = "PNG file to write, replaced if it is there"
    parser.add_argument("file", type=Path, metavar="FILE", help=text)
    path = parser.parse_args().file
    picture = Image.fromarray(sheet()).quantize(COLOURS, dither=0)
    with files.write(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)


if __name__ == "__main__":
    run_script(main)

"""A small UTKFace in its published layout, and its prepared files."""

import numpy as np
from PIL import Image

from data_preparation import __main__ as preparation

AGES = (1, 5, 10, 18, 28, 40, 50, 70)  # one of each group


def source(folder, count=120, seed=0):
    """Write the chips; returns their folder."""
    rng = np.random.default_rng(seed)
    folder = folder / "UTKFace"
    folder.mkdir()
    for index in range(count):
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        name = f"{AGES[index % len(AGES)]}_{index % 2}_0_{20170109 + index}"
        Image.fromarray(pixels).save(folder / f"{name}.jpg.chip.jpg", "JPEG")
    return folder


def prepare(source, data_dir, *words):
    """Run the command; returns {path below db/: content}."""
    folders = (f"--source={source}", f"--data_dir={data_dir}")
    preparation.main(["utkface", *folders, "--jobs=1", *words])
    return tree(data_dir)


def tree(data_dir):
    """{path below db/: content} of all files."""
    folder = data_dir / "db"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }

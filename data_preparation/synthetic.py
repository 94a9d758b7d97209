"""Synthetic: synthetic faces with known emotion, pose, gender and age.

Nothing to download. Three disjoint sets are rendered from random parameters:

    synthetic_emotion      publishes the emotion
    synthetic_pose         publishes the pose (and the yaw angle, degrees)
    synthetic_gender_age   publishes gender and age group (and years)

Labels that a set does not publish go to <name>.truth.csv, for pseudo-label
diagnostics only. Pose classes are named after the side of the image that the
nose points to: "left" is yaw < 0. A face depends on --seed and on its own
number only: a larger set begins with the smaller one, and the number of
processes has no effect.
"""

import math
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from rich.progress import track

from data_preparation import common, staging
from data_preparation.drawing import portrait, traits
from samtl.common import files, flags
from samtl.common.errors import UserError
from samtl.common.text import counted
from samtl.data import tables
from samtl.data.tasks import AGE, EMOTION_7, GENDER, POSE, Task

TASKS = {
    task.name: task
    for task in (
        Task("emotion", EMOTION_7),
        Task("pose", POSE),
        Task("gender", GENDER),
        Task("age", AGE),
    )
}
DATASET = common.Dataset(
    name="synthetic",
    title="emotion, pose, gender and age of synthetic faces",
    url="",
    tasks=tuple(TASKS.values()),
    citation="",
    terms="the licence of this repository",
)
SETS = {
    "synthetic_emotion": ("emotion",),
    "synthetic_pose": ("pose",),
    "synthetic_gender_age": ("gender", "age"),
}
# Extra columns that belong to the published labels of a set.
COLUMNS = {"synthetic_pose": ["yaw"], "synthetic_gender_age": ["age_years"]}
# Images of a split, as a share of the training images.
SHARES = {"train": 1.0, "validation": 0.2, "test": 0.3}
IMAGES, SIZE, SEED = 2000, 72, 0
# Pose shares of the sets without published pose: mostly frontal, as photos.
POSE_SHARES = (0.03, 0.16, 0.62, 0.16, 0.03)
# Pose is coarse: with good photographs, it would be too easy.
ROUGHNESS = {
    "synthetic_emotion": 0.6,
    "synthetic_pose": 2.2,
    "synthetic_gender_age": 0.7,
}
BATCH = 25


def add_arguments(parser):
    """The flags of the synthetic faces."""
    text = "training faces of each set; a fifth more for validation, 3/10 test"
    flags.add_flag(parser, "images", flags.Number(int, 40, 10**6), IMAGES, text)
    text = "side of the pictures, pixels"
    flags.add_flag(parser, "size", flags.Number(int, 32, 160), SIZE, text)
    text = "random seed; another number gives other faces"
    flags.add_flag(parser, "seed", flags.Number(int, 0), SEED, text)
    text = "folder of the prepared datasets"
    flags.add_flag(parser, "data_dir", Path, Path("data"), text)
    text = "replace sets that exist already"
    flags.add_flag(parser, "overwrite", flags.boolean, False, text)


def prepare(args):
    """Draw those of the three sets that are not up to date.

    Raises:
        UserError: a set exists with other flags and --overwrite is not
            given, or a file cannot be written.
    """
    numbers = args.images, args.size, args.seed
    now = _origin(*numbers)
    done = [n for n in SETS if staging.is_up_to_date(n, args, now)]
    for name in SETS:
        if name in done:
            common.say(f"{name} is up to date in {args.data_dir}")
            continue
        with staging.lock(name, args.data_dir):
            # Another process may have drawn it meanwhile.
            if not staging.is_up_to_date(name, args, now):
                draw_set(name, args.data_dir, *numbers)


def ensure(names, data_dir="data"):
    """Draw those of the named sets that are synthetic and do not exist yet.

    Waits for a set that another process is drawing.

    Raises:
        UserError: a table of this name is not a prepared set, or a file cannot
            be written.
    """
    there = tables.prepared(data_dir)
    for name in SETS:
        if name not in names or name in there:
            continue
        staging.require_json(name, data_dir)
        with staging.lock(name, data_dir, is_patient=True):
            if name not in tables.prepared(data_dir):
                draw_set(name, data_dir)


def draw_set(name, data_dir, images=IMAGES, size=SIZE, seed=SEED, processes=-1):
    """Draw one set and write its table, its hidden labels and its pictures.

    Args:
        name: a key of SETS.
        data_dir: the folder that gets `db/<name>` and `db/<name>.csv`.
        images: number of training faces.
        size: side of the pictures, pixels.
        seed: random seed.
        processes: to draw with; -1 is one per core.

    Raises:
        UserError: its folder holds other files, or a file cannot be written.
    """
    published = SETS[name]
    hidden = [task for task in TASKS if task not in published]
    final = Path(data_dir) / "db" / name
    columns = ["path", "split", *published, *COLUMNS.get(name, [])]
    facts = {
        "source": "drawn by data_preparation/synthetic.py",
        "images": images,
        "size": size,
        "split_seed": seed,
        "dropped": {},
        "terms": DATASET.terms,
        "origin": _origin(images, size, seed),
    }
    staging.require_own(name, Path(data_dir))
    folder = _new_folder(staging.partial(name, data_dir) / "pictures")
    rows = _draw_all(name, folder, images, size, seed, processes)
    rows["path"] = f"db/{name}/" + rows["path"]
    staging.replace(final, folder)
    with files.write(final.with_suffix(".truth.csv")) as temporary:
        rows[["path", *hidden]].to_csv(temporary, index=False)
    tasks = [TASKS[task] for task in published]
    tables.write(name, rows[columns], tasks, data_dir, facts)
    shutil.rmtree(folder.parent, ignore_errors=True)
    common.summarise(name, rows, tasks, {})
    common.say(f"wrote {final.with_suffix('.csv')}")


def _origin(images, size, seed):
    """Everything that determines the sets, see `staging.origin`."""
    return {"flags": {"images": images, "size": size, "seed": seed}}


def _new_folder(path):
    """Make an empty folder; remove the leftovers of a killed run."""
    try:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; choose another --data_dir"
        ) from error
    return path


def pose_of(yaw):
    """Pose class of a yaw angle in degrees."""
    small, large = traits.POSE_EDGES
    beyond = (abs(yaw) > small) + (abs(yaw) > large)
    return 2 + int(np.sign(yaw)) * beyond


def labels_of(name, number):
    """The published labels of a set's face, by its number in its split.

    Classes, or pairs of classes where two tasks are published, alternate, so
    that all are equally frequent in every split.
    """
    labels = {}
    for task in SETS[name]:
        number, labels[task] = divmod(number, len(TASKS[task]))
    return labels


def draw_face(name, split, number, size, seed):
    """One face of a set.

    Args:
        name, split, number: of the set, of its split, and of the face in it.
        size: side of the picture, pixels.
        seed: random seed.

    Returns:
        (picture [size, size, 3] uint8 RGB, dict of its labels, yaw in degrees
        and age_years).
    """
    place = list(SETS).index(name) * len(SHARES) + list(SHARES).index(split)
    generator = np.random.default_rng([seed, place * 10**7 + number])
    labels = {
        "emotion": int(generator.integers(len(EMOTION_7))),
        "pose": int(generator.choice(len(POSE), p=POSE_SHARES)),
        "gender": int(generator.integers(len(GENDER))),
        "age": int(generator.integers(len(AGE))),
    } | labels_of(name, number)
    yaw = traits.yaw_in(labels["pose"], generator)
    years = float(generator.uniform(*traits.YEARS[labels["age"]]))
    face = traits.sample(
        EMOTION_7[labels["emotion"]],
        yaw,
        GENDER[labels["gender"]] == "male",
        years,
        generator,
    )
    photo = traits.photograph(generator, ROUGHNESS[name])
    picture = portrait.draw(face, photo, size)
    return picture, labels | {
        # Rounded such that both stay inside their class.
        "yaw": math.copysign(math.ceil(100 * abs(yaw)) / 100, yaw),
        "age_years": math.floor(10 * years) / 10,
    }


def _draw_all(name, folder, images, size, seed, processes):
    """Draw and save all splits; returns the rows, paths relative to folder."""
    numbers = [
        (split, number)
        for split, share in SHARES.items()
        for number in range(round(images * share))
    ]
    for split in SHARES:
        (folder / split).mkdir()
    batches = [
        numbers[start : start + BATCH]
        for start in range(0, len(numbers), BATCH)
    ]
    # Processes, because drawing holds the interpreter's lock. Few faces are
    # drawn sooner than the first process starts.
    parallel = Parallel(
        n_jobs=processes if len(batches) > 8 else 1, return_as="generator"
    )
    drawn = parallel(
        delayed(_draw_batch)(name, folder, batch, size, seed)
        for batch in batches
    )
    title = f"drawing {counted(len(numbers), 'face')} of {name}"
    rows = []
    for part in track(drawn, title, total=len(batches)):
        rows += part
    return pd.DataFrame(rows)


def _draw_batch(name, folder, batch, size, seed):
    cv2.setNumThreads(1)
    rows = []
    for split, number in batch:
        picture, facts = draw_face(name, split, number, size, seed)
        path = f"{split}/{number:05d}.png"
        _save(folder / path, picture)
        rows.append({"path": path, "split": split, **facts})
    return rows


def _save(path, picture):
    data = cv2.imencode(".png", picture[..., ::-1])[1]
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; free some disk space"
        ) from error

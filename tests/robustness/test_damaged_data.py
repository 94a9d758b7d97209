"""Truncated images, tables, caches and label files, or with flipped bits.

Formats without a checksum (JPEG, BMP, CSV ...) cannot tell every flipped bit:
there, what is read must be as well-formed as what was written.
"""

import io
import json
import sqlite3
import types

import cv2
import numpy as np
import pytest
from PIL import Image

from data_preparation import aflw, crops, own, staging
from samtl.common import flags
from samtl.data import images, tables
from samtl.data.tasks import GENDER, Task
from samtl.faces import inputs
from samtl.faces.media import recording, video
from tests import tiny
from tests.faces import stand_ins
from tests.robustness.trials import attempt, case, damages


def _pictures():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    pixels = cv2.resize(pixels, (40, 36), interpolation=cv2.INTER_CUBIC)
    picture = Image.fromarray(pixels)
    orientation = Image.Exif()
    orientation[0x0112] = 6
    two = {"save_all": True, "append_images": [picture.rotate(90)]}
    kinds = {
        "PNG": {},
        "JPEG": {"exif": orientation},
        "GIF": two,
        "BMP": {},
        "TIFF": two,
        "WEBP": {},
        "PPM": {},
        "AVIF": {},
    }
    for kind, options in kinds.items():
        file = io.BytesIO()
        try:
            picture.save(file, kind, **options)
        except (KeyError, OSError):
            continue  # AVIF is not in every Pillow
        yield pytest.param(file.getvalue(), kind, id=kind)


@pytest.mark.parametrize(("content", "kind"), list(_pictures()))
def test_damaged_images(tmp_path, content, kind):
    path = tmp_path / "picture"
    path.write_bytes(content)
    whole = images.read(path, (24, 24, 3))
    for damaged in damages(content, 150):
        path.write_bytes(damaged)
        # PNG has checksums.
        attempt(
            lambda: images.read(path, (24, 24, 3)),
            lambda image: (
                image.shape == (24, 24, 3)
                and (kind != "PNG" or (image == whole).all())
            ),
        )
        attempt(
            lambda: inputs.read(path).pixels,
            lambda pixels: pixels.dtype == np.uint8 and pixels.shape[2] == 3,
        )
        with case():
            found = crops.decode(path, "RGB")
            assert found is None or found.shape[2] == 3


@pytest.fixture
def data_dir(tmp_path):
    table = tiny.dataset(tmp_path, "toy", ["emotion", "pose"], (8, 3, 3))
    hidden = "".join(f"{path},1\n" for path in table.rows["path"])
    (tmp_path / "db" / "toy.truth.csv").write_text(f"path,gender\n{hidden}")
    return tmp_path


def _is_sound(table):
    """Check the properties that `samtl.data.tables` guarantees."""
    assert set(table.rows["split"]) <= set(tables.SPLITS)
    for path in table.paths:
        assert path.resolve().is_relative_to(table.data_dir.resolve())
        assert path.is_file()
    for name, task in table.tasks.items():
        assert set(table.labels(name)) <= set(range(-1, len(task)))
        assert np.allclose(table.targets(name).sum(axis=1), 1, atol=1e-2)
    truth = table.truth(Task("gender", GENDER))
    assert truth is None or truth.dtype == np.int64
    return True


@pytest.mark.parametrize("suffix", [".csv", ".json", ".truth.csv"])
def test_damaged_tables(data_dir, suffix):
    path = data_dir / "db" / f"toy{suffix}"
    for damaged in damages(path.read_bytes(), 200):
        path.write_bytes(damaged)
        attempt(lambda: _is_sound(tables.read("toy", data_dir)))


def test_json_with_too_deep_nesting(data_dir):
    path = data_dir / "db" / "toy.json"
    path.write_text("[" * 10**6)
    assert attempt(lambda: tables.read("toy", data_dir))


def test_truncated_caches_are_replaced(data_dir):
    table = tables.read("toy", data_dir)
    whole = images.open_splits(table, (24, 24, 1))["train"].images(np.arange(8))
    (cache,) = (data_dir / "cache").iterdir()
    content = cache.read_bytes()
    for size in (0, 1, 100, len(content) - 1):
        cache.write_bytes(content[:size])
        attempt(
            lambda: images.open_splits(table, (24, 24, 1))["train"],
            lambda split: (split.images(np.arange(8)) == whole).all(),
        )


ORIGIN = {"flags": {"seed": 0}, "labels": "x", "images": "y"}


def test_damaged_facts_of_a_prepared_set(data_dir):
    path = data_dir / "db" / "toy.json"
    facts = {**json.loads(path.read_text()), "origin": ORIGIN}
    args = types.SimpleNamespace(data_dir=data_dir, overwrite=False)
    for damaged in damages(json.dumps(facts).encode(), 200):
        path.write_bytes(damaged)
        attempt(lambda: staging.is_up_to_date("toy", args, ORIGIN))


def test_damaged_journals_of_a_killed_preparation(tmp_path):
    args = types.SimpleNamespace(data_dir=tmp_path)
    work = staging.Staging("toy", args, ORIGIN)

    def fill():
        work.crops.mkdir(exist_ok=True, parents=True)
        for number in range(6):
            (work.crops / f"{number}.png").write_bytes(bytes(number))

    fill()
    done = {
        f"{number}.png": crops.Crop("digest", 2**63 + number, number, "")
        for number in range(6)
    }
    work.note(done)
    journal = tmp_path / "db" / ".toy.partial" / "journal"
    for damaged in damages(journal.read_bytes(), 200):
        fill()
        journal.write_bytes(damaged)
        attempt(
            lambda: staging.Staging("toy", args, ORIGIN).done,
            lambda found: found.items() <= done.items(),
        )


def test_damaged_tables_of_labels(tmp_path):
    for index in range(6):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((4, 4, 3)))
    names = ("no", "yes")
    rows = [f"{i}.png,{names[i % 2]},{1 - i % 2},{i % 2}" for i in range(6)]
    text = "\n".join(["path,smile,smile_no,smile_yes", *rows])
    parser = flags.parser("", None)
    own.add_arguments(parser)
    words = ["toy", f"--source={tmp_path}", "--csv=labels.csv"]
    args = parser.parse_args(words)
    for encoding in ("utf-8", "utf-16"):
        for damaged in damages(text.encode(encoding), 100):
            (tmp_path / "labels.csv").write_bytes(damaged)
            attempt(
                lambda: own.read(own.read_table(args), args),
                lambda found: set(found[0]["reason"]) >= {""},
            )


def test_damaged_databases(tmp_path):
    path = tmp_path / aflw.DATABASE
    with sqlite3.connect(path) as database:
        for table, columns in aflw.COLUMNS.items():
            database.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
            marks = ", ".join("?" for _ in columns)
            rows = [[f"{i}"] + [i / 7] * (len(columns) - 1) for i in range(20)]
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
    database.close()
    for damaged in damages(path.read_bytes(), 100):
        path.write_bytes(damaged)
        attempt(
            lambda: aflw.load_tables(tmp_path),
            lambda found: [aflw.parse_face(row) for row in found["facerect"]],
        )


def test_damaged_videos(tmp_path):
    path = tmp_path / "walk.mp4"
    with recording.Writer(path, 25) as writer:
        for index in range(8):
            box = (10 + 3 * index, 20, 60 + 3 * index, 80)
            writer.write(stand_ins.picture([box]), index / 25)
    for damaged in damages(path.read_bytes(), 60):
        path.write_bytes(damaged)
        attempt(
            lambda: [frame.time for frame in video.Source(str(path)).frames()],
            lambda times: len(times) <= 8 and times == sorted(times),
        )

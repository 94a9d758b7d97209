"""SFEW from tiny hand-made trees of aligned faces."""

import csv
import json
from pathlib import PurePath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_preparation import __main__ as command
from data_preparation import common, sfew
from samtl.common.errors import UserError
from samtl.data.tasks import EMOTION_7

TRAIN = "Train/Train_Aligned_Faces"
VAL = "Val/Val_Aligned_Faces_new"
FILMS = 12


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    # Large gray patches, which JPEG keeps nearly unchanged.
    image = Image.fromarray(rng.integers(0, 256, (6, 5), dtype=np.uint8))
    image = image.resize((50, 60), Image.Resampling.NEAREST)
    image.convert("RGB").save(path)


@pytest.fixture
def source(tmp_path):
    """Twelve films with a happy and a sad face each, tests and bad files."""
    folder = tmp_path / "raw"
    for film in range(FILMS):
        for face, label in enumerate(("Happy", "Sad")):
            name = f"Film_{film}_001_000123440_0000000{face}.png"
            save(folder / TRAIN / label / name, 2 * film + face)
    for seed, label in enumerate(EMOTION_7, start=100):
        name = f"Airheads_000519240_0000000{seed - 100}.png"
        save(folder / VAL / label.capitalize() / name, seed)
    save(folder / TRAIN / "Bored" / "Hangover_004512014_00000002.png", 200)
    # The same pixels as a test face.
    save(folder / TRAIN / "Happy" / "21_012239520_00000041.png", 100)
    text = folder / TRAIN / "Happy" / "Hangover_004512014_00000003.png"
    text.write_text("no image")
    # Neither aligned faces nor faces with a label.
    save(
        folder / "Train" / "Train" / "Sad" / "Town_010805120_00000031.png", 202
    )
    save(folder / "Test" / "Test_Aligned_Faces" / "00001.png", 203)
    return folder


def prepare(source, data_dir, *more):
    command.main(
        ["sfew", f"--source={source}", f"--data_dir={data_dir}", *more]
    )


def written(data_dir, suffix=".csv"):
    with (data_dir / "db" / f"sfew{suffix}").open(newline="") as file:
        return list(csv.reader(file))


def test_the_trees_become_the_expected_table(source, tmp_path, capsys):
    prepare(source, tmp_path / "data")
    header, *rows = written(tmp_path / "data")
    assert header == ["path", "split", "emotion"]
    test = [row for row in rows if row[1] == "test"]
    assert sorted(test, key=lambda row: row[2]) == [
        [
            f"db/sfew/test/{label}/Airheads_000519240_0000000{index}.jpg",
            "test",
            str(index),
        ]
        for index, label in enumerate(EMOTION_7)
    ]
    others = {path: emotion for path, split, emotion in rows if split != "test"}
    assert others == {
        f"db/sfew/train/{label}/Film_{film}_001_000123440_0000000{face}.jpg": i
        for film in range(FILMS)
        for face, (label, i) in enumerate((("happy", "3"), ("sad", "4")))
    }
    assert len(rows) == 2 * FILMS + 7
    facts = json.loads((tmp_path / "data/db/sfew.json").read_text())
    assert facts["tasks"] == {"emotion": list(EMOTION_7)}
    assert "unknown film" not in capsys.readouterr().out
    header, *dropped = written(tmp_path / "data", ".dropped.csv")
    assert header == ["name", "split", "reason"]
    assert sorted(dropped, key=lambda row: row[2]) == [
        [
            f"{TRAIN}/Happy/21_012239520_00000041.png",
            # Either half of Train may hold it.
            dropped[-1][1],
            common.DUPLICATE,
        ],
        [
            f"{TRAIN}/Happy/Hangover_004512014_00000003.png",
            "train",
            "image unreadable",
        ],
        [
            f"{TRAIN}/Bored/Hangover_004512014_00000002.png",
            "train",
            "unknown label",
        ],
    ]


def test_validation_is_a_tenth_of_the_films(source, tmp_path):
    for seed in range(3):
        data_dir = tmp_path / f"data{seed}"
        prepare(source, data_dir, f"--seed={seed}")
        rows = [row for row in written(data_dir)[1:] if row[1] != "test"]
        films = {"train": set(), "validation": set()}
        for path, split, _ in rows:
            films[split].add(PurePath(path).name.split("_001_")[0])
        assert not films["train"] & films["validation"]
        assert len(films["validation"]) in (1, 2)


def test_crops_are_the_images(source, tmp_path):
    prepare(source, tmp_path / "data", "--size=30")
    name = "Airheads_000519240_00000003"
    path = tmp_path / "data" / "db" / "sfew" / "test" / "happy" / f"{name}.jpg"
    image = Image.open(source / VAL / "Happy" / f"{name}.png")
    expected = np.asarray(image.resize((25, 30), Image.Resampling.BOX))
    crop = np.asarray(Image.open(path))
    assert np.abs(expected.astype(int) - crop).mean() < 4


@pytest.mark.parametrize(
    ("folder", "new"),
    [
        (TRAIN, "Train_Aligned_Faces/Train_Aligned_Faces"),
        (VAL, "val_aligned_faces"),
    ],
)
def test_any_nesting_of_the_archives_gives_the_same_table(
    source, tmp_path, folder, new
):
    prepare(source, tmp_path / "one")
    (source / new).parent.mkdir(exist_ok=True)
    (source / folder).rename(source / new)
    prepare(source, tmp_path / "two")
    assert sorted(written(tmp_path / "one")) == sorted(
        written(tmp_path / "two")
    )


def test_faces_of_unknown_films_are_taken(source, tmp_path, capsys):
    for folder in (TRAIN, VAL):
        paths = sorted((source / folder).rglob("*.png"))
        for number, path in enumerate(paths):
            path.rename(path.with_name(f"{number}.png"))
    prepare(source, tmp_path / "data")
    printed = capsys.readouterr().out
    assert printed.count("33 faces of an unknown film, such as Train/") == 1
    rows = written(tmp_path / "data")[1:]
    assert len(rows) == 2 * FILMS + 7
    assert {row[1] for row in rows} == {"train", "validation", "test"}


def test_one_face_in_two_trees_counts_once(source, tmp_path):
    name = "Airheads_000519240_00000003.png"
    save(source / "Val_Aligned_Faces" / "Happy" / name, 300)
    prepare(source, tmp_path / "data")
    reasons = [row[2] for row in written(tmp_path / "data", ".dropped.csv")]
    assert reasons.count(common.REPEATED) == 1


@pytest.mark.parametrize("folder", [TRAIN, VAL])
def test_an_incomplete_source_is_named_with_what_was_found(
    source, tmp_path, folder
):
    (source / folder).rename(source / "faces")
    with pytest.raises(UserError) as caught:
        prepare(source, tmp_path / "data")
    message = str(caught.value)
    assert "needs folders Train_Aligned_Faces and Val_Aligned_Faces" in message
    assert "(found: Test, Train, Val, faces)" in message
    assert "\n" not in message


part = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1),
    st.sampled_from(["Train_Aligned_Faces", "val_aligned_faces_2", "Happy"]),
)


@given(st.lists(part, min_size=1, max_size=5))
def test_parsed_paths_are_sound_or_have_a_reason(parts):
    face = sfew.parse_path(PurePath(*parts))
    assert face["reason"] in ("unknown label", "")
    assert face["split"] in ("train", "test", "")
    assert face["emotion"] in range(-1, len(EMOTION_7))
    if not face["reason"]:
        assert face["emotion"] >= 0
        assert face["group"]


@given(
    film=st.text(st.characters(codec="ascii", categories="LN"), min_size=1),
    label=st.sampled_from(EMOTION_7),
    numbers=st.tuples(st.integers(0, 10**9), st.integers(0, 10**8)),
    is_train=st.booleans(),
)
def test_well_formed_paths_are_read_back(film, label, numbers, is_train):
    stem = f"{film}_Part_1_{numbers[0]:09}_{numbers[1]:08}"
    folder = f"x/{TRAIN if is_train else VAL}/{label.capitalize()}"
    split = "train" if is_train else "test"
    assert sfew.parse_path(PurePath(folder, f"{stem}.png")) == {
        "name": f"{folder}/{stem}.png",
        "crop": f"{split}/{label}/{stem}.jpg",
        "emotion": EMOTION_7.index(label),
        "split": split,
        "group": f"{film}_Part_1",
        "reason": "",
    }

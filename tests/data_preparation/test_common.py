"""Preparation that all photo datasets share: from rows to a table."""

import argparse
import csv
import json
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data_preparation import common, crops
from data_preparation.dropped import UNSPLIT
from samtl.common import flags
from samtl.common.errors import UserError
from samtl.data import tables
from samtl.data.tasks import Task

SEEDS = (0, 1, 2, 2, 3, 4, 5, 6, 7)
TOY = common.Dataset(
    name="toy",
    title="two poses",
    url="https://example.org",
    tasks=(Task("pose", ("left", "right")),),
    citation="Nobody: Toys, 2020",
    terms="none",
)


def gray(seed=0, side=24):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (side, side), dtype=np.uint8)


def arguments(tmp_path, *words):
    (tmp_path / "raw").mkdir(exist_ok=True)
    parser = flags.parser("", None)
    common.add_arguments(parser, margin=0.0)
    places = [f"--source={tmp_path / 'raw'}", f"--data_dir={tmp_path / 'data'}"]
    return parser.parse_args([*places, *words])


def toy(images=None):
    """Nine faces: five good ones, of which two are alike, and four bad."""
    images = images or [gray(seed) for seed in SEEDS]
    names = [f"{index}.png" for index in range(9)]
    splits = ["train", "validation", "test", *["train"] * 5, ""]
    faces = pd.DataFrame(
        {
            "source": images,
            "name": [f"photo {name}" for name in names],
            "crop": names,
            "box": [None] * 5 + [(99, 0, 110, 9)] + [None] * 3,
            "split": splits,
            "group": names,
            "pose": [0, 1, 0, 1, 1, 0, 0, -1, -1],
            "yaw": np.arange(9) / 2,
            "reason": [""] * 7 + ["too dark", "too dark"],
        }
    )
    faces.loc[6, "crop"] = "4.png"
    return faces


def build(args, faces):
    common.build(TOY, faces, args, "toys.txt", ["yaw"])


def test_rows_become_table_json_and_list_of_the_dropped(tmp_path, capsys):
    args = arguments(tmp_path, "--seed=3")
    build(args, toy())
    db = args.data_dir / "db"
    assert (db / "toy.csv").read_text() == (
        "path,split,pose,yaw\n"
        "db/toy/0.png,train,0,0.0\n"
        "db/toy/1.png,validation,1,0.5\n"
        "db/toy/2.png,test,0,1.0\n"
        "db/toy/4.png,train,1,2.0\n"
    )
    with (db / "toy.dropped.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["name", "split", "reason"],
            ["photo 7.png", "train", "too dark"],
            ["photo 8.png", "", "too dark"],
            ["photo 6.png", "train", common.CONTRADICTED],
            ["photo 5.png", "train", crops.OUTSIDE],
            ["photo 3.png", "train", common.DUPLICATE],
        ]
    facts = json.loads((db / "toy.json").read_text())
    assert facts["source"] == "toys.txt"
    assert facts["terms"] == TOY.terms
    assert facts["split_seed"] == facts["origin"]["flags"]["seed"] == 3
    assert facts["dropped"] == {
        "train": {
            common.DUPLICATE: 1,
            common.CONTRADICTED: 1,
            crops.OUTSIDE: 1,
            "too dark": 1,
        },
        "validation": {},
        "test": {},
        UNSPLIT: {"too dark": 1},
    }
    shown = capsys.readouterr().out
    assert "dropped: too dark" in shown
    assert "near-duplicates: 0 pairs within a split, 0 across" in shown
    assert sorted(path.name for path in (db / "toy").iterdir()) == [
        "0.png",
        "1.png",
        "2.png",
        "4.png",
    ]
    assert not (db / ".toy.partial").exists()


def test_names_that_look_like_markup_are_printed_as_they_are(tmp_path, capsys):
    args = arguments(
        tmp_path, f"--data_dir={tmp_path / 'data[/old] [b] :cat:'}"
    )
    build(args, toy())
    build(args, toy())
    shown = capsys.readouterr().out
    assert f"wrote {args.data_dir}/db/toy.csv\n" in shown
    assert f"toy is up to date in {args.data_dir}\n" in shown
    rows = pd.DataFrame({"split": ["train"], "pose": [0]})
    task = Task("pose", ("[b]", "[/old]", ":cat:"))
    common.summarise("toy", rows, [task], {})
    shown = capsys.readouterr().out
    assert all(f"pose: {label} " in shown for label in task.classes)


def test_names_that_are_not_text_are_dropped_and_counted(tmp_path):
    faces = toy()
    odd = os.fsdecode(b"caf\xe9.png")
    faces.loc[3, ["name", "crop"]] = odd
    args = arguments(tmp_path)
    build(args, faces)
    table = tables.read("toy", args.data_dir)
    assert "3.png" not in " ".join(map(str, table.paths))
    path = args.data_dir / "db" / "toy.dropped.csv"
    assert "caf\\udce9.png,train,file name is not UTF-8" in path.read_text()


def test_the_prepared_set_can_be_trained_on(tmp_path):
    args = arguments(tmp_path)
    build(args, toy())
    table = tables.read("toy", args.data_dir)
    np.testing.assert_array_equal(
        np.asarray(Image.open(table.paths[2])), gray(2)
    )


def test_near_duplicates_are_reported_and_stay(tmp_path, capsys):
    images = [gray(seed) for seed in SEEDS]
    images[0] = images[2] // 2 + 60
    args = arguments(tmp_path)
    build(args, toy(images))
    assert "db/toy/0.png ~ db/toy/2.png" in capsys.readouterr().out
    facts = json.loads((args.data_dir / "db" / "toy.json").read_text())
    assert facts["near_duplicates"]["across_splits"] == 1
    assert len(tables.read("toy", args.data_dir)) == 4


def test_a_prepared_dataset_is_replaced_only_on_request(tmp_path):
    args = arguments(tmp_path)
    build(args, toy())
    stale = args.data_dir / "db" / "toy" / "stale.png"
    stale.touch()
    (args.data_dir / "db" / "toy.truth.csv").touch()
    with pytest.raises(UserError, match=r"already prepared.*--overwrite"):
        build(args, toy([gray(seed + 10) for seed in SEEDS]))
    assert stale.exists()
    changed = toy([gray(seed + 10) for seed in SEEDS])
    build(arguments(tmp_path, "--overwrite"), changed)
    assert not stale.exists()
    assert not (args.data_dir / "db" / "toy.truth.csv").exists()
    first = tables.read("toy", args.data_dir).paths[0]
    np.testing.assert_array_equal(np.asarray(Image.open(first)), gray(10))


def test_a_failed_replacement_leaves_the_old_dataset(tmp_path):
    args = arguments(tmp_path, "--overwrite")
    build(args, toy())
    before = (args.data_dir / "db" / "toy.csv").read_bytes()
    faces = toy()
    faces.loc[2, "reason"] = "too bright"
    # The face that was too dark had no split; it may have been a test face.
    message = r"toy for test .*\(dropped: 1 too bright, 1 too dark\)"
    with pytest.raises(UserError, match=message):
        build(args, faces)
    assert (args.data_dir / "db" / "toy.csv").read_bytes() == before
    assert len(tables.read("toy", args.data_dir)) == 4


@pytest.mark.parametrize("words", [[], ["--overwrite"]])
def test_files_that_no_preparation_wrote_are_not_replaced(tmp_path, words):
    args = arguments(tmp_path, *words)
    folder = args.data_dir / "db" / "toy"
    folder.mkdir(parents=True)
    (folder / "photo.jpg").touch()
    with pytest.raises(UserError, match="toy holds files, but there is no"):
        build(args, toy())
    assert [path.name for path in folder.iterdir()] == ["photo.jpg"]


def test_a_table_without_a_json_is_replaced_only_on_request(tmp_path):
    args = arguments(tmp_path)
    db = args.data_dir / "db"
    (db / "toy").mkdir(parents=True)
    (db / "toy" / "mine.png").touch()
    (db / "toy.csv").write_text("path,split,pose\n")
    # As a run leaves it that was killed before it replaced anything.
    (db / ".toy.partial").mkdir()
    with pytest.raises(UserError, match=r"toy\.csv exists, but not the JSON"):
        build(args, toy())
    assert (db / "toy" / "mine.png").exists()
    build(arguments(tmp_path, "--overwrite"), toy())
    assert not (db / "toy" / "mine.png").exists()
    assert len(tables.read("toy", args.data_dir)) == 4


def test_pictures_without_a_table_are_a_killed_run_s_or_kept(
    tmp_path, monkeypatch
):
    args = arguments(tmp_path)
    folder = args.data_dir / "db" / "toy"
    folder.mkdir(parents=True)
    (folder / "photo.jpg").touch()
    (args.data_dir / "db" / ".toy.partial").mkdir()
    with pytest.raises(UserError, match="toy holds files, but there is no"):
        build(args, toy())
    (folder / "photo.jpg").unlink()
    with monkeypatch.context() as patch:
        # Between pictures and table, and then while it crops.
        patch.setattr(tables, "write", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build(args, toy())
        patch.setattr(crops, "cut", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build(args, toy())
    build(args, toy())
    assert len(tables.read("toy", args.data_dir)) == 4
    assert not (args.data_dir / "db" / ".toy.partial").exists()


def test_a_source_inside_the_set_is_not_replaced(tmp_path):
    args = arguments(tmp_path, "--overwrite")
    build(args, toy())
    args.source = args.data_dir / "db" / "toy" / "raw"
    args.source.mkdir()
    with pytest.raises(UserError, match="toy, which would be replaced"):
        build(args, toy())
    assert args.source.exists()


def test_a_linked_folder_is_not_replaced(tmp_path):
    args = arguments(tmp_path, "--overwrite")
    build(args, toy())
    folder = args.data_dir / "db" / "toy"
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a symbolic link"):
        build(args, toy())
    assert folder.with_suffix(".csv").exists()
    assert len(list(folder.iterdir())) == 4


def test_an_unwritable_folder_is_refused(tmp_path):
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(UserError, match="cannot write"):
        build(arguments(tmp_path), toy())


def test_the_detector_finds_the_boxes(tmp_path, monkeypatch):
    def detector(image):
        face = argparse.Namespace(box=(2.0, 2.0, 12.0, 12.0))
        return [] if image[0, 0, 0] == gray(3)[0, 0] else [face]

    detector.name = "toy detector"
    monkeypatch.setattr(common.detect, "open", lambda model: detector)
    args = arguments(tmp_path, "--detector", "--margin=0.1")
    paths = [tmp_path / "raw" / f"{seed}.png" for seed in SEEDS]
    for seed, path in zip(SEEDS, paths, strict=True):
        Image.fromarray(gray(seed)).save(path)
    faces = toy(paths)
    faces.loc[4, "split"] = "validation"
    build(args, faces)
    path = args.data_dir / "db" / "toy" / "0.png"
    expected = np.dstack([gray(0)[1:13, 1:13]] * 3)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), expected)
    facts = json.loads((args.data_dir / "db" / "toy.json").read_text())
    assert facts["dropped"]["validation"] == {"no face found": 1}
    assert facts["origin"]["flags"]["detector"] == "toy detector"


def test_sets_of_ready_crops_have_no_photo_flags():
    parser = flags.parser("", None)
    common.add_arguments(parser)
    shown = parser.format_help()
    assert "--jobs" in shown
    for flag in ("--margin", "--size", "--detector", "--seed"):
        assert flag not in shown

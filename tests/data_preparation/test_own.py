"""Images of one's own: folders, tables, splits, and mistakes in them."""

import csv
import json
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from data_preparation import __main__ as command
from data_preparation import common, crops, own, places
from samtl.common.errors import UserError
from samtl.data import tables
from samtl.data.tasks import Task


def draw(path, seed, side=12):
    """Write an image of noise, different for every seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def source(tmp_path):
    """A folder with thirty images, p/0.png to p/29.png."""
    for index in range(30):
        draw(tmp_path / "source" / "p" / f"{index}.png", index)
    return tmp_path / "source"


def folders(root, count=6, names=("no", "yes")):
    """A folder with `count` images in a folder for each name."""
    for place, name in enumerate(names):
        for index in range(count):
            draw(root / name / f"{index}.png", 100 * place + index)
    return root


def run(source, *words, name="mine"):
    """Prepare; returns the Table."""
    data = source.parent / "data"
    words = ["own", name, "--source", str(source), *words]
    command.main([*words, "--data_dir", str(data), "--jobs=1"])
    return tables.read(name, data)


def table(source, heading, rows, *words):
    """Write labels.csv with the rows of text below a heading; prepare."""
    text = "\n".join([heading, *rows]) + "\n"
    (source / "labels.csv").write_text(text, encoding="utf-8")
    return run(source, "--csv=labels.csv", *words)


def smiles(count=30, words=("no", "yes")):
    return [f"p/{i}.png,{words[i % len(words)]}" for i in range(count)]


def description(source, name="mine"):
    path = source.parent / "data" / "db" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def dropped(source):
    """{name: reason} of the dropped rows."""
    path = source.parent / "data" / "db" / "mine.dropped.csv"
    rows = pd.read_csv(path, keep_default_na=False)
    return dict(zip(rows["name"], rows["reason"], strict=True))


def refused(call, *words):
    """The message of a UserError, which is one line."""
    with pytest.raises(UserError) as caught:
        call(*words)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_class_folders_become_a_table(tmp_path, capsys):
    source = folders(tmp_path / "source", names=("yes", "no", "10", "9"))
    (source / "notes.txt").write_text("not an image")
    found = run(source, "--task=smile")
    # Not all are numbers: as text.
    classes = ("10", "9", "no", "yes")
    assert found.tasks == {"smile": Task("smile", classes)}
    for path, label in zip(found.paths, found.labels("smile"), strict=True):
        assert path.parent.name == classes[label]
    assert len(found) == 24
    for split in tables.SPLITS:
        assert set(found.split(split).labels("smile")) == {0, 1, 2, 3}
    shown = capsys.readouterr().out
    assert "smile: yes" in shown
    assert "--dataset=mine --task_type=smile" in shown


def test_numbers_are_sorted_by_size(tmp_path):
    source = folders(tmp_path / "source", names=("10", "9", "-1"))
    found = run(source, "--task=digit", "--no_flip")
    assert found.tasks["digit"] == Task("digit", ("-1", "9", "10"), False)
    assert description(source)["no_flip"] == ["digit"]


def test_the_command_is_in_the_json_as_typed(tmp_path, monkeypatch):
    folders(tmp_path / "source")
    monkeypatch.chdir(tmp_path)
    words = ["own", "mine", "--source", "source", "--task", "smile"]
    command.main(words)
    facts = json.loads((tmp_path / "data/db/mine.json").read_text())
    assert facts["prepared_with"] == words
    assert str(tmp_path) not in json.dumps(facts)


def test_classes_fix_order_and_subset(tmp_path):
    source = folders(tmp_path / "source", names=("a", "b", "c"))
    found = run(source, "--task=x", "--classes", "c", "a")
    assert found.tasks["x"].classes == ("c", "a")
    assert len(found) == 12
    assert dropped(source) == {f"b/{i}.png": own.EXCLUDED for i in range(6)}
    message = refused(run, source, "--task=x", "--classes", "c", "d")
    assert "no image is labelled as x 'd'; correct --classes" in message


def test_folders_of_splits_are_kept(tmp_path):
    root = tmp_path / "source"
    for place, split in enumerate(("Train", "valid", "test")):
        for index, name in enumerate(("no", "yes")):
            draw(root / split / name / "1.png", 2 * place + index)
    draw(root / "train.png", 99)
    draw(root / "Train" / "2.png", 98)
    found = run(root, "--task=smile")
    assert found.tasks["smile"].classes == ("no", "yes")
    names = [path.parent.parent.name for path in found.paths]
    assert [own.SPLITS[name.lower()] for name in names] == list(
        found.rows["split"]
    )
    assert dropped(root) == {
        "train.png": own.NO_FOLDER,
        "Train/2.png": own.NO_FOLDER,
    }


def test_a_table_of_several_tasks_with_gaps(source):
    rows = [
        f"p/{i}.png,{['no', 'yes'][i % 2] if i < 20 else ''},"
        f"{i % 3 if i > 8 else ''},{i}.5,s{i // 2}"
        for i in range(30)
    ]
    found = table(source, "path,Smile,hair colour,age_years,subject", rows)
    assert found.tasks == {
        "smile": Task("smile", ("no", "yes")),
        "hair_colour": Task("hair_colour", ("0", "1", "2")),
    }
    found = found.rows.set_index(found.rows["path"].str.extract(r"(\d+)")[0])
    found.index = found.index.astype(int)
    for i in range(30):
        row = found.loc[i]
        assert row["smile"] == (i % 2 if i < 20 else -1)
        assert row["hair_colour"] == (i % 3 if i > 8 else -1)
        assert row["age_years"] == i + 0.5
        assert row["subject"] == f"s{i // 2}"
    for _, part in found.groupby("subject"):
        assert len(set(part["split"])) == 1


def test_columns_are_chosen(source):
    rows = [f"p/{i}.png,{i % 2},{i % 3},photo {i}" for i in range(30)]
    heading = "path,smile,pose,title"
    message = refused(table, source, heading, rows)
    assert "labels.csv: column title has 30 different values" in message
    assert message.endswith("--tasks smile pose")
    found = run(source, "--csv=labels.csv", "--tasks", "pose", "smile")
    assert list(found.tasks) == ["pose", "smile"]
    assert "title" not in found.rows
    message = refused(run, source, "--csv=labels.csv", "--tasks", "poses")
    assert "no column poses but smile, pose, title" in message
    words = ["--csv=labels.csv", "--tasks", "smile", "pose", "--overwrite"]
    classes = ["smile:1,0", "pose:left,front,right"]
    found = run(source, *words, "--classes", *classes)
    assert found.tasks["smile"].classes == ("1", "0")
    assert found.tasks["pose"].classes == ("left", "front", "right")
    index = found.rows["path"].str.extract(r"(\d+)\.")[0].astype(int)
    assert (found.labels("pose") == index % 3).all()
    assert (found.labels("smile") == 1 - index % 2).all()


def test_the_only_column_gets_the_name_of_the_task(source):
    message = refused(table, source, "path,label", smiles())
    assert "label cannot be the name of a task" in message
    assert "--task NAME" in message
    found = run(source, "--csv=labels.csv", "--task=smile")
    assert found.tasks["smile"].classes == ("no", "yes")


def test_measurements_are_facts(source):
    rows = [f"p/{i}.png,{i % 2}.0,{i / 7:.2f},{-i}" for i in range(30)]
    found = table(source, "path,smile,area,yaw", rows)
    assert found.tasks == {"smile": Task("smile", ("0", "1"))}
    assert set(found.rows) == {"path", "split", "smile", "area", "yaw"}


def votes(rows):
    """Rows of (label, votes for no, votes for yes, weight)."""
    return [f"p/{i}.png,{a},{b},{c},{w}" for i, (a, b, c, w) in enumerate(rows)]


VOTES = "path,smile,smile_no,smile_yes,smile_weight"


def test_votes_become_shares(source):
    rows = [
        *[("no", 3, 1, "0.5"), ("yes", 0, 4, "")] * 10,
        *[("", 1, 3, "1")] * 8,
        ("", 0, 0, ""),
        ("yes", "", "", ""),
    ]
    found = table(source, VOTES, votes(rows))
    assert found.tasks["smile"].classes == ("no", "yes")
    by_name = found.rows.set_index("path")
    columns = ["smile", "smile_no", "smile_yes", "smile_weight"]
    expected = {
        0: [0, 0.75, 0.25, 0.5],
        1: [1, 0, 1, np.nan],
        20: [-1, 0.25, 0.75, 1],
        28: [-1, np.nan, np.nan, np.nan],
        29: [1, np.nan, np.nan, np.nan],
    }
    for index, cells in expected.items():
        row = by_name.loc[f"db/mine/p/{index}.png", columns]
        np.testing.assert_array_equal(row.to_numpy(float), cells)
    # What cannot be scored trains.
    unlabelled = by_name["smile"] == -1
    assert set(by_name["split"][unlabelled]) == {"train"}


def test_votes_alone_are_labels_by_majority(source):
    shares = [(i % 3 / 2, 1 - i % 3 / 2) for i in range(30)]
    rows = [f"p/{i}.png,{a},{b}" for i, (a, b) in enumerate(shares)]
    message = refused(table, source, "path,smile_no,smile_yes", rows)
    assert "only votes" in message
    assert "--majority" in message
    found = run(source, "--csv=labels.csv", "--majority")
    assert found.tasks == {"smile": Task("smile", ("no", "yes"))}
    index = found.rows["path"].str.extract(r"(\d+)\.")[0].astype(int)
    # 0 yes, 1 as many for both, 2 no.
    expected = np.array([1, -1, 0])[index % 3]
    np.testing.assert_array_equal(found.labels("smile"), expected)
    assert (found.is_labelled("smile") | found.has_target("smile")).all()


def test_numbers_of_votes_need_the_names_of_the_classes(source):
    rows = [f"p/{i}.png,{i % 2 * 3},1" for i in range(30)]
    refused(table, source, "path,smile_no,smile_yes", rows)
    words = ["--csv=labels.csv", "--majority", "--classes", "smile:no,yes"]
    found = run(source, *words)
    assert set(found.rows["smile_no"]) == {0, 0.75}
    message = refused(run, source, *words, "maybe:a,b", "--overwrite")
    assert "--classes names maybe, but the tasks are smile" in message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("p/0.png,no,1,,1", "row 2: the votes of smile are not numbers"),
        ("p/0.png,no,1,0,2", "row 2: smile_weight is '2'"),
        ("p/0.png,no,1,0,x", "row 2: smile_weight is 'x'"),
        ("p/0.png,maybe,1,0,1", "no column smile_maybe of numbers"),
    ],
)
def test_bad_votes_are_named(source, row, message):
    rows = votes([("no", 1, 0, ""), ("yes", 0, 1, "")] * 15)
    assert message in refused(table, source, VOTES, [row, *rows[1:]])


def test_a_weight_without_votes_is_refused(source):
    rows = [f"{row},{i % 2}" for i, row in enumerate(smiles())]
    message = refused(table, source, "path,smile,smile_weight", rows)
    assert "smile_weight is the name of votes for smile, but" in message
    rows = [f"{row},{'ab'[i % 2]}" for i, row in enumerate(smiles())]
    message = refused(table, source, "path,smile,smile_no", rows)
    assert "smile_no is the name of votes for smile, but" in message


def test_the_split_column_is_kept(source):
    words = ("train", "Training", "VAL", "valid", "dev", "test", "testing", "")
    rows = [f"{row},{words[i % 8]}" for i, row in enumerate(smiles())]
    found = table(source, "path,smile,split", rows)
    index = found.rows["path"].str.extract(r"(\d+)\.")[0].astype(int)
    expected = [own.SPLITS.get(words[i % 8].lower(), "train") for i in index]
    assert found.rows["split"].tolist() == expected
    rows[6] += "s"
    message = refused(table, source, "path,smile,split", rows)
    assert "labels.csv, row 8: split is 'testings'; write train" in message


def test_images_without_labels_are_a_pool(tmp_path, source):
    message = refused(run, source)
    assert "has the folders p; if they are classes" in message
    found = run(source, "--unlabelled")
    assert found.tasks == {}
    assert len(found) == len(found.split("train")) == 30
    flat = run(source / "p")
    assert len(flat.rows) == 30
    rows = [row.split(",")[0] + ",test" for row in smiles()]
    found = table(source, "path,split", rows, "--overwrite")
    assert found.tasks == {}
    assert set(found.rows["split"]) == {"train"}
    message = refused(run, source / "p", "--task=smile")
    assert "has no folders of classes for --task=smile" in message


@pytest.mark.parametrize(
    "name",
    ["mtfl", "synthetic", "synthetic_pose", "own", "annotate", "Smiles", "ä"],
)
def test_names_of_others_are_refused(tmp_path, name):
    source = folders(tmp_path / "source")
    words = [source, "--task=smile"]
    with pytest.raises(UserError, match=r"lower-case word .* not one of synth"):
        run(*words, name=name)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task=Label"], "'Label' is not a task's name"),
        (["--detector", "--no_crop"], "--no_crop does not"),
        (["--tasks=a"], "--tasks chooses columns"),
        (["--task=a", "--classes", "b"], "two or more different names, not b"),
        (["--task=a", "--classes", "b", "b"], "names, not b, b"),
        (["--task=a", "--classes", "a:b,c", "d"], "names a task for some"),
        (["--task=a", "--no_flip", "b"], "--no_flip names b, but the tasks"),
        (["--task=a", "--unlabelled"], "--unlabelled takes no labels"),
        (["--csv=none.csv"], "cannot read none.csv: No such file"),
        (["--csv=none.csv", "--task=a", "--tasks=b"], "--task or --tasks"),
    ],
)
def test_flags_that_contradict_each_other(tmp_path, words, message):
    source = folders(tmp_path / "source")
    assert message in refused(run, source, *words)


def test_a_path_that_leaves_the_source_is_dropped(source, tmp_path):
    draw(tmp_path / "secret" / "1.png", 77)
    draw(source / ".hidden.png", 78)
    (source / "p" / "1.heic").write_bytes(b"x")
    (source / "p" / "broken.png").write_bytes(b"x")
    (source / "link.png").symlink_to(tmp_path / "secret" / "1.png")
    (source / "folder").symlink_to(tmp_path / "secret")
    (source / "inside.png").symlink_to(source / "p" / "3.png")
    expected = {
        "../secret/1.png": places.OUTSIDE,
        "p/../../secret/1.png": places.OUTSIDE,
        "..\\secret\\1.png": places.OUTSIDE,
        # Shorter than a temporary path may be, as long names are cut.
        "/secret/1.png": places.ABSOLUTE,
        "C:\\secret\\1.png": places.ABSOLUTE,
        "link.png": places.OUTSIDE,
        "folder/1.png": places.OUTSIDE,
        ".hidden.png": places.HIDDEN,
        "p/1.heic": places.FORMAT,
        "p": crops.MISSING,
        "p/gone.png": crops.MISSING,
        "p/0.png/1.png": crops.MISSING,
        "x\0y": crops.MISSING,
        "p/broken.png": crops.UNREADABLE,
        "./p/4.png": common.REPEATED,
        "p/5.png": common.CONTRADICTED,
        "": places.NO_PATH,
    }
    rows = [*smiles(), "inside.png,no", *(f"{name},no" for name in expected)]
    found = table(source, "path,smile", rows)
    assert len(found) == 31
    expected["x?y"] = expected.pop("x\0y")
    assert dropped(source) == expected


def test_long_names_and_control_characters_are_dropped(source):
    long = "x" * 240 + ".png"
    draw(source / "p" / long, 1)
    draw(source / "p" / "a\rb.png", 2)
    rows = [*smiles(), f"p/{long},no", '"p/a\rb.png",no', "y" * 5000 + ",no"]
    assert len(table(source, "path,smile", rows)) == 30
    reasons = sorted(dropped(source).values())
    assert reasons == sorted([places.LONG, places.ODD, crops.MISSING])
    assert max(map(len, dropped(source))) == own.LONGEST_NAME


def test_paths_as_windows_writes_them(source):
    rows = [row.replace("/", "\\") for row in smiles()]
    assert len(table(source, "path,smile", rows)) == 30


def test_a_table_of_other_images_is_refused(source):
    rows = ["/else/1.png,no", "2.png,yes"]
    message = refused(table, source, "path,smile", rows)
    assert "none of 2 images can be used" in message
    assert "'/else/1.png' (absolute path); write paths relative to" in message


def test_images_of_other_formats_are_converted(tmp_path):
    source = folders(tmp_path / "source")
    ends = ("bmp", "tif", "webp")
    for place, suffix in enumerate(ends):
        draw(source / "no" / f"0.{suffix}", 50 + place)
    draw(source / "no" / "0.bmp.png", 60)
    found = run(source, "--task=smile")
    names = [path.name for path in found.paths if path.stem[0] == "0"]
    converted = [f"0.{end}.png" for end in ("bmp.png", *ends)]
    assert sorted(names) == sorted(["0.png"] * 2 + converted)


def test_photos_are_turned_upright_and_reduced(tmp_path):
    source = folders(tmp_path / "source")
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    photo = Image.radial_gradient("L").crop((0, 0, 200, 100)).convert("RGB")
    photo.save(source / "no" / "turned.jpg", exif=turned)
    clear = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
    clear.save(source / "yes" / "clear.png")
    found = run(source, "--task=smile", "--size=64")
    by_name = {path.name: np.asarray(Image.open(path)) for path in found.paths}
    assert by_name["turned.jpg"].shape == (64, 32, 3)
    assert by_name["clear.png"].shape == (30, 40, 3)
    assert (by_name["clear.png"] == 255).all()


def test_faces_are_cropped_on_request(tmp_path, monkeypatch):
    class Face:
        box = (2.0, 2.0, 8.0, 8.0)

    def detector(image):
        return [Face()] if image[0, 0, 0] % 2 else []

    detector.name = "stand-in"
    monkeypatch.setattr(common.detect, "open", lambda model: detector)
    source = folders(tmp_path / "source", count=30)
    found = run(source, "--task=smile", "--detector")
    assert 0 < len(found) < 60
    assert {Image.open(path).size for path in found.paths} == {(6, 6)}
    assert set(dropped(source).values()) == {"no face found"}


def test_ten_images_are_enough(tmp_path):
    source = folders(tmp_path / "source", count=5)
    found = run(source, "--task=smile")
    counts = tables.counts(found.rows, list(found.tasks.values()))
    assert counts["train"]["smile"] == {"no": 3, "yes": 3}
    assert counts["validation"]["smile"] == {"no": 1, "yes": 1}
    assert counts["test"]["smile"] == {"no": 1, "yes": 1}


@pytest.mark.parametrize(
    ("count", "names", "message"),
    [
        (1, ("no", "yes"), "column smile has 2 different values, most of"),
        (5, ("no",), "column smile has only one value, 'no'"),
    ],
)
def test_too_few_images_or_classes(tmp_path, count, names, message):
    source = folders(tmp_path / "source", count, names)
    assert message in refused(run, source, "--task=smile")


def test_subjects_too_few_for_three_splits(source):
    rows = [f"{row},s{i % 2}" for i, row in enumerate(smiles())]
    message = refused(table, source, "path,smile,subject", rows)
    assert "30 usable images, in 2 groups of the same subject" in message
    assert "a column split" in message


def test_a_class_without_a_training_image_is_refused(source):
    words = ("test", "train")
    rows = [f"{row},{words[i % 2]}" for i, row in enumerate(smiles())]
    rows[0] = "p/0.png,no,validation"
    message = refused(table, source, "path,smile,split", rows)
    assert "no usable image with smile no of mine for train" in message
    assert "leave a class out with --classes" in message


def test_copies_do_not_straddle_two_splits(source):
    for index in range(10, 20):
        draw(source / "p" / f"{index}.png", 5)
    found = table(source, "path,smile", smiles())
    assert len(found) == 30
    pixels = {}
    for path, split in zip(found.paths, found.rows["split"], strict=True):
        key = np.asarray(Image.open(path)).tobytes()
        assert pixels.setdefault(key, split) == split


def test_a_second_run_does_nothing_and_changes_are_listed(source, capsys):
    table(source, "path,smile", smiles())
    run(source, "--csv=labels.csv")
    assert "mine is up to date" in capsys.readouterr().out
    message = refused(run, source, "--csv=labels.csv", "--seed=1")
    assert "--seed was 0 and is 1; give --overwrite" in message
    message = refused(table, source, "path,smile", smiles()[:20])
    assert "the labels in --source have changed" in message
    found = run(source, "--csv=labels.csv", "--overwrite")
    assert len(found) == 20


def test_the_seed_decides(source):
    one = table(source, "path,smile", smiles()).rows
    again = run(source, "--csv=labels.csv", "--overwrite").rows
    other = run(source, "--csv=labels.csv", "--overwrite", "--seed=1").rows
    pd.testing.assert_frame_equal(one, again)
    assert (one["split"] != other["split"]).any()


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]
)
def test_encodings_and_separators(source, separator, encoding):
    words = (" ja, bitte ", "いいえ", "לא")
    rows = [
        separator.join([f" p/{i}.png", f'"{words[i % 3]}" '.strip(), "0,5"])
        for i in range(30)
    ]
    if separator == ",":
        rows = [row.replace("0,5", '"0,5"') for row in rows]
    text = separator.join([' "Path" '.strip(), "smile", "yaw"]) + "\r\n\r\n"
    path = source / "labels.csv"
    path.write_bytes((text + "\r\n".join(rows)).encode(encoding))
    found = run(source, "--csv", str(path))
    classes = tuple(sorted(["ja, bitte", "いいえ", "לא"]))
    assert found.tasks == {"smile": Task("smile", classes)}
    assert set(found.rows["yaw"]) == {0.5}
    index = found.rows["path"].str.extract(r"(\d+)\.")[0].astype(int)
    labels = [classes.index(words[i % 3].strip()) for i in index]
    assert found.labels("smile").tolist() == labels


GOOD = "\n".join(["path,smile", *smiles()]) + "\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "labels.csv is empty; write a heading"),
        (b" \n,\n", "labels.csv is empty; write a heading"),
        (b"path,smile\n", "has no row below its headings"),
        (b"image,smile\n1,2\n", "has no column path but image, smile; rename"),
        (b"PK\x03\x04rest", "is a workbook, not a CSV file"),
        (b"path,smile\np/0.png,\xff\n", "row 2: not valid UTF-8; save"),
        (b"\xff\xfea\0,\0\n", "not valid UTF-16"),
        (GOOD + 'p/1.png,"no', "row 32: unexpected end of data; is a quote"),
        (GOOD + "p/1.png," + "x" * 10**6, "row 32: field larger than"),
        (GOOD + "p/1.png," + "x" * 200, "row 32: smile has 200 letters"),
        (GOOD + "p/1.png,no,yes", "row 32: 3 cells under 2 headings; put"),
        (GOOD.replace("smile", "path"), "two columns are called 'path'"),
        (GOOD.replace("path,smile", "path,PATH"), "two columns are called"),
        (GOOD.replace("p/29.png,yes", "p/29.png,a\x01b"), "row 31: 'a\\x01b'"),
        (GOOD.replace(",yes", ",label"), "row 3: 'label' cannot be the name"),
        (GOOD.replace("smile", "größe"), "'größe' cannot be the name of a"),
        (GOOD.replace(",yes", ",no"), "column smile has only one value, 'no'"),
        (GOOD.replace(",yes", ",").replace(",no", ","), "smile has no value"),
        ("path," + "a," * 1001 + "\n", "1,003 columns, more than 1,000"),
    ],
)
def test_broken_tables_are_one_line(source, content, message):
    if isinstance(content, str):
        content = content.encode()
    (source / "labels.csv").write_bytes(content)
    found = refused(run, source, "--csv=labels.csv")
    assert str(source / "labels.csv") in found
    assert message in found


def test_short_rows_and_columns_without_a_heading(source):
    rows = [f"{i},p/{i}.png" + f",{i % 2}" * (i < 20) for i in range(30)]
    found = table(source, ",path,smile", rows)
    assert set(found.rows) == {"path", "split", "smile"}
    assert (found.labels("smile") >= 0).sum() == 20


def test_a_class_without_its_other_side_is_not_flipped(source):
    rows = smiles(words=("left hand", "foot"))
    assert not table(source, "path,part", rows).tasks["part"].can_flip


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder with four images, 0.png to 3.png."""
    folder = tmp_path_factory.mktemp("images")
    for index in range(4):
        draw(folder / f"{index}.png", index)
    return folder


CELL = st.one_of(
    st.sampled_from(["no", "yes", "0", "1", "1.0", "0,5", "", "train", "test"]),
    st.text(max_size=6),
)
HEADINGS = [
    *("path", "smile", "smile_no", "smile_yes", "smile_weight", "split"),
    *("subject", "yaw", "age_years", "label", "Smile", "a_b", "a_b_c"),
]
HEADING = st.one_of(st.sampled_from(HEADINGS), st.text(max_size=6))
PATH = st.one_of(
    st.sampled_from(["0.png", "1.png", "2.png", "3.png", "../0.png", ""]),
    st.text(max_size=6),
)


@st.composite
def spreadsheets(draw):
    """Bytes that look like a table, more or less."""
    headings = draw(st.lists(HEADING, max_size=5))
    rows = draw(
        st.lists(
            st.tuples(PATH, st.lists(CELL, max_size=6)).map(
                lambda row: [row[0], *row[1]]
            ),
            max_size=12,
        )
    )
    separator = draw(st.sampled_from(",;\t|"))
    lines = [separator.join(["path", *headings])]
    lines += [separator.join(row) for row in rows]
    text = draw(st.sampled_from(["\n", "\r\n", "\r"])).join(lines)
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    return text.encode(encoding, "replace")


@given(content=st.one_of(spreadsheets(), st.binary(max_size=200)))
@example(content=b"path,a\n0.png,1\n1.png,2\n2.png,1\n3.png,2\n")
def test_any_bytes_are_a_table_or_one_line(images, content):
    (images / "labels.csv").write_bytes(content)
    args = arguments(images, "--csv=labels.csv")
    try:
        faces, found = own.read(own.read_table(args), args)
    except UserError as error:
        check_message(error)
        return
    good = faces[faces["reason"] == ""]
    assert set(good["source"]) <= {images / f"{i}.png" for i in range(4)}
    for task in found.tasks:
        assert len(task) > 1
        assert good[task.name].isin(range(-1, len(task))).all()
        shares = [f"{task.name}_{label}" for label in task.classes]
        if set(shares) & set(good):
            total = good[shares].sum(axis=1, skipna=False).dropna()
            np.testing.assert_allclose(total, 1, atol=1e-5)


def check_message(error):
    """One line that names the file and, behind a semicolon, the cure."""
    message = str(error)
    assert len(message.splitlines()) == 1
    assert "labels.csv" in message
    assert ";" in message


def arguments(source, *words):
    parser = own.flags.parser("", None)
    own.add_arguments(parser)
    return parser.parse_args(["mine", f"--source={source}", *words])


@given(
    classes=st.lists(
        st.text(min_size=1, max_size=8).filter(str.strip),
        min_size=2,
        max_size=3,
        unique=True,
    )
)
def test_class_names_in_any_script_are_read_back(images, classes):
    """Names that cannot be read back are refused."""
    rows = pd.DataFrame({"path": [f"{i}.png" for i in range(4)] * 3})
    rows["smile"] = [classes[i % len(classes)] for i in range(12)]
    rows.to_csv(images / "labels.csv", index=False, quoting=csv.QUOTE_ALL)
    args = arguments(images, "--csv=labels.csv")
    try:
        faces, found = own.read(own.read_table(args), args)
    except UserError as error:
        # One of the names cannot be one, or two are the same.
        check_message(error)
        return
    (task,) = found.tasks
    for name, label in zip(rows["smile"], faces["smile"], strict=True):
        read = task.classes[label]
        name = own.labels.unicodedata.normalize("NFC", name).strip()
        assert read == name or float(read) == float(name)


def test_prepared_tables_of_any_kind_are_checked(source, capsys):
    """Partial labels with votes, and an unlabelled pool."""
    rows = [("no", 3, 1, "0.5"), ("yes", 0, 4, "")] * 10 + [("", 1, 3, "")] * 5
    rows += [("", "", "", "")] * 5
    table(source, VOTES, votes(rows))
    data = source.parent / "data"
    command.main(["check", "mine", f"--data_dir={data}"])
    out = data / "db" / "mine.check"
    report = json.loads((out / "report.json").read_text())
    assert report["labels"] == {
        "smile": {"labelled": 20, "voted": 5, "unlabelled": 5}
    }
    names = {path.name for path in out.glob("*.png")}
    assert names == {
        "sheet_smile_0_no.png",
        "sheet_smile_1_yes.png",
        "sheet_unlabelled.png",
    }
    assert "20 labelled, 5 with votes alone" in capsys.readouterr().out
    run(source, "--unlabelled", name="pool")
    command.main(["check", "pool", f"--data_dir={data}"])
    names = [path.name for path in (data / "db" / "pool.check").glob("*.png")]
    assert names == ["sheet_unlabelled.png"]


@pytest.mark.filterwarnings("ignore:Glyph")  # of letters the font lacks
def test_names_like_formulas_are_drawn_as_they_are(source):
    table(source, "path,x", smiles(words=("a$\\frac$", "いいえ [b]")))
    data = source.parent / "data"
    command.main(["check", "mine", f"--data_dir={data}"])
    assert len(list((data / "db" / "mine.check").glob("*.png"))) == 2


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(["own", "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert own.__doc__.strip() in shown
    assert "examples:" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_names_that_are_not_text_are_dropped(tmp_path):
    source = folders(tmp_path / os.fsdecode(b"caf\xe9"))
    draw(source / "no" / os.fsdecode(b"caf\xe9.png"), 99)
    assert len(run(source, "--task=smile")) == 12
    assert common.ODD_NAME in dropped_bytes(source)


def dropped_bytes(source):
    path = source.parent / "data" / "db" / "mine.dropped.csv"
    return path.read_text(encoding="utf-8")

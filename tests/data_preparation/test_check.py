"""The check of a prepared set: report, files and user errors."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tiny
from PIL import ExifTags, Image

from data_preparation import __main__ as command
from data_preparation import check as check_module
from samtl.common.errors import UserError
from samtl.data import images
from samtl.inference import loading
from samtl.inference.predictor import Predictor


@pytest.fixture
def data_dir(tmp_path):
    """A set, toy: an unreadable image, a duplicate, a person in two splits."""
    data_dir = tmp_path / "data"
    tiny.dataset(data_dir, "toy", ["pose", "gender"])
    folder = data_dir / "db" / "toy"
    (folder / "train3.png").write_text("no image")
    shutil.copy(folder / "train0.png", folder / "test0.png")
    path = data_dir / "db" / "toy.csv"
    rows = pd.read_csv(path)
    rows["subject"] = ["ann", "", *["bob"] * 20, *[""] * 9, "ann"]
    rows.to_csv(path, index=False)
    return data_dir


def check(data_dir, *words):
    command.main(["check", "toy", f"--data_dir={data_dir}", *words])
    out = data_dir / "db" / "toy.check"
    return json.loads((out / "report.json").read_text())


def stand_in(path):
    """A network with a confident prediction "female" for every face."""
    return Predictor(
        "best.onnx",
        {"gender": ("female", "male"), "age": ("young", "old")},
        (8, 8, 1),
        0.7,
        {"gender": 1.0, "age": 1.0},
        {"gender": [0, 1], "age": [0, 1]},
        lambda images: {
            task: np.tile([0.96, 0.04], (len(images), 1))
            for task in ("gender", "age")
        },
    )


def test_the_report_lists_the_errors(data_dir, capsys):
    report = check(data_dir)
    assert report["counts"]["train"]["rows"] == 16
    assert report["imbalance"]["gender"]["train"] == 1
    assert report["imbalance"]["pose"]["train"] == 4 / 3
    assert report["images"]["unreadable"] == 1
    assert report["images"]["width"] == {"min": 24, "median": 24, "max": 24}
    assert report["copies"]["exact"]["across_splits"] == 1
    assert report["subjects"] == {
        "rows_with_subject": 22,
        "subjects": 2,
        "in_several_splits": 2,
    }
    assert "network" not in report
    out = data_dir / "db" / "toy.check"
    unreadable = pd.read_csv(out / "unreadable.csv")
    assert unreadable["path"].tolist() == ["db/toy/train3.png"]
    pair = pd.read_csv(out / "duplicates.csv").iloc[0]
    assert [pair["kind"], pair["path"], pair["other_path"]] == [
        "exact",
        "db/toy/train0.png",
        "db/toy/test0.png",
    ]
    people = pd.read_csv(out / "subjects.csv", index_col="subject")
    assert people.loc["ann"].tolist() == [1, 0, 1]
    assert people.loc["bob"].tolist() == [14, 6, 0]
    names = sorted(path.name for path in out.glob("*.png"))
    assert names[0] == "sheet_gender_0_female.png"
    assert names[-1] == "sheet_pose_4_right_profile.png"
    assert len(names) == 7
    shown = capsys.readouterr().out
    assert "24 to 24, median 24" in shown
    assert "2 of 2" in shown


def test_a_network_lists_suspicious_labels(data_dir, monkeypatch):
    monkeypatch.setattr(loading, "load", stand_in)
    report = check(data_dir, "--weights=best.onnx")
    # 31 images can be read; train3 was one of the 16 men.
    entry = report["network"]["tasks"]["gender"]
    assert entry["compared"] == 31
    assert entry["suspects"] == 15
    assert entry["agreement"] == pytest.approx(16 / 31)
    assert "age" not in report["network"]["tasks"]
    out = data_dir / "db" / "toy.check"
    suspects = pd.read_csv(out / "suspects.csv")
    assert set(suspects["label"]) == {"male"}
    assert set(suspects["prediction"]) == {"female"}
    assert suspects["confidence"].tolist() == [0.96] * 15
    assert (out / "sheet_gender_suspects.png").exists()
    report = check(
        data_dir, "--weights=best.onnx", "--confidence=0.97", "--overwrite"
    )
    assert report["network"]["tasks"]["gender"]["suspects"] == 0
    assert not (out / "sheet_gender_suspects.png").exists()


def test_images_are_decoded_as_in_training(data_dir, monkeypatch):
    path = data_dir / "db" / "toy" / "train0.png"
    # On its side, as a phone stores it.
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    photo = Image.radial_gradient("L").crop((0, 0, 40, 24)).convert("RGB")
    photo.save(path, "JPEG", exif=turned)
    drawn = []
    monkeypatch.setattr(
        check_module.plots,
        "contact_sheet",
        lambda path, pixels, *rest: drawn.extend(pixels),
    )
    report = check(data_dir)
    assert report["images"]["height"]["max"] == 40
    seen = images.read(path, (40, 24, 3))
    assert any(np.array_equal(pixels, seen) for pixels in drawn)


def test_a_set_without_a_readable_image_is_a_result(data_dir, monkeypatch):
    monkeypatch.setattr(loading, "load", stand_in)
    for image in (data_dir / "db" / "toy").iterdir():
        image.write_bytes(b"")
    report = check(data_dir, "--weights=best.onnx")
    assert report["images"] == {"unreadable": 32, "width": None, "height": None}
    assert report["network"]["tasks"]["gender"]["agreement"] is None
    assert not list((data_dir / "db" / "toy.check").glob("*.png"))


def test_a_network_for_other_tasks_is_refused(data_dir, monkeypatch):
    def load(path):
        tasks = {"age": ("a",)}
        return Predictor("x", tasks, (8, 8, 1), 0, {}, {}, None)

    monkeypatch.setattr(loading, "load", load)
    with pytest.raises(UserError, match="predicts age, toy is labelled for"):
        check(data_dir, "--weights=x.onnx")


def test_the_folder_of_the_report_is_printed_as_it_is(data_dir, capsys):
    out = data_dir / "report[/b] [old]"
    command.main(["check", "toy", f"--data_dir={data_dir}", f"--out={out}"])
    assert capsys.readouterr().out.endswith(f"\nwrote {out}\n")


def test_a_report_is_replaced_only_on_request(data_dir, tmp_path):
    out = data_dir / "db" / "toy.check"
    check(data_dir)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"not empty; give --overwrite"):
        check(data_dir)
    check(data_dir, "--overwrite")
    assert (out / "notes.txt").read_text() == "mine"
    other = tmp_path / "other"
    other.mkdir()
    (other / "sheet_music.png").write_text("mine")
    with pytest.raises(UserError, match="another folder as --out"):
        check(data_dir, "--overwrite", f"--out={other}")
    assert (other / "sheet_music.png").exists()


def test_unprepared_sets_are_refused_as_in_training(data_dir):
    with pytest.raises(UserError, match="dataset none is not prepared"):
        command.main(["check", "none", f"--data_dir={data_dir}"])
    (data_dir / "db" / "toy" / "train5.png").unlink()
    with pytest.raises(UserError, match=r"image .*train5.png' is missing"):
        check(data_dir)


def test_help_fits(capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(["check", "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "python -m data_preparation check" in shown
    assert max(map(len, shown.splitlines())) <= 80

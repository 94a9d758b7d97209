"""The image demo from its command line, with a stand-in for the network."""

import csv
import errno
import json
import os
import subprocess
import sys
import tempfile

import cv2
import numpy as np
import pytest
from PIL import Image

import final_image_demo
from samtl.common.errors import UserError, run_script
from samtl.demos import image as image_demo
from samtl.faces import detect, inputs, prediction
from samtl.faces.media import output
from samtl.inference import loading
from tests.faces import stand_ins

BOXES = [(40, 40, 100, 110), (180, 60, 260, 160)]


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """A function that runs the demo in an empty folder."""
    network = stand_ins.network(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(detect, "open", lambda *_, **__: stand_ins.Detector())
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def run(*words):
        words = map(str, words)
        final_image_demo.main([*words, f"--weights={network}"])

    return run


def _save(path, boxes=()):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(stand_ins.picture(boxes)).save(path)
    return path


def test_results_as_json_and_csv(demo, tmp_path, capsys):
    two = _save(tmp_path / "photos" / "two.png", BOXES)
    none = _save(tmp_path / "photos" / "none.png")
    demo("photos", "--json=found.json", "--csv=found.csv", "--batch_size=1")
    content = json.loads((tmp_path / "found.json").read_text())
    assert content["detector"] == "red"
    images = {image["file"]: image for image in content["images"]}
    assert images[os.path.join("photos", none.name)]["faces"] == []
    image = images[os.path.join("photos", two.name)]
    assert (image["width"], image["height"]) == (320, 240)
    assert [face["box"] for face in image["faces"]] == [list(b) for b in BOXES]
    for face in image["faces"]:
        assert face["score"] == 0.9
        assert list(face["labels"]) == list(stand_ins.TASKS)
        for task, entry in face["labels"].items():
            shares = entry["probabilities"]
            assert list(shares) == stand_ins.TASKS[task]
            assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
            assert entry["confidence"] == shares[entry["label"]]
            assert entry["confidence"] == max(shares.values())
            assert entry["unsure"] == (entry["confidence"] < 0.5)
    with (tmp_path / "found.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["face"] for row in rows] == ["1", "2"]
    for row, face in zip(rows, image["faces"], strict=True):
        assert row["file"] == image["file"]
        assert float(row["left"]) == face["box"][0]
        mood = face["labels"]["emotion"]
        assert row["emotion"] == mood["label"]
        assert float(row["emotion_sad"]) == mood["probabilities"]["sad"]
    printed = capsys.readouterr().out
    assert "2 faces" in printed
    assert "no face" in printed
    annotated = cv2.imread(image["annotated"])
    assert annotated.shape[0] > 240


def test_the_yaw_is_in_degrees(demo, tmp_path):
    _save(tmp_path / "two.png", BOXES)
    demo("two.png", "--json=found.json", "--csv=found.csv")
    (image,) = json.loads((tmp_path / "found.json").read_text())["images"]
    with (tmp_path / "found.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for face, row in zip(image["faces"], rows, strict=True):
        shares = face["labels"]["pose"]["probabilities"]
        expected = prediction.yaw(shares)
        assert face["yaw"] == pytest.approx(expected, abs=0.1)
        assert float(row["yaw"]) == face["yaw"]


def test_crops_are_faces_as_they_are(demo, tmp_path, monkeypatch):
    monkeypatch.setattr(detect, "open", None)  # not called
    predictor = loading.load(stand_ins.network(tmp_path))
    sizes = {"square.png": (16, 16), "wide.png": (30, 50)}
    for number, (name, size) in enumerate(sizes.items()):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    demo(*sizes, "--crops", "--json=found.json")
    content = json.loads((tmp_path / "found.json").read_text())
    assert content["detector"] is None
    for image in content["images"]:
        (face,) = image["faces"]
        height, width = sizes[image["file"]]
        assert face["box"] == [0, 0, width, height]
        gray = cv2.imread(image["file"], cv2.IMREAD_GRAYSCALE)
        small = cv2.resize(gray, (16, 16), interpolation=cv2.INTER_AREA)
        expected = predictor.probabilities([small[..., None]])
        for task, entry in face["labels"].items():
            shares = list(entry["probabilities"].values())
            np.testing.assert_allclose(shares, expected[task][0], atol=5e-3)


def test_crops_need_no_detector(demo):
    with pytest.raises(UserError, match="omit --detector_model"):
        demo("--crops", "--detector_model=yunet.onnx")


def test_the_expected_age_is_the_last_key_and_column(demo, tmp_path, capsys):
    _save(tmp_path / "two.png", BOXES)
    results = "--json=found.json", "--csv=found.csv", "--overwrite"
    demo("two.png", *results)
    plain = (tmp_path / "found.csv").read_text().splitlines()[0]
    assert "age" not in plain
    assert " years" not in capsys.readouterr().out
    stand_ins.network(tmp_path, stand_ins.WITH_AGE)
    demo("two.png", *results, "--batch_size=1")
    (image,) = json.loads((tmp_path / "found.json").read_text())["images"]
    with (tmp_path / "found.csv").open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header[-2:] == ["age_60+", "age_years"]
    printed = capsys.readouterr().out
    for face, row in zip(image["faces"], rows, strict=True):
        shares = face["labels"]["age"]["probabilities"]
        expected = sum(
            shares[group] * years
            for group, years in (("0-2", 1), ("15-20", 17.5), ("60+", 70))
        )
        assert list(face)[-2:] == ["labels", "age_years"]
        assert face["age_years"] == pytest.approx(expected, abs=0.06)
        assert float(row[-1]) == face["age_years"]
        assert f", about {expected:.0f} years\n" in printed


def test_the_batch_size_changes_nothing(demo, tmp_path):
    for index in range(7):
        _save(tmp_path / "photos" / f"{index}.png", BOXES[: index % 3])
    found = []
    for size in (1, 3, 32):
        demo("photos", f"--json={size}.json", f"--batch_size={size}")
        images = json.loads((tmp_path / f"{size}.json").read_text())["images"]
        found.append([(image["file"], image["faces"]) for image in images])
    assert found[0] == found[1] == found[2]
    counts = [len(faces) for _, faces in found[0]]
    assert counts == [0, 1, 2, 0, 1, 2, 0]


def test_large_images_are_read_one_at_a_time(demo, tmp_path, monkeypatch):
    for index in range(6):
        _save(tmp_path / "photos" / f"{index}.png", BOXES)
    read, write, numbers = inputs.read, output.write_image, [0]

    def counted(path):
        numbers.append(numbers[-1] + 1)
        return read(path)

    def done(path, image):
        write(path, image)
        numbers.append(numbers[-1] - 1)

    monkeypatch.setattr(inputs, "read", counted)
    monkeypatch.setattr(output, "write_image", done)
    for held, most in ((50_000, 1), (10**9, 6)):
        numbers[:] = [0]
        monkeypatch.setattr(image_demo, "HELD", held)
        demo("photos")
        assert max(numbers) == most
        assert numbers[-1] == 0


def test_images_that_pillow_can_read_give_no_warning(
    demo, tmp_path, monkeypatch, recwarn
):
    image = Image.fromarray(stand_ins.picture(BOXES))
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"
    for index in range(4):
        image.save(tmp_path / f"{index}.jpg", exif=exif)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)
    demo("*.jpg")
    assert len(list((tmp_path / "demo_output").iterdir())) == 4
    assert not recwarn.list


def test_a_broken_file_does_not_stop_the_others(demo, tmp_path, capsys):
    _save(tmp_path / "photos" / "a.png", BOXES)
    (tmp_path / "photos" / "b.jpg").write_text("dear diary")
    (tmp_path / "photos" / "c.jpg").touch()
    _save(tmp_path / "photos" / "d.png", BOXES)
    with pytest.raises(SystemExit) as caught:
        demo("photos", "gone.png", "--json=found.json")
    assert caught.value.code == 1
    printed = capsys.readouterr().err
    assert "3 of 5 failed" in printed
    for name in ("b.jpg", "c.jpg", "gone.png"):
        assert name in printed
    images = json.loads((tmp_path / "found.json").read_text())["images"]
    assert ["error" in image for image in images] == [
        False,
        True,
        True,
        False,
        True,
    ]
    names = sorted(path.name for path in (tmp_path / "demo_output").iterdir())
    assert names == ["a_faces.png", "d_faces.png"]


def test_nothing_is_overwritten_unless_asked(demo, tmp_path):
    for folder in ("one", "two"):
        _save(tmp_path / folder / "a.png")
    copies = tmp_path / "demo_output"

    def names():
        return sorted(path.name for path in copies.iterdir())

    demo("one", "two")
    assert names() == ["a_faces.png", "a_faces_2.png"]
    demo("one", "--overwrite")
    assert names() == ["a_faces.png", "a_faces_2.png"]
    demo("one")
    assert names() == ["a_faces.png", "a_faces_2.png", "a_faces_3.png"]
    demo("one", "--overwrite", "--json=found.json")
    with pytest.raises(UserError, match=r"found\.json exists"):
        demo("one", "--json=found.json")
    demo("one", "--overwrite", "--json=found.json")


def test_an_input_in_the_output_folder_is_not_overwritten(demo, tmp_path):
    for name in ("a.png", "a_faces.png"):
        before = _save(tmp_path / "out" / name, BOXES).read_bytes()
    demo("out", "--output=out", "--overwrite")
    assert (tmp_path / "out" / "a_faces.png").read_bytes() == before
    assert (tmp_path / "out" / "a_faces_2.png").exists()


def test_an_input_by_another_name_is_not_overwritten(demo, tmp_path):
    original = _save(tmp_path / "out" / "a_faces.png", BOXES)
    before = original.read_bytes()
    link = tmp_path / "photos" / "a.png"
    link.parent.mkdir()
    link.symlink_to(original)
    demo("photos", "--output=out", "--overwrite")
    assert original.read_bytes() == before
    assert (tmp_path / "out" / "a_faces_2.png").exists()


def test_results_never_replace_an_input(demo, tmp_path):
    before = _save(tmp_path / "a.png", BOXES).read_bytes()
    (tmp_path / "soft.json").symlink_to("a.png")
    (tmp_path / "hard.json").hardlink_to(tmp_path / "a.png")
    for name in ("a.png", "soft.json", "hard.json"):
        for flag in ("json", "csv"):
            with pytest.raises(UserError, match="is an input"):
                demo("a.png", f"--{flag}={name}", "--overwrite")
    assert (tmp_path / "a.png").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_noticed_at_once(
    demo, tmp_path, monkeypatch
):
    def refuse(dir):
        if dir.name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied")
        return open_file(dir=dir)

    open_file = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    _save(tmp_path / "a.png", BOXES)
    for flag in ("json=locked/a.json", "csv=locked/a.csv", "output=locked"):
        with pytest.raises(UserError, match="denied; choose a writable folder"):
            demo("a.png", f"--{flag}")
    assert not list((tmp_path / "locked").iterdir())
    assert not list((tmp_path / "demo_output").iterdir())


def test_results_are_written_after_errors_and_interrupts(
    demo, tmp_path, monkeypatch
):
    for name in "abc":
        _save(tmp_path / "photos" / f"{name}.png", BOXES)
    write = output.write_image

    def interrupted(path, image):
        if path.stem == "c_faces":
            raise KeyboardInterrupt
        if path.stem == "b_faces":
            raise UserError("the disk is full")
        write(path, image)

    monkeypatch.setattr(output, "write_image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        demo("photos", "--json=found.json")
    images = json.loads((tmp_path / "found.json").read_text())["images"]
    assert [image.get("error") for image in images] == [
        None,
        "the disk is full",
    ]


@pytest.mark.skipif(os.name != "posix", reason="/dev/full")
def test_a_result_that_cannot_be_written_leaves_the_other(
    demo, tmp_path, capsys
):
    _save(tmp_path / "a.png")
    with pytest.raises(UserError, match="cannot write /dev/full"):
        demo("a.png", "gone.png", "--json=/dev/full", "--csv=found.csv")
    assert (tmp_path / "found.csv").read_text().startswith("file,face")
    assert "1 of 2 failed" in capsys.readouterr().err


def test_a_link_to_itself_is_a_bad_file(demo, tmp_path, capsys):
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    with pytest.raises(SystemExit):
        demo("loop.jpg", "--json=found.json")
    assert "cannot read loop.jpg" in capsys.readouterr().err


def test_results_go_to_pipes_too(demo, tmp_path):
    _save(tmp_path / "a.png", BOXES)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    demo("a.png", f"--json={pipe}")
    assert len(json.loads(reader.communicate(timeout=60)[0])["images"]) == 1
    assert pipe.is_fifo()


def test_names_that_are_long_or_not_valid_utf8(demo, tmp_path):
    long = _save(tmp_path / f"a{'ü' * 119}.png", BOXES)
    odd = _save(tmp_path / os.fsdecode(b"caf\xe9.png"), BOXES)
    demo(long.name, odd.name, "--json=found.json", "--csv=found.csv")
    images = json.loads((tmp_path / "found.json").read_text())["images"]
    assert [len(image["faces"]) for image in images] == [2, 2]
    assert images[1]["file"] == "caf\\udce9.png"
    copies = [path.name for path in (tmp_path / "demo_output").iterdir()]
    assert sorted(copies)[0] == f"a{'ü' * 99}_faces.png"
    assert len(copies) == 2


def test_escape_closes_all_windows(demo, tmp_path, monkeypatch):
    for name in "abc":
        _save(tmp_path / "photos" / f"{name}.png")
    shown = []
    monkeypatch.setattr(output, "_check_window", lambda: None)
    monkeypatch.setattr(
        output,
        "show",
        lambda image, title, wait: shown.append(title) or len(shown) == 2,
    )
    demo("photos", "--show")
    assert len(shown) == 2


def test_impossible_commands_are_refused_at_once(demo, tmp_path, monkeypatch):
    _save(tmp_path / "a.png")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--show needs a display"):
        demo("a.png", "--show")
    monkeypatch.setenv("DISPLAY", ":77")
    with pytest.raises(UserError, match=r"answer|headless"):
        demo("a.png", "--show")
    with pytest.raises(UserError, match="choose a writable folder"):
        demo("a.png", "--output=file/folder")
    with pytest.raises(UserError, match="no image in"):
        demo("*.gif")
    with pytest.raises(UserError, match="is named twice"):
        demo("a.png", "--json=found", "--csv=found")
    with pytest.raises(UserError, match="is a directory"):
        demo("a.png", "--json=.")
    with pytest.raises(UserError, match="min_confidence"):
        demo("a.png", "--min_confidence=2")


def test_jpegs_stay_jpegs_and_huge_or_tiny_images_work(demo, tmp_path):
    Image.fromarray(stand_ins.picture(BOXES)).save(tmp_path / "photo.JPG")
    Image.new("RGB", (1, 1), "red").save(tmp_path / "dot.bmp")
    demo("photo.JPG", "dot.bmp")
    copies = tmp_path / "demo_output"
    assert (copies / "photo_faces.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert cv2.imread(str(copies / "dot_faces.png")).shape[1] >= 480


ALONE = """
import sys
import final_image_demo
from samtl.common.errors import run_script

run_script(final_image_demo.main)
heavy = {"keras", "tensorflow", "torch", "jax", "pandas", "matplotlib"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


def test_the_sample_without_keras(tmp_path):
    network = stand_ins.network(tmp_path)
    output = tmp_path / "out"
    words = [f"--weights={network}", f"--output={output}"]
    words.append(f"--json={output / 'found.json'}")
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((output / "found.json").read_text())
    (image,) = found["images"]
    (face,) = image["faces"]
    left, top, right, bottom = face["box"]
    # A box around the nose, of less than half the portrait's width.
    assert left < 266 < right
    assert top < 235 < bottom
    assert right - left < 260
    annotated = inputs.read(image["annotated"]).pixels
    assert annotated.shape[1] == 512
    assert annotated.shape[0] > 600
    difference = (
        annotated[:600].astype(int) - inputs.read(inputs.portrait()).pixels
    )
    changed = np.abs(difference).max(axis=-1) > 60
    assert 0.001 < changed.mean() < 0.2


def test_missing_weights_are_one_line_and_exit_code_2(
    tmp_path, capsys, monkeypatch
):
    words = ["final_image_demo.py", f"--weights={tmp_path / 'no.onnx'}"]
    monkeypatch.setattr(sys, "argv", [*words, f"--output={tmp_path / 'out'}"])
    with pytest.raises(SystemExit) as caught:
        run_script(final_image_demo.main)
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1

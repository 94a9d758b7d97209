import cv2
import numpy as np
import pytest

from samtl.common.errors import UserError
from samtl.data import images, tables
from tests import tiny


def test_read_gives_gray_and_rgb(tmp_path):
    path = tmp_path / "red.png"
    image = np.zeros((6, 6, 3), np.uint8)
    image[..., 2] = 200  # OpenCV writes BGR
    cv2.imwrite(str(path), image)
    rgb = images.read(path, (6, 6, 3))
    assert rgb[0, 0].tolist() == [200, 0, 0]
    gray = images.read(path, (3, 3, 1))
    assert gray.shape == (3, 3, 1)
    assert gray[0, 0, 0] == pytest.approx(0.299 * 200, abs=1)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_truncated_image_is_refused(tmp_path, suffix):
    path = tmp_path / f"face{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    cv2.imwrite(str(path), noise)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"truncated"):
        images.read(path, (64, 64, 1))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_bytes_after_the_end_are_ignored_but_the_end_is_needed(
    tmp_path, suffix
):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    content = cv2.imencode(suffix, noise)[1].tobytes()
    path = tmp_path / f"face{suffix}"
    path.write_bytes(content)
    whole = images.read(path, (64, 64, 3))
    path.write_bytes(content + bytes(5000))
    np.testing.assert_array_equal(images.read(path, (64, 64, 3)), whole)
    path.write_bytes(content[:-500])
    with pytest.raises(UserError, match="truncated"):
        images.read(path, (64, 64, 3))


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_other_content_than_images_is_refused(tmp_path, content):
    path = tmp_path / "face.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"face\.jpg is not an image"):
        images.read(path, (8, 8, 1))


def test_cache_equals_decoding_and_follows_the_files(tmp_path):
    table = tiny.dataset(tmp_path, "faces", ["pose"])
    cached = images.open_splits(table, (16, 16, 1))
    decoded = images.open_splits(table, (16, 16, 1), cache_gb=0)
    for name in ("train", "validation", "test"):
        rows = np.arange(len(cached[name]))
        expected = np.stack(
            [images.read(p, (16, 16, 1)) for p in table.split(name).paths]
        )
        np.testing.assert_array_equal(cached[name].images(rows), expected)
        np.testing.assert_array_equal(decoded[name].images(rows), expected)
    path = table.paths[0]
    cv2.imwrite(str(path), np.full((99, 99), 7, np.uint8))
    assert (
        images.open_splits(table, (16, 16, 1))["train"].images([0]) == 7
    ).all()
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_folder_of_another_name_has_the_same_cache(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    tiny.dataset(folder, "faces", ["pose"])
    (tmp_path / "link").symlink_to(folder)
    images.open_splits(tables.read("faces", folder), (16, 16, 1))
    monkeypatch.setattr(images, "_decode_all", None)
    images.open_splits(tables.read("faces", tmp_path / "link"), (16, 16, 1))


def test_limit_keeps_every_class_and_repeats(tmp_path):
    table = tiny.dataset(tmp_path, "faces", ["pose"], counts=(50, 25, 25))
    splits = images.open_splits(table, (8, 8, 1), limit=20, seed=3)
    split = splits["train"]
    again = images.open_splits(table, (8, 8, 1), limit=20, seed=3)["train"]
    assert np.bincount(split.table.labels("pose")).tolist() == [4] * 5
    np.testing.assert_array_equal(split.indices, again.indices)
    first = images.read(split.table.paths[0], (8, 8, 1))
    np.testing.assert_array_equal(split.images([0])[0], first)
    assert [len(splits[name]) for name in images.SPLITS] == [20, 20, 25]


def test_limit_keeps_the_same_rows_whichever_labels_count(tmp_path):
    tiny.dataset(tmp_path, "faces", ["gender", "age"], counts=(50, 9, 9))
    kept = [
        images.open_splits(
            tables.read("faces", tmp_path, tasks), (8, 8, 1), limit=20
        )
        for tasks in (["gender"], ["age"], ["gender", "age"])
    ]
    for splits in kept[1:]:
        np.testing.assert_array_equal(
            splits["train"].indices, kept[0]["train"].indices
        )


def test_batches_cover_the_rows_in_order(tmp_path):
    table = tiny.dataset(tmp_path, "faces", ["pose"])
    split = images.open_splits(table, (8, 8, 1))["train"]
    batches = list(split.batches(5, rows=np.arange(12)[::-1]))
    assert [len(batch) for batch in batches] == [5, 5, 2]
    np.testing.assert_array_equal(batches[0][0], split.images([11])[0])

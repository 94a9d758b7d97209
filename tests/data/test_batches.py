import numpy as np

from samtl.data import images
from samtl.data.batches import Batches
from samtl.pseudo_labels import Triples
from tests import tiny


def _batches(tmp_path, **options):
    table = tiny.dataset(tmp_path, "faces", ["emotion", "pose"])
    split = images.open_splits(table, (16, 16, 1))["train"]
    triples = {
        task: Triples(
            target=split.table.targets(task.name),
            weight=np.ones(16, "float32"),
            temperature=np.arange(16, dtype="float32"),  # marks the row
        )
        for task in split.table.tasks.values()
    }
    return split, Batches(split, triples, 5, **options)


def test_a_pass_sees_every_row_once_with_its_triples(tmp_path):
    split, batches = _batches(tmp_path, seed=0)
    assert len(batches) == 4
    seen = []
    for index in range(len(batches)):
        inputs, triples = batches[index]
        rows = triples["pose"]["temperature"].astype(int)
        np.testing.assert_array_equal(inputs["image"], split.images(rows))
        np.testing.assert_array_equal(
            triples["pose"]["target"].argmax(1),
            split.table.labels("pose")[rows],
        )
        counted = rows[triples["pose"]["weight"] > 0]
        assert batches.paths(index) == list(split.table.rows["path"][counted])
        seen += counted.tolist()
    assert sorted(seen) == list(range(16))
    assert seen != sorted(seen)


def test_the_last_batch_is_filled_up_with_images_of_weight_0(tmp_path):
    _, batches = _batches(tmp_path, seed=0)
    inputs, triples = batches[3]
    assert len(inputs["image"]) == 5
    assert triples["pose"]["weight"].tolist() == [1, 0, 0, 0, 0]
    np.testing.assert_array_equal(
        inputs["image"][1:], batches[0][0]["image"][:4]
    )


def test_the_seed_repeats_a_pass(tmp_path):
    _, first = _batches(tmp_path / "a", seed=[1, 2], strength=1.0)
    _, again = _batches(tmp_path / "b", seed=[1, 2], strength=1.0)
    for index in range(len(first)):
        np.testing.assert_array_equal(
            first[index][0]["transform"], again[index][0]["transform"]
        )
        np.testing.assert_array_equal(
            first[index][0]["image"], again[index][0]["image"]
        )


def test_a_flip_swaps_left_and_right_poses_only(tmp_path):
    split, batches = _batches(tmp_path, seed=0, strength=1.0)
    flips = 0
    for index in range(len(batches)):
        inputs, triples = batches[index]
        rows = triples["pose"]["temperature"].astype(int)
        flipped = inputs["transform"][:, 0] < 0
        poses = split.table.labels("pose")[rows]
        np.testing.assert_array_equal(
            triples["pose"]["target"].argmax(1),
            np.where(flipped, 4 - poses, poses),
        )
        np.testing.assert_array_equal(
            triples["emotion"]["target"].argmax(1),
            split.table.labels("emotion")[rows],
        )
        flips += flipped[triples["pose"]["weight"] > 0].sum()
    assert 0 < flips < 16

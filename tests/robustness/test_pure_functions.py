"""Properties of pure functions, over values of any kind."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import ops
from scipy import sparse

from samtl import pseudo_labels
from samtl.data import augmentation, images, tables, tasks
from samtl.data.datasets import DataConfig
from samtl.evaluation import calibration, scoring
from samtl.faces import detect, track
from samtl.faces.drawing import draw, panels
from samtl.faces.media import output
from samtl.faces.prediction import Prediction, percent
from samtl.inference import cropping
from samtl.pseudo_labels import distances, targets
from samtl.pseudo_labels.labels import true_labels
from samtl.training import learner
from tests.faces.stand_ins import TASKS
from tests.robustness.trials import case
from utils.confusion import label_transfer, manifold, mrf

REAL = st.floats(-1e3, 1e3, width=32)
SHARE = st.floats(0, 1, width=32)
SIDE = st.integers(1, 12)
pytestmark = pytest.mark.filterwarnings("ignore")


def _matrix(elements=REAL, rows=SIDE, columns=SIDE):
    shape = st.tuples(rows, columns)
    return arrays.arrays(np.float32, shape, elements=elements)


def _distributions(scores):
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


WORD = st.sampled_from(["left", "right", "profile", "frontal"])
CLASSES = st.lists(
    st.lists(WORD, min_size=1, max_size=2).map(" ".join),
    min_size=1,
    max_size=6,
    unique=True,
)


@given(CLASSES)
def test_a_mirror_undoes_itself(classes):
    swap = {"left": "right", "right": "left"}
    mirrored = {
        " ".join(swap.get(word, word) for word in name.split())
        for name in classes
    }
    assume(mirrored == set(classes))
    with case():
        order = tasks.mirrored(classes)
        assert [order[index] for index in order] == list(range(len(classes)))


@given(
    st.integers(0, 99),
    st.integers(1, 50),
    st.integers(2, 99),
    st.floats(0, 3),
)
def test_augmentations_are_within_their_ranges(seed, count, side, strength):
    with case():
        drawn, flipped = augmentation.draw(
            np.random.default_rng(seed), count, side, side, strength
        )
        maps, light = drawn["transform"], drawn["light"]
        # The determinant is the squared zoom; its sign is the flip.
        scale = maps[:, 0] * maps[:, 4] - maps[:, 1] * maps[:, 3]
        zoom = augmentation.ZOOM * strength
        assert (np.abs(np.sqrt(np.abs(scale)) - 1) <= zoom + 1e-4).all()
        assert ((scale < 0) == flipped).all()
        contrast = augmentation.CONTRAST * strength
        assert (np.abs(light[:, 0] - 1) <= contrast + 1e-5).all()
        assert np.isfinite(maps).all()


@settings(max_examples=50)
@given(_matrix(columns=st.integers(2, 6)), st.integers(0, 99))
def test_temperatures_and_calibration(logits, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(logits.shape[1], size=len(logits))
    with case():
        found = calibration.temperature(logits, labels)
        largest = calibration.LARGEST_TEMPERATURE
        assert 1 / largest <= found <= largest
        error = calibration.expected_calibration_error(
            _distributions(logits), labels
        )
        assert 0 <= error <= 1


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "a+b"]), SHARE, SHARE)))
def test_forgetting_adds_up(rounds):
    rows = [
        {
            "dataset": name,
            "validation_x_accuracy": x,
            "validation_y_accuracy": y,
        }
        for name, x, y in rounds
    ]
    with case():
        found = scoring.forgetting(rows, {"a": {"x"}, "b": {"y"}})
        for task, own in (("x", "a"), ("y", "b")):
            values = np.array([r[f"validation_{task}_accuracy"] for r in rows])
            at_home = np.array([own in row["dataset"] for row in rows], bool)
            for key, mask in (("own", at_home), ("others", ~at_home)):
                entry = found[task][key]
                assert (entry is None) == (not mask.any())
                assert entry is None or entry["best"] == values[mask].max()
            drop = found[task]["drop"]
            assert drop is None or -1 <= drop <= 1


def _table(labels, count):
    rows = pd.DataFrame({"pose": labels, "split": "train"})
    task = tasks.Task("pose", tuple("abcde"[:count]))
    return tables.Table("toy", None, rows, {"pose": task})


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.integers(1, 59))
def test_a_limit_keeps_the_classes_shares(labels, limit):
    assume(limit < len(labels))
    with case():
        kept = images._stratified(_table(labels, 5), limit, seed=0)
        assert len(set(kept)) == limit
        before = np.bincount(labels, minlength=5)
        after = np.bincount(np.array(labels)[kept], minlength=5)
        present = (before > 0).sum()
        assert (after[before > 0] >= 1).all() or limit < present
        assert (np.abs(after - before * limit / len(labels)) <= present).all()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_balanced_labels_weight_every_class_equally(labels):
    table = _table(labels, 4)
    config = DataConfig({}, (), class_weights=("balanced",))
    split = images.Split(table, None, np.arange(len(table)))
    with case():
        (made,) = true_labels(split, table.tasks.values(), config).values()
        sums = np.bincount(table.labels("pose"), weights=made.weight)
        # A class may have no rows.
        expected = len(table) / len(set(labels))
        np.testing.assert_allclose(sums[sums > 0], expected, rtol=1e-5)


@given(_matrix(rows=st.integers(1, 9), columns=st.integers(1, 9)))
def test_normalised_graphs_and_laplacians(matrix):
    weights = np.abs(matrix @ matrix.T)
    np.fill_diagonal(weights, 0)
    with case():
        normal = mrf.normalised(sparse.csr_array(weights)).toarray()
        assert np.isfinite(normal).all()
        assert np.abs(np.linalg.eigvalsh(normal)).max() <= 1 + 1e-4
        graph = ops.convert_to_numpy(
            manifold.laplacian(ops.convert_to_tensor(weights))
        )
        scale = max(1, np.abs(graph).max())
        np.testing.assert_allclose(graph.sum(axis=1) / scale, 0, atol=1e-5)


@settings(max_examples=40)
@given(
    _matrix(rows=st.just(6), columns=st.integers(2, 4)),
    _matrix(rows=st.just(6), columns=st.integers(2, 4)),
    st.lists(st.booleans(), min_size=6, max_size=6),
    st.floats(0, 1.9),
    st.floats(0, 3),
)
def test_beliefs_are_distributions_and_labels_stay(
    first, second, observed, pairwise, relation
):
    labels = np.eye(first.shape[1])[np.zeros(6, int)]
    labels = labels * np.array(observed)[:, None]
    weights = mrf.normalised(sparse.csr_array(1 - np.eye(6)))
    with case():
        found = mrf.mean_field(
            {"a": first, "b": second},
            {"a": labels, "b": np.zeros(second.shape)},
            weights,
            pairwise,
            relation,
        )
        for belief in found.values():
            np.testing.assert_allclose(belief.sum(axis=1), 1, atol=1e-9)
            assert (belief >= 0).all()
        np.testing.assert_array_equal(found["a"][observed], labels[observed])
        theta = mrf.cooccurrence(found["a"], found["b"], np.array(observed))
        assert np.isfinite(theta).all()


@settings(max_examples=40)
@given(_matrix(columns=st.just(4)), _matrix(st.floats(-9, 9, width=32)))
def test_expected_embeddings_are_among_the_labels(logits, embeddings):
    embeddings = np.resize(embeddings, (4, embeddings.shape[1]))
    with case():
        found = ops.convert_to_numpy(
            label_transfer.expected_embeddings(
                ops.convert_to_tensor(logits), ops.convert_to_tensor(embeddings)
            )
        )
        assert (found <= embeddings.max(axis=0) + 1e-3).all()
        assert (found >= embeddings.min(axis=0) - 1e-3).all()


@settings(max_examples=40)
@given(_matrix(), st.integers(0, 99))
def test_the_loss_is_finite_and_without_missing_labels(logits, seed):
    rng = np.random.default_rng(seed)
    count, classes = logits.shape
    target = np.eye(classes, dtype="float32")[rng.integers(classes, size=count)]
    weight = (rng.random(count) < 0.5).astype("float32")
    temperature = rng.uniform(1, 4, count).astype("float32")
    with case():
        values = [
            float(
                learner.triple_loss(
                    *map(ops.convert_to_tensor, (target, weight * on)),
                    ops.convert_to_tensor(temperature),
                    ops.convert_to_tensor(logits),
                )
            )
            for on in (1, 0)
        ]
        assert 0 <= values[0] < math.inf
        assert values[1] == 0


@given(
    _matrix(SHARE, rows=st.integers(1, 30), columns=st.integers(1, 3)), SHARE
)
def test_selection_and_products_of_weights(columns, threshold):
    with case():
        weights = targets.combine(columns.T, len(columns))
        assert ((weights >= 0) & (weights <= 1)).all()
        assert weights.max() in (0, 1)
        selected = targets.select(weights, threshold)
        # Selected weights are not below the others.
        if 0 < selected.sum() < len(weights):
            assert weights[selected].min() >= weights[~selected].max()


@settings(max_examples=40)
@given(_matrix())
def test_naive_and_distilled_triples(logits):
    with case():
        shares = _distributions(logits)
        believed = ops.convert_to_numpy(pseudo_labels.confidence(shares))
        assert (believed >= 1 / logits.shape[1] - 1e-5).all()
        for made in (
            targets.naive_triples(logits),
            targets.distilled_triples(logits),
        ):
            assert isinstance(made, pseudo_labels.Triples)
            np.testing.assert_allclose(made.target.sum(axis=1), 1, rtol=1e-4)
            assert (made.temperature >= 1).all()


@settings(max_examples=40)
@given(_matrix(rows=st.integers(2, 12)), st.integers(0, 99))
def test_distances_are_those_of_numpy(features, seed):
    count = len(features)
    i, j = np.random.default_rng(seed).integers(count, size=(2, 20))
    exact = np.linalg.norm(features[i].astype(float) - features[j], axis=1)
    with case():
        found = distances.of_pairs(features, i, j)
        np.testing.assert_allclose(found, exact, rtol=1e-9)
        (block,) = distances.blocks(features)
        squares = ops.convert_to_numpy(distances.tile(block, block))[i, j]
        largest = np.square(features.astype(float)).sum(axis=1).max()
        np.testing.assert_allclose(squares, exact**2, atol=1e-5 * largest)


POINT = st.tuples(st.floats(-50, 350), st.floats(-50, 350))
BOX = st.tuples(POINT, st.floats(1, 200), st.floats(1, 200)).map(
    lambda box: (*box[0], box[0][0] + box[1], box[0][1] + box[2])
)


@given(BOX, st.lists(POINT, min_size=5, max_size=5), st.floats(0, 2), SHARE)
def test_faces_anywhere_can_be_cut_and_labelled(box, points, margin, least):
    face = detect.Face(box, 0.9, np.array(points, np.float32))
    image = np.zeros((240, 320, 3), np.uint8)
    labels = {
        task: dict.fromkeys(classes, 1 / len(classes))
        for task, classes in TASKS.items()
    }
    found = Prediction(face, labels, 1)
    with case():
        assert cropping.quarter_turns(face) in range(4)
        left, top, right, bottom = cropping.window(face, margin)
        assert right - left == bottom - top >= 1
        assert cropping.cut(image, (left, top, right, bottom)).size
        record = output.record(found, least)
        columns = {"frame", "time", *output.columns(TASKS)}
        assert set(output.row(record)) <= columns
        assert abs(found.yaw) <= 90
        draw.blur(image, face)
        made = panels.sizes(image.shape, box)
        assert made == sorted(made, reverse=True)
        assert made[-1] >= 1


@given(SHARE)
def test_percents_are_rounded_down(share):
    with case():
        number = int(percent(share).removesuffix("%"))
        assert number <= 100 * share + 1e-6
        assert number > 100 * share - 1 - 1e-6


@given(st.lists(BOX, max_size=6), st.lists(BOX, max_size=6))
def test_no_box_is_matched_twice(boxes, others):
    with case():
        pairs = track.match(boxes, others)
        for side in zip(*pairs, strict=True):
            assert len(set(side)) == len(side)


@given(st.lists(st.integers(0, 2), max_size=20))
def test_counts_are_those_of_the_rows(labels):
    table = _table(labels, 3)
    with case():
        found = tables.counts(table.rows, table.tasks.values())
        assert found["train"]["rows"] == len(labels)
        assert sum(found["train"]["pose"].values()) == len(labels)
        assert found["test"] == {"rows": 0, "pose": dict.fromkeys("abc", 0)}

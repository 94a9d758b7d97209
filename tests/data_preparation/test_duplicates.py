"""Exact and near-duplicates against plain loops."""

import itertools
import tracemalloc

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.fft import dctn

from data_preparation import duplicates
from samtl.data import tables


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(tables.SPLITS))
    )
)
def test_straddling_keeps_the_copies_of_one_split(rows):
    digests = [digest for digest, _ in rows]
    splits = [split for _, split in rows]
    result = duplicates.straddling(digests, splits)
    for (digest, split), is_out in zip(rows, result, strict=True):
        homes = {where for what, where in rows if what == digest}
        if "test" in homes:
            assert is_out == (split != "test")
        elif "validation" in homes:
            assert is_out == (split != "validation")
        else:
            assert not is_out


@st.composite
def clustered(draw):
    """Hashes of which many are a few bits from one another."""
    centre = st.integers(0, 2**64 - 1)
    centres = draw(st.lists(centre, min_size=1, max_size=4))
    flips = st.lists(st.integers(0, 63), max_size=5)
    rows = draw(st.lists(st.tuples(st.sampled_from(centres), flips)))
    hashes = []
    for value, bits in rows:
        for bit in bits:
            value ^= 1 << bit
        hashes.append(value)
    return hashes


@given(clustered(), st.integers(0, 6))
def test_near_pairs_equal_brute_force(hashes, distance):
    expected = [
        [i, j]
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if (hashes[i] ^ hashes[j]).bit_count() <= distance
    ]
    assert duplicates.near_pairs(hashes, distance).tolist() == expected


def test_near_pairs_of_a_whole_dataset_are_quick_to_find():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 100_000, dtype=np.uint64)
    hashes[1] = hashes[0] ^ np.uint64(0b1111)
    hashes[-1] = hashes[7]
    assert duplicates.near_pairs(hashes).tolist() == [[0, 1], [7, 99_999]]


def test_many_equal_hashes_take_little_more_than_their_pairs():
    hashes = np.repeat(np.uint64([5, 4, 2**64 - 1]), [300, 2, 1])
    tracemalloc.start()
    pairs = duplicates.near_pairs(hashes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    expected = np.stack(np.triu_indices(302, 1), axis=1)
    np.testing.assert_array_equal(pairs, expected)
    assert peak < 10 * pairs.nbytes


def photo(seed=0, side=100):
    """Something with slow and fast waves, as faces have."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)


def bits_between(one, other):
    hashes = map(duplicates.perceptual_hash, (one, other))
    return int.bit_count(next(hashes) ^ next(hashes))


def test_the_hash_is_of_the_lowest_cosine_waves():
    gray = cv2.cvtColor(photo(side=32), cv2.COLOR_RGB2GRAY)
    waves = dctn(gray.astype(float), norm="ortho")[1:9, 1:9].ravel()
    expected = "".join(str(int(bit)) for bit in waves > np.median(waves))
    assert f"{duplicates.perceptual_hash(gray):064b}" == expected


@pytest.mark.parametrize("seed", range(5))
def test_copies_have_near_hashes_and_others_do_not(seed):
    image = photo(seed)
    small = cv2.resize(image, (60, 60), interpolation=cv2.INTER_AREA)
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])
    brighter = cv2.convertScaleAbs(image, alpha=0.8, beta=30)
    for copy in (small, cv2.imdecode(coded, cv2.IMREAD_COLOR), brighter):
        assert bits_between(image, copy) <= duplicates.DISTANCE
    assert bits_between(image, photo(seed + 50)) > 3 * duplicates.DISTANCE


def test_the_report_counts_no_exact_copies():
    faces = pd.DataFrame(
        [
            ("a", "train", "d1", 0b0),
            ("b", "train", "d1", 0b0),
            ("c", "train", "d2", 0b1),
            ("d", "test", "d3", 0b11),
            ("e", "test", "d4", 2**64 - 1),
        ],
        columns=["path", "split", "digest", "hash"],
    ).astype({"hash": np.uint64})
    assert duplicates.report(faces) == {
        "distance": 4,
        "within_splits": 1,
        "across_splits": 2,
        "examples": [["a", "d"], ["c", "d"], ["a", "c"]],
    }


def test_the_report_of_nothing():
    columns = ["path", "split", "digest", "hash"]
    report = duplicates.report(pd.DataFrame(columns=columns))
    assert report["within_splits"] == report["across_splits"] == 0
    assert report["examples"] == []


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 5))))
def test_joined_groups_are_the_smallest_that_keep_both_whole(rows):
    groups = [group for group, _ in rows]
    digests = [digest for _, digest in rows]
    found = duplicates.joined(groups, digests)
    # Rows reach each other over a common group or digest.
    reach = [{index} for index in range(len(rows))]
    for _ in rows:
        for one, other in itertools.product(range(len(rows)), repeat=2):
            if groups[one] == groups[other] or digests[one] == digests[other]:
                reach[one] |= reach[other]
    for one, other in itertools.product(range(len(rows)), repeat=2):
        assert (found[one] == found[other]) == (other in reach[one])

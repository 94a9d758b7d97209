"""Exact duplicates and near-duplicates of images."""

import hashlib
import itertools

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# Of exact duplicates, the copy in the first of these splits stays.
PRIORITY = ("test", "validation", "train")
# Hashes of near-duplicates differ in at most so many of their 64 bits. With 4,
# pairs in FER+, MTFL and UTKFace are copies but for a few; with 6, many of
# UTKFace's are two people.
DISTANCE = 4
EXAMPLES = 5


def straddling(digests, splits):
    """Which rows repeat an image of a split with higher priority, bool [N].

    Args:
        digests, splits: str [N] each.
    """
    rank = pd.Series(splits).map(PRIORITY.index)
    first = rank.groupby(pd.Series(digests)).transform("min")
    return (rank > first).to_numpy()


def joined(groups, digests):
    """Groups that also hold the exact copies of their images, int [N].

    Args:
        groups, digests: str [N] each; rows with the same group, or with the
            same digest, get the same number.
    """
    groups = pd.factorize(pd.Series(groups, dtype=object))[0]
    digests = pd.factorize(pd.Series(digests, dtype=object))[0]
    ends = digests + len(groups)
    shape = 2 * (2 * len(groups),)
    links = coo_array((np.ones(len(groups)), (groups, ends)), shape)
    return connected_components(links, directed=False)[1][groups]


def digest(image):
    """A hash of an image's pixels and shape: equal for exact copies, str."""
    hashed = hashlib.sha256(str(image.shape).encode())
    hashed.update(np.ascontiguousarray(image))
    return hashed.hexdigest()


def perceptual_hash(image):
    """Signs of the low-frequency cosine coefficients of an image (pHash).

    Bit k tells whether the k-th of 8 x 8 cosine coefficients of a 32 x 32 copy
    is above their median. The coefficients are the lowest ones that vary in
    both directions, so brightness has no effect. Source: Zauner,
    "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010,
    section 3.2.1.

    Args:
        image: uint8 [H, W] or [H, W, 3] RGB.

    Returns:
        int of 64 bits; few of them differ between copies that were scaled,
        compressed, brightened or signed.
    """
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA)
    waves = cv2.dct(small.astype(np.float32))[1:9, 1:9]
    bits = waves > np.median(waves)
    return int.from_bytes(np.packbits(bits).tobytes())


def near_pairs(hashes, distance=DISTANCE):
    """All pairs of hashes that differ in at most `distance` bits.

    The bits are cut into distance + 2 blocks. Hashes that differ in no more
    than `distance` bits agree in two blocks at least, so only those that
    share two blocks are compared (Manku, Jain, Das Sarma, "Detecting
    Near-Duplicates for Web Crawling", WWW 2007).

    Args:
        hashes: int of 64 bits [N].
        distance: 0..62, bits.

    Returns:
        int64 [P, 2], positions, the lower first, in ascending order.
    """
    hashes = np.asarray(hashes, dtype=np.uint64)
    # One of each value, because what shares blocks is compared pair by pair.
    values, members, counts = np.unique(
        hashes, return_inverse=True, return_counts=True
    )
    order = np.argsort(members, kind="stable")
    ends = np.cumsum(counts)
    groups = np.split(order, ends[:-1])
    found = [
        groups[value][np.stack(np.triu_indices(counts[value], 1), axis=1)]
        for value in np.flatnonzero(counts > 1)
    ]
    pairs = _near_values(values, distance)
    is_single = (counts[pairs] == 1).all(axis=1)
    found.append(order[ends[pairs[is_single]] - 1])
    for one, other in pairs[~is_single]:
        places = np.meshgrid(groups[one], groups[other])
        found.append(np.stack(places, axis=-1).reshape(-1, 2))
    found = np.sort(np.concatenate(found), axis=1)
    return found[np.lexsort(found.T[::-1])]


def _near_values(hashes, distance):
    """`near_pairs` of hashes that are all different."""
    found = [np.empty(0, dtype=np.int64)]
    blocks = np.array_split(np.arange(64, dtype=np.uint64), distance + 2)
    masks = [np.bitwise_or.reduce(np.uint64(1) << bits) for bits in blocks]
    for one, other in itertools.combinations(masks, 2):
        keys = hashes & (one | other)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.arange(len(keys))
        for shift in range(1, len(keys)):
            starts = starts[starts + shift < len(keys)]
            # What is equal over this shift was equal over the one before.
            starts = starts[keys[starts] == keys[starts + shift]]
            if not len(starts):
                break
            pairs = np.stack([order[starts], order[starts + shift]], axis=1)
            bits = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]])
            pairs = np.sort(pairs[bits <= distance], axis=1)
            found.append(pairs @ [len(hashes), 1])
    found = np.unique(np.concatenate(found))
    return np.stack(np.divmod(found, max(1, len(hashes))), axis=1)


def report(faces):
    """Pairs of near-duplicates that are not exact duplicates.

    Args:
        faces: DataFrame with `path`, `split`, `digest` and `hash`.

    Returns:
        dict: distance (bits), within_splits and across_splits (numbers of
        pairs) and examples (pairs of paths, those across splits first). Of
        exact copies in a split, one counts.
    """
    faces = faces.drop_duplicates(["digest", "split"])
    pairs = near_pairs(faces["hash"])
    one, other = faces.iloc[pairs[:, 0]], faces.iloc[pairs[:, 1]]
    is_across = one["split"].to_numpy() != other["split"].to_numpy()
    order = np.argsort(~is_across, kind="stable")[:EXAMPLES]
    paths = faces["path"].to_numpy()
    return {
        "distance": DISTANCE,
        "within_splits": int((~is_across).sum()),
        "across_splits": int(is_across.sum()),
        "examples": paths[pairs[order]].tolist(),
    }

"""Tracking, against all assignments, known motions and averages by hand."""

import itertools
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samtl.faces import track
from samtl.faces.face import Face
from samtl.faces.track import Track, Tracker
from tests.faces import stand_ins

side = st.integers(0, 20)
box = st.tuples(side, side, st.integers(1, 15), st.integers(1, 15)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


def _overlap(one, other):
    """Intersection over union by counting pixels."""
    grids = np.zeros((2, 240, 320), bool)
    for grid, (left, top, right, bottom) in zip(
        grids, (one, other), strict=True
    ):
        grid[top:bottom, left:right] = True
    return (grids[0] & grids[1]).sum() / (grids[0] | grids[1]).sum()


@given(st.lists(box, max_size=4), st.lists(box, max_size=4))
def test_no_other_assignment_overlaps_more(boxes, others):
    pairs = track.match(boxes, others, least=0.2)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs})
    assert len({i for i, _ in pairs}) == len(pairs)
    worth = [[_overlap(a, b) for b in others] for a in boxes]
    assert all(worth[i][j] >= 0.2 - 1e-9 for i, j in pairs)
    padded = list(range(len(others))) + [None] * len(boxes)
    best = max(
        sum(
            worth[i][j]
            for i, j in enumerate(chosen)
            if j is not None and worth[i][j] >= 0.2
        )
        for chosen in itertools.permutations(padded, len(boxes))
    )
    assert sum(worth[i][j] for i, j in pairs) == pytest.approx(best)


@pytest.mark.parametrize(
    ("shift", "growth"), [((6, -4), 1.0), ((0, 0), 1.08), ((-5, 3), 0.95)]
)
def test_a_face_is_followed_through_a_known_motion(shift, growth):
    before = cv2.cvtColor(
        stand_ins.picture([(100, 60, 180, 160)]), cv2.COLOR_RGB2GRAY
    )
    before = cv2.GaussianBlur(before, (0, 0), 1.5)
    motion = cv2.getRotationMatrix2D((140, 110), 0, growth)
    motion[:, 2] += shift
    after = cv2.warpAffine(
        before, motion, before.shape[::-1], borderMode=cv2.BORDER_REFLECT
    )
    points = np.full((5, 2), (140, 110), np.float32)
    found = track.follow(before, after, Face((100, 60, 180, 160), 1, points))
    corners = np.array([[100, 60, 1], [180, 160, 1]]) @ motion.T
    np.testing.assert_allclose(found.box, corners.ravel(), atol=1)
    middle = motion @ (140, 110, 1)
    np.testing.assert_allclose(found.landmarks[0], middle, atol=1)


def test_a_face_without_optical_flow_is_lost():
    face = stand_ins.face((100, 60, 180, 160), 1)
    before = cv2.cvtColor(stand_ins.picture([]), cv2.COLOR_RGB2GRAY)
    other = np.random.default_rng(5).integers(0, 256, (240, 320), np.uint8)
    assert track.follow(before, other, face) is None
    beyond = stand_ins.face((-300, -300, -200, -200), 1)
    assert track.follow(before, before, beyond) is None


def _moving(index):
    """Two faces that cross the image in opposite directions."""
    x, y = 10 + 5 * index, 250 - 5 * index
    boxes = [(x, 20, x + 50, 80), (y, 140, y + 50, 200)]
    return stand_ins.picture(boxes), boxes


# In the last case, detections are further apart than a track's PATIENCE.
@pytest.mark.parametrize(("every", "fps"), [(1, 25), (5, 25), (15, 10)])
def test_faces_keep_their_numbers_and_places(every, fps):
    tracker, detector = Tracker(), stand_ins.Detector()
    for index in range(30):
        image, boxes = _moving(index)
        faces = detector(image) if index % every == 0 else None
        tracks = tracker.update(image, index / fps, faces)
        assert [t.number for t in tracks] == [1, 2]
        for one, expected in zip(tracks, boxes, strict=True):
            assert _overlap(np.round(one.face.box).astype(int), expected) > 0.7


def test_a_lost_face_comes_back_and_a_late_one_is_new():
    face = stand_ins.face((100, 60, 180, 160), 1)
    rng = np.random.default_rng(3)

    scene = _person(1, is_plain=False)

    def noise():
        """The same scene, with something else before the face each time."""
        image = scene.copy()
        image[50:170, 90:190] = rng.integers(0, 256, (120, 100, 3), np.uint8)
        return image

    tracker = Tracker()
    assert [t.number for t in tracker.update(noise(), 0.0, [face])] == [1]
    assert tracker.update(noise(), 0.3, []) == []
    assert len(tracker.tracks) == 1  # lost, but still a track
    assert [t.number for t in tracker.update(noise(), 0.6, [face])] == [1]
    assert tracker.update(noise(), 1.7, []) == []
    assert tracker.tracks == []
    assert [t.number for t in tracker.update(noise(), 1.8, [face])] == [2]


def test_a_cut_ends_the_tracks_and_a_flash_does_not():
    rng = np.random.default_rng(4)
    box = (100, 60, 180, 160)
    face = stand_ins.face(box, 1)

    def scene():
        coarse = rng.integers(0, 256, (6, 8, 3), np.uint8)
        image = cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)
        left, top, right, bottom = box
        image[top:bottom, left:right] = rng.integers(0, 256, (100, 80, 3))
        return image

    tracker, one, other = Tracker(), scene(), scene()
    flash = cv2.convertScaleAbs(one, alpha=1, beta=40)
    number = 0
    for time, (image, is_new) in enumerate(
        [(one, True), (one, False), (flash, False), (other, True), (one, True)]
    ):
        (track,) = tracker.update(image, time / 25, [face])
        number += is_new
        assert track.number == number
        assert track.probabilities.get("gender") is None or not is_new
        track.smooth({"gender": np.array([0.5, 0.5])}, time / 25, 0.5)
        assert len(tracker.tracks) == 1
    # Between two detections, too.
    assert tracker.update(other, 0.3) == tracker.tracks == []


def _person(seed, is_plain):
    """A face-sized pattern on a scene of its own or a plain background."""
    rng = np.random.default_rng(seed)

    def pattern(rows, columns, size):
        coarse = rng.integers(20, 230, (rows, columns, 3), np.uint8)
        return cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)

    image = pattern(6, 8, (320, 240))
    if is_plain:
        image[:] = 120
    image[60:160, 100:180] = pattern(7, 6, (80, 100))
    return image


@pytest.mark.parametrize("is_plain", [False, True])
@pytest.mark.parametrize("brightness", [1, 0.5, 0.35, 0.25])
def test_two_people_at_one_place_stay_two(is_plain, brightness):
    face = stand_ins.face((100, 60, 180, 160), 1)
    noise = np.random.default_rng(0)
    numbers = []
    tracker = Tracker()
    for index, person in enumerate((1, 1, 2, 2, 1)):
        image = brightness * _person(person, is_plain)
        image = np.clip(image + noise.normal(0, 2, image.shape), 0, 255)
        image = image.astype(np.uint8)
        (found,) = tracker.update(image, index / 25, [face])
        numbers.append(found.number)
    assert numbers == [1, 1, 2, 2, 3]


def test_smoothing_does_not_depend_on_the_frame_rate():
    old, new = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    for frames in (1, 10):
        one = Track(1, None, 0.0)
        one.smooth({"gender": old}, 0.0, 0.5)
        for index in range(1, frames + 1):
            one.smooth({"gender": new}, index / frames, 0.5)
        # After 1 s, two time constants, exp(-2) of the old value remains.
        assert one.probabilities["gender"][0] == pytest.approx(math.exp(-2))
    one.smooth({"gender": old}, 5.0, 0)
    assert one.probabilities["gender"].tolist() == [1.0, 0.0]


def test_a_crowd_is_labelled_in_turn():
    labels = {"pose": np.array([0.5, 0.5])}
    tracks = [
        Track(number, None, 0.0, True, labels, labelled=-number / 10)
        for number in range(6)
    ]
    tracks.append(Track(6, None, 0.0))
    # The new one first, then those without new labels for the longest time.
    due = [person.number for person in track.due(tracks, 3)]
    assert due == [6, 5, 4]
    assert len(track.due(tracks, 7)) == 7


def test_all_new_faces_are_labelled_at_once():
    tracks = [Track(number, None, 0.0) for number in range(20)]
    assert track.due(tracks, 4) == tracks


def test_every_face_of_a_crowd_gets_its_turn():
    labels = {"pose": np.array([0.5, 0.5])}
    tracks = [Track(n, None, 0.0, True, dict(labels)) for n in range(26)]
    labelled = []
    for time in range(1, 6):
        for person in track.due(tracks, 6):
            person.smooth(labels, time, 0.5)
            labelled.append(person.number)
    assert set(labelled) == set(range(26))


@pytest.mark.parametrize("brightness", [1, 0.5, 0.35, 0.25])
def test_a_cut_between_people_of_one_outline(brightness):
    face = stand_ins.face((100, 60, 180, 160), 1)

    def person(seed):
        image = np.full((240, 320, 3), 20, np.uint8)
        image[20:200, 60:220] = 220
        image[20:45, 60:220] = 60 + 90 * (seed % 2)  # hair
        image[60:160, 100:180] = _person(seed, True)[60:160, 100:180]
        return cv2.convertScaleAbs(image, alpha=brightness)

    tracker = Tracker()
    for number in range(1, 9):
        (track,) = tracker.update(person(number), number / 25, [face])
        assert track.number == number

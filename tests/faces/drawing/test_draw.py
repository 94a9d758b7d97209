"""Annotation and anonymisation, tested by the changed pixels."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samtl.faces.drawing import draw, panels, text
from samtl.faces.prediction import YAW, Prediction
from tests.faces import stand_ins

SURE = {
    "emotion": {"happy": 0.9, "sad": 0.1},
    "pose": {"left": 0.0, "frontal": 0.0, "right": 1.0},
    "gender": {"female": 0.45, "male": 0.55},
}


def _prediction(box, number=1, labels=SURE):
    return Prediction(stand_ins.face(box, 0.9), labels, number)


def _gray(height, width):
    return np.full((height, width, 3), 128, np.uint8)


def _is_near(image, colour):
    return np.abs(image.astype(int) - colour).max(axis=-1) < 30


def test_the_input_is_left_alone_and_the_copy_is_as_wide():
    image = _gray(500, 600)
    copy = draw.annotate(image, [_prediction((100, 100, 200, 220))], 0.5)
    assert (image == 128).all()
    assert copy.shape[1] == 600
    assert copy.shape[0] > 500  # the legend
    # The frame is where the box is.
    frame = _is_near(copy, draw.COLOURS[0])
    assert frame[100, 110:190].all()
    assert frame[110:210, 100].all()
    assert frame[220, 110:190].all()
    assert frame[110:210, 200].all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (700, 3), (64, 64)])
def test_any_size_is_made_readable(shape):
    copy = draw.annotate(_gray(*shape), [], 0.5)
    assert max(copy.shape[:2]) >= draw.SMALLEST
    face = _prediction((0, 0, shape[1], shape[0]))
    draw.annotate(_gray(*shape), [face], 0.5)


def test_text_grows_with_the_picture_and_with_the_face():
    small, large = (600, 800), (3000, 4000)
    little, big = (0, 0, 20, 30), (0, 0, 300, 400)
    assert panels.sizes(large, big)[0] > panels.sizes(small, little)[0]
    assert panels.sizes(small, big)[0] > panels.sizes(small, little)[0]
    assert min(panels.sizes((50, 50), little)) == panels.LEAST_SIZE


def test_a_narrow_picture_stays_as_narrow():
    face = _prediction((300, 300, 700, 800))
    copy = draw.annotate(_gray(12000, 1080), [face, face], 0.5)
    assert copy.shape[1] == 1080
    # Wider images have the usual font size.
    for shape in ((1080, 1920), (1920, 1080), (1080, 12000)):
        assert panels.font_size(shape) == round(max(shape) / 62)


number = st.floats(-60, 700)
boxes = st.lists(
    st.tuples(number, number, st.floats(5, 300), st.floats(5, 300)).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=30, deadline=None)
@given(boxes)
def test_panels_hide_no_face_and_no_other_panel(faces):
    covered_boxes = []
    shape = (480, 640)
    image = _gray(*shape)
    predictions = [_prediction(b, i + 1) for i, b in enumerate(faces)]
    place = panels.place

    def watched(*arguments):
        found = place(*arguments)
        if found is not None:
            panel, (left, top), _ = found
            width, height = panel.extent
            covered_boxes.append((left, top, left + width, top + height))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panels, "place", watched)
        copy = draw.annotate(image, predictions, 0.5)
    for left, top, right, bottom in covered_boxes:
        assert left >= 0
        assert top >= 0
        assert right <= 640
        assert bottom <= 480
    covered = np.zeros((3, *shape), int)
    for left, top, right, bottom in covered_boxes:
        covered[0, top:bottom, left:right] += 1
    assert covered[0].max(initial=0) <= 1
    for box in faces:
        left, top, right, bottom = (max(round(v), 0) for v in box)
        assert not covered[0, top:bottom, left:right].any()
    # Panels without a place are below the image.
    legend = panels.legend(shape, 1, True, True, 0.5).shape[0]
    assert (copy.shape[0] > 480 + legend) == (len(covered_boxes) < len(faces))


def test_the_panels_of_a_crowd_have_a_maximum_height():
    places = itertools.product(range(0, 1200, 40), range(0, 800, 40))
    predictions = [
        _prediction((x, y, x + 30, y + 36), number)
        for number, (x, y) in enumerate(places, start=1)
    ]
    copy = draw.annotate(_gray(800, 1200), predictions, 0.5)
    # Most of the copy is the picture.
    assert 800 + 300 < copy.shape[0] < 800 + 600 + 100
    # All columns are used.
    sheet = copy[800:1200, 1200 * 7 // 8 : 1200]
    assert (sheet != panels.DARK).any()


def test_panels_of_a_video_stay_on_their_side():
    screen, kept = draw.VideoLayout(SURE), []
    for x in range(20, 400, 20):
        faces = [_prediction((x, 100, x + 120, 250), n) for n in (1, 2)]
        draw.annotate(_gray(480, 640), faces, 0.5, screen)
        kept.append(screen.sides.get(1))
    changes = sum(a != b for a, b in itertools.pairwise(kept))
    assert changes <= 2
    draw.annotate(_gray(480, 640), [], 0.5, screen)
    assert screen.sides == {}


@pytest.mark.parametrize("width", [200, 360, 430, 480, 640, 1280])
def test_frames_of_a_video_have_one_size(width):
    box = (50, 100, 150, 250)
    shapes = set()
    for count in (0, 1, 2, 12):
        faces = [_prediction(box, n + 1) for n in range(count)]
        screen = draw.VideoLayout(SURE)
        frame = draw.annotate(_gray(600, width), faces, 0.5, screen)
        shapes.add(frame.shape)
    assert len(shapes) == 1


def test_unsure_classes_are_marked():
    face = _prediction((100, 100, 200, 220))
    marks = [row.label for row in panels.rows(face, 0.6)]
    assert marks == ["happy", "right", "male?"]
    assert [row.percent for row in panels.rows(face, 0)] == [
        "90%",
        "100%",
        "55%",
    ]
    sure, unsure = (
        _is_near(draw.annotate(_gray(500, 600), [face], least), panels.UNSURE)
        for least in (0, 0.6)
    )
    assert not sure.any()
    assert unsure[:500].any()


def test_a_share_below_the_limit_is_not_rounded_up_to_it():
    labels = {"gender": {"female": 0.496, "male": 0.495}}
    (row,) = panels.rows(_prediction((0, 0, 9, 9), labels=labels), 0.5)
    assert (row.label, row.percent) == ("female?", "49%")


@pytest.mark.parametrize(
    ("name", "side"), [("left", -1), ("right", 1), ("frontal", 0)]
)
def test_the_arrow_has_the_direction_of_the_nose(name, side):
    labels = {"pose": {name: 1.0}}
    box = (240, 200, 360, 340)
    copy = draw.annotate(
        _gray(500, 600), [_prediction(box, labels=labels)], 0.5
    )
    inside = _is_near(copy[210:330, 250:350], draw.COLOURS[0])
    left, right = inside[:, :38].any(), inside[:, 63:].any()
    assert (left, right) == (side < 0, side > 0)
    assert inside.any()


def test_poses_of_unknown_yaw_get_no_arrow():
    box, labels = (240, 200, 360, 340), {"pose": {"up": 0.9, "down": 0.1}}
    face = _prediction(box, labels=labels)
    for screen in (None, draw.VideoLayout(labels)):
        copy = draw.annotate(_gray(500, 600), [face], 0.5, screen)
        inside = copy[210:330, 250:350]
        assert not _is_near(inside, draw.COLOURS[0]).any()


@pytest.mark.parametrize("name", ["left profile", "right profile"])
def test_panels_leave_arrows_visible(name):
    box = (240, 200, 360, 340)
    face = _prediction(box, labels=SURE | {"pose": {name: 1.0}})
    copy = draw.annotate(_gray(500, 600), [face], 0.5)
    line = copy[270, 215:235] if name == "left profile" else copy[270, 365:385]
    assert _is_near(line, draw.COLOURS[0]).all()


def test_a_blurred_face_has_blocks_of_uniform_colour():
    image = stand_ins.picture([(100, 60, 180, 160)])
    other = image.copy()
    draw.blur(image, stand_ins.face((100, 60, 180, 160), 1))
    colours = np.unique(image[60:160, 100:180].reshape(-1, 3), axis=0)
    assert len(colours) <= draw.BLOCKS**2
    np.testing.assert_array_equal(image[:, :80], other[:, :80])
    np.testing.assert_array_equal(image[190:], other[190:])
    draw.blur(image, stand_ins.face((-500, -500, -400, -400), 1))


def test_text_and_shade_are_clipped_at_the_edges():
    for x, y in ((-5, -5), (90, 40), (-500, 0), (500, 500)):
        canvas = _gray(50, 100)
        text.write(canvas, "happy", x, y, 20, (255, 255, 255))
        text.shade(canvas, (x, y, x + 40, y + 30), (0, 0, 0), 0.5)
    mask = np.float32([[0, 1], [0.2, 1]])[..., None]
    canvas = _gray(2, 3)
    text.blend(canvas, mask, 1, 0, (28, 128, 228))
    assert canvas[0].tolist() == [[128] * 3, [128] * 3, [28, 128, 228]]
    assert canvas[1, 1].tolist() == [108, 128, 148]


@pytest.mark.parametrize("pose", ["left profile", "right profile"])
@pytest.mark.parametrize("x", [0, 300, 540])
def test_arrows_end_inside_the_picture(pose, x):
    prediction = Prediction(
        stand_ins.face((x, 100, x + 100, 260), 0.9), {"pose": {pose: 1.0}}, 1
    )
    found = draw._pose((480, 640, 3), prediction, 1)
    left, top, right, bottom = found.box
    assert min(left, top) >= 0
    assert right <= 640
    assert bottom <= 480
    assert (found.end[0] - found.start[0]) * YAW[pose] > 0


def test_no_panel_covers_an_arrow():
    # Faces so close that their panels have no other place.
    pose = {"right profile": 1.0}
    faces = [
        Prediction(stand_ins.face((x, 60, x + 90, 200), 0.9), {"pose": pose}, n)
        for n, x in ((1, 60), (2, 250))
    ]
    copy = draw.annotate(_gray(260, 480), faces, 0.5)
    for prediction in faces:
        found = draw._pose(copy.shape, prediction, 1)
        x = (found.start[0] + found.end[0]) // 2
        colour = draw.COLOURS[prediction.number - 1]
        assert tuple(copy[found.start[1], x]) == colour

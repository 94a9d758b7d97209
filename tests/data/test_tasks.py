"""Left and right in a mirror."""

import pytest

from samtl.data.tasks import AGE, EMOTION_8, GENDER, POSE, mirrored


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (POSE, [4, 3, 2, 1, 0]),
        (("Left", "Frontal", "Right"), [2, 1, 0]),
        (("left_profile", "left", "right", "right_profile"), [3, 2, 1, 0]),
        (("profile-left", "profile-right", "LEFT", "RIGHT"), [1, 0, 3, 2]),
        (("profileLeft", "bright", "profileRight"), [2, 1, 0]),
        (EMOTION_8, list(range(8))),
        (GENDER, [0, 1]),
        (AGE, list(range(8))),
    ],
)
def test_sides_swap_however_they_are_written(classes, expected):
    assert mirrored(classes) == expected


@pytest.mark.parametrize("classes", [("left", "frontal"), ("Left", "right")])
def test_a_side_without_its_mirror_image_is_refused(classes):
    with pytest.raises(ValueError, match=r"but no '[Rr]ight'"):
        mirrored(classes)

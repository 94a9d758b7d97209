"""Numbers of things."""

import pytest

from samtl.common.text import counted


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 frames"), (1, "1 frame"), (2, "2 frames"), (2000, "2,000 frames")],
)
def test_plural(number, text):
    assert counted(number, "frame") == text

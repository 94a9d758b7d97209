"""Representative ages of groups, against hand-computed ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from samtl.data.tasks import AGE, GENDER, POSE
from samtl.inference import ages


def test_the_eight_groups_have_their_centres():
    assert ages.representative(AGE) == (
        *(1, 5, 10.5, 17.5, 28.5, 40.5, 50.5),
        70,
    )


@pytest.mark.parametrize(
    ("classes", "years"),
    [
        (("0", "1", "116"), (0, 1, 116)),
        (("0-17", "18+"), (8.5, 28)),
        (("young", "old"), ()),
        (("0-2", "older"), ()),
        (("-2", "3-"), ()),
        (GENDER, ()),
        (POSE, ()),
        ((), ()),
    ],
)
def test_names_of_groups_are_ranges_or_starts(classes, years):
    assert ages.representative(classes) == years


@given(
    npst.arrays(float, 8, elements=st.floats(1e-3, 1)),
    st.lists(st.floats(0, 120), min_size=8, max_size=8),
)
def test_the_expected_age_is_a_weighted_mean(weights, years):
    found = ages.expected(weights / weights.sum(), tuple(years))
    assert found == pytest.approx(np.average(years, weights=weights))
    assert min(years) - 1e-9 <= found <= max(years) + 1e-9


@given(st.integers(0, 7))
def test_a_certain_group_has_its_representative_age(group):
    years = ages.representative(AGE)
    assert ages.expected(np.eye(8)[group], years) == years[group]

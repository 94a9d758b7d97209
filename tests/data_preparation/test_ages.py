"""Age groups, against the gaps between the names of Adience's groups."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_preparation import ages
from samtl.data.tasks import AGE

YEARS = st.floats(0, 200)


def limits():
    """(first, last) year of every group, read from its name."""
    for name in AGE:
        first, _, last = name.rstrip("+").partition("-")
        yield float(first), float(last or math.inf)


def test_the_years_in_a_groups_name_belong_to_it():
    for index, (first, last) in enumerate(limits()):
        for year in range(int(first), int(min(last, 120)) + 1):
            assert ages.group(year) == index


def test_groups_meet_at_the_midpoints_of_the_gaps():
    groups = list(limits())
    for index, ((_, last), (first, _)) in enumerate(pairwise(groups)):
        middle = (last + first) / 2
        assert ages.STARTS[index] == middle
        assert ages.group(np.nextafter(middle, 0)) == index
        assert ages.group(middle) == index + 1


@pytest.mark.parametrize(
    ("index", "first", "last"),
    [
        (0, 0, 2),
        (1, 3, 6),
        (2, 7, 13),
        (3, 14, 22),
        (4, 23, 34),
        (5, 35, 45),
        (6, 46, 56),
        (7, 57, 116),
    ],
)
def test_whole_years_are_grouped_as_documented(index, first, last):
    whole = np.arange(first, last + 1)
    assert (ages.group(whole) == index).all()


@pytest.mark.parametrize("bad", [-1, -0.001, math.nan, math.inf, -math.inf])
def test_values_that_are_not_ages_have_no_group(bad):
    assert ages.group(bad) == -1


@given(YEARS, YEARS)
def test_older_people_are_never_in_a_younger_group(one, other):
    younger, older = sorted([one, other])
    assert 0 <= ages.group(younger) <= ages.group(older) < len(AGE)


@given(st.lists(st.floats()))
def test_many_ages_are_grouped_like_one_at_a_time(years):
    together = ages.group(years)
    assert together.dtype == np.int64
    assert together.tolist() == [int(ages.group(year)) for year in years]

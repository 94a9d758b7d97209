"""Years of age as one of Adience's eight groups, which leave gaps.

A group is extended to the midpoints of the gaps around it, so that every age
has a group. An age exactly at a midpoint belongs to the older group.

    group   midpoint where it starts   whole years
    0-2                                0 to 2
    4-6                 3              3 to 6
    8-13                7              7 to 13
    15-20              14              14 to 22
    25-32              22.5            23 to 34
    38-43              35              35 to 45
    48-53              45.5            46 to 56
    60+                56.5            57 and over
"""

import numpy as np

# Where each group but the first starts, in years.
STARTS = (3, 7, 14, 22.5, 35, 45.5, 56.5)


def group(age_years):
    """Class index in `samtl.data.tasks.AGE` of ages.

    Args:
        age_years: a number or an array of any shape, in years.

    Returns:
        int64 of the same shape, 0..7; -1 where the age is negative or not
        finite.
    """
    age_years = np.asarray(age_years, dtype=float)
    classes = np.searchsorted(STARTS, age_years, side="right")
    is_age = (age_years >= 0) & np.isfinite(age_years)
    return np.where(is_age, classes, -1)

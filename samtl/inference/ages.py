"""Age in years from the probabilities of age groups."""

import re

import numpy as np

GROUP = re.compile(r"(\d+)(?:-(\d+)|\+)?")
# Years from the start of the last group, "60+", to its representative age. The
# faces of UTKFace's training split in it are 69.7 years old on average.
LATER = 10


def representative(classes: tuple[str, ...]) -> tuple[float, ...]:
    """The representative ages of age groups by their names, in years.

    It is 28.5 for "25-32", the centre, 70 for "60+", and 7 for "7".

    Returns:
        one age a class; empty if a name is not that of a group.
    """
    found = [GROUP.fullmatch(name) for name in classes]
    if not all(found):
        return ()
    return tuple(map(_representative, found))


def _representative(group):
    start, end = int(group[1]), group[2]
    if end is not None:
        return (start + int(end)) / 2
    return float(start + LATER if group[0].endswith("+") else start)


def expected(probabilities: np.ndarray, years: tuple[float, ...]) -> float:
    """Expected age, sum_c p_c m_c.

    Rothe, Timofte, Van Gool, "Deep Expectation of Real and Apparent Age from a
    Single Image Without Facial Landmarks", IJCV 2018.

    Args:
        probabilities: float [C] of the age groups, sum 1.
        years: their representative ages m_c, in years.

    Returns:
        years.
    """
    return float(np.dot(probabilities, years))

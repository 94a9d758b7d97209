"""How the numbers and names of a comparison are written."""

import collections
import itertools
import math
from collections.abc import Iterable
from typing import TypeVar

MINUS = "\N{MINUS SIGN}"
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
LONGEST = 32  # letters of a name in a figure
START = 8  # of these, where names differ only further on

Value = TypeVar("Value")


def percent(share: float) -> str:
    """-1..1 as a number of %, with a decimal."""
    return points(100 * share).removeprefix("+")


def points(value: float) -> str:
    """A difference with its sign and a decimal."""
    text = f"{value:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", MINUS)


def interval(low: float, high: float) -> str:
    """The ends of an interval of differences."""
    return f"{points(low)} to {points(high)}"


def probability(p: float) -> str:
    """A p-value with three decimals, or <0.001."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def number(value: float) -> str:
    """A count, or a mean of counts: small ones with a decimal."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def times(value: float) -> str:
    """A factor with two decimals; without any from 10 on."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.0f}"


def seconds(value: float) -> str:
    """A time as seconds, minutes or hours."""
    if value < 100:
        return f"{value:.0f} s"
    if value < 6000:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f} h"


def shortened(names: Iterable[str]) -> dict[str, str]:
    """{name: the name itself, or a short form that no other name has}.

    A long name loses its middle. Where that would make two names the same, they
    lose the common part behind their first letters.
    """
    alike = collections.defaultdict(list)
    for name in dict.fromkeys(names):
        alike[_without_middle(name)].append(name)
    return {
        name: short if len(group) == 1 else _from_difference(name, group)
        for short, group in alike.items()
        for name in group
    }


def _without_middle(name):
    if len(name) <= LONGEST:
        return name
    end = LONGEST // 2
    return f"{name[: LONGEST - end - 1]}{ELLIPSIS}{name[-end:]}"


def _from_difference(name, group):
    """The start of a name, and the rest from the first word that differs."""
    same = max(
        _letters_in_common(name, other) for other in group if other != name
    )
    own = max(name.rfind(" ", 0, same) + 1, same - START)
    start, rest = f"{name[:START]}{ELLIPSIS}", name[own:]
    room = LONGEST - len(start)
    return start + (rest if len(rest) <= room else rest[: room - 1] + ELLIPSIS)


def _letters_in_common(name, other):
    """How many letters two names have in common from the start."""
    letters = zip(name, other, strict=False)
    return len(list(itertools.takewhile(lambda two: two[0] == two[1], letters)))


def known(value: Value) -> Value | None:
    """The value, or None for a missing one (NaN)."""
    is_missing = isinstance(value, float) and math.isnan(value)
    return None if is_missing else value

"""How the numbers of a comparison are written."""

import collections
import itertools
import math
from html import escape

MINUS = "\N{MINUS SIGN}"
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
LONGEST = 32  # letters of a name in a figure
START = 8  # of these, where only what follows tells it from others


def percent(share):
    """-1..1 as a number of %, with a decimal."""
    return points(100 * share).removeprefix("+")


def points(value):
    """A difference with its sign and a decimal."""
    text = f"{value:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", MINUS)


def probability(p):
    """A p-value; what is below 0.001 is written so."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def number(value):
    """A count, or a mean of counts: small ones with a decimal."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def seconds(value):
    """A time as seconds, minutes or hours."""
    if value < 100:
        return f"{value:.0f} s"
    if value < 6000:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f} h"


def shortened(names):
    """{name: itself, or what is short and tells it from the others}.

    A long name loses its middle, or where that would make two the same, what
    they have in common behind its first letters.
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
    """The start of a name, and what begins with the word that is its own."""
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


def known(value):
    """The value, or None for what pandas calls missing."""
    is_missing = isinstance(value, float) and math.isnan(value)
    return None if is_missing else value


def data(metric, value, **names):
    """A number in HTML, marked by what it is."""
    return (
        f'<span data-metric="{metric}"{where(**names)}>'
        f"{escape(str(value))}</span>"
    )


def where(**names):
    """HTML attributes that tell the pair, method or task of what is inside."""
    return "".join(
        f' data-{name}="{escape(str(value))}"' for name, value in names.items()
    )

"""How the numbers of a comparison are written."""

import math
from html import escape

MINUS = "\N{MINUS SIGN}"
LONGEST = 32  # letters of a name in a figure


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


def shortened(name):
    """A long name without its middle: its end may tell it from others."""
    if len(name) <= LONGEST:
        return name
    end = LONGEST // 2
    return f"{name[: LONGEST - end - 1]}\N{HORIZONTAL ELLIPSIS}{name[-end:]}"


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

"""Text that is safe to print: names from others, and numbers of things."""

import re

# Terminals obey them, and a line with them is not one line.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Surrogates stand for bytes that are not valid UTF-8.
UNPRINTABLE = re.compile(rf"{CONTROL.pattern}|[\ud800-\udfff]")


def printable(name) -> str:
    """A name in one line, control characters as escapes such as \\x1b."""
    return UNPRINTABLE.sub(
        lambda found: found[0].encode("unicode_escape").decode(), str(name)
    )


def counted(number: int, noun: str) -> str:
    """A number of things as text, as in "1 frame" or "2,000 frames".

    Args:
        noun: in the singular; its plural ends with an added s.
    """
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"

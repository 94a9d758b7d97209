"""Fonts for text of any script."""

import functools
import importlib.util
import os
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from PIL import ImageFont

SUFFIXES = (".otf", ".ttc", ".ttf")


def font(text: str, size: int) -> ImageFont.FreeTypeFont:
    """A font that has all characters of a text.

    ASCII is in Pillow's font. Other text is in DejaVu Sans, which matplotlib
    brings along (accents, Greek, Cyrillic, Hebrew, Arabic ...), or else in the
    first font of the system that has it. It is not higher than Pillow's.

    Args:
        text: one line.
        size: in pixels.
    """
    return _sized(None if text.isascii() else _path(frozenset(text)), size)


@functools.cache
def _sized(place, size):
    usual = ImageFont.load_default(size)
    if place is None:
        return usual
    path, index = place
    found = ImageFont.truetype(path, size, index)
    height = sum(usual.getmetrics())
    while size > 1 and sum(found.getmetrics()) > height:
        size -= 1
        found = ImageFont.truetype(path, size, index)
    return found


@functools.cache
def _path(characters):
    """(path, index in the file) of a font that has the characters."""
    needed = {ord(c) for c in characters if not c.isspace()}
    for place in _places():
        if needed <= _covered(*place):
            return place
    some = "".join(sorted(c for c in characters if not c.isascii()))
    print(
        f"no font has {some!r}, so that boxes stand for it; install one, such "
        f"as {_usual(needed)}",
        file=sys.stderr,
    )
    return next(_places(), None)


def _usual(needed):
    """The usual font for the first script that DejaVu Sans lacks."""
    usual = _covered(*next(_places(), ("", 0)))
    missing = chr(min(needed - usual, default=min(needed)))
    if unicodedata.category(missing).startswith("S"):
        return "Noto Emoji"
    script = unicodedata.name(missing, "CJK").split()[0].title()
    is_cjk = script in ("Cjk", "Hangul", "Hiragana", "Katakana")
    return f"Noto Sans {'CJK' if is_cjk else script}"


def _places() -> Iterator[tuple[str, int]]:
    """Fonts, the preferred ones first: DejaVu Sans, then the system's."""
    # Found without an import of matplotlib, which takes long.
    package = importlib.util.find_spec("matplotlib")
    if package is not None:
        folder = Path(package.origin).parent / "mpl-data" / "fonts" / "ttf"
        if (path := folder / "DejaVuSans.ttf").is_file():
            yield str(path), 0
    yield from _system_fonts()


def _system_fonts():
    folders = [
        *("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts"),
        *("~/.fonts", "/System/Library/Fonts", "/Library/Fonts"),
        *("~/Library/Fonts", "$WINDIR/Fonts"),
        "$LOCALAPPDATA/Microsoft/Windows/Fonts",
    ]
    for folder in map(os.path.expanduser, map(os.path.expandvars, folders)):
        for root, _, names in os.walk(folder):
            # Bold and italic fonts come last.
            for name in sorted(names, key=_rank):
                if name.lower().endswith(SUFFIXES):
                    yield os.path.join(root, name), 0


def _rank(name):
    styles = ("bold", "italic", "oblique", "black", "serif", "mono", "thin")
    return any(style in name.lower() for style in styles), name


@functools.cache
def _covered(path, index):
    """Code points of a font; none if it cannot be read."""
    # Imported here, as ASCII does not need it.
    from fontTools.ttLib import TTFont

    try:
        with TTFont(path, fontNumber=index, lazy=True) as file:
            return frozenset(file.getBestCmap() or ())
    # fontTools raises exceptions of any type on damaged fonts.
    except Exception:
        return frozenset()

"""Text of every script that the fonts of the requirements have."""

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from samtl.faces.drawing import fonts, text

SCRIPTS = {
    "accents": "naïf, żółć, glücklich",
    "Greek": "ευτυχισμένος",
    "Cyrillic": "счастливый",
    "Hebrew": "שמח",
    "Arabic": "سعيد",
    "Armenian": "ուրախ",
    "Georgian": "ბედნიერი",
}


@pytest.fixture(autouse=True)
def forget():
    yield
    fonts._path.cache_clear()
    text.width.cache_clear()
    text._mask.cache_clear()


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_character_is_a_box(monkeypatch, script):
    # The system's fonts do not count.
    monkeypatch.setattr(fonts, "_system_fonts", lambda: iter(()))
    words = SCRIPTS[script]
    box = text._mask("\u0378", 24)  # not a character
    for character in set(words) - {" ", ","}:
        mask = text._mask(character, 24)
        assert mask.any()
        assert not np.array_equal(mask, box)
    mask = text._mask(words, 24)
    assert mask.shape[:2] == (text.height(24), text.width(words, 24))
    # Nothing but the edge of a letter is cut off above or below.
    assert mask[[0, -1]].max() < 200 / 255


def test_ascii_keeps_its_font():
    assert (
        fonts.font("happy?", 20).getname() == fonts._sized(None, 20).getname()
    )
    assert "DejaVu" not in fonts.font("happy?", 20).getname()[0]


def _square_font(path, character):
    """A font whose only character is a square."""
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(character): "square"})
    pen = TTGlyphPen(None)
    for move, place in zip(
        (pen.moveTo, pen.lineTo, pen.lineTo, pen.lineTo),
        ((0, 0), (0, 700), (700, 700), (700, 0)),
        strict=True,
    ):
        move(place)
    pen.closePath()
    builder.setupGlyf(
        {".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()}
    )
    builder.setupHorizontalMetrics({".notdef": (800, 0), "square": (800, 0)})
    builder.setupHorizontalHeader(ascent=1200, descent=-400)
    builder.setupNameTable({"familyName": "Square", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)


def test_other_scripts_are_in_a_font_of_the_system(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "a.ttf").write_text("no font")
    _square_font(tmp_path / "b.ttf", "\u559c")
    places = [(str(tmp_path / name), 0) for name in ("a.ttf", "b.ttf")]
    monkeypatch.setattr(fonts, "_system_fonts", lambda: iter(places))
    assert fonts.font("\u559c", 30).getname()[0] == "Square"
    mask = text._mask("\u559c", 30)
    assert 0.2 < (mask > 0.5).mean() < 0.6
    assert capsys.readouterr().err == ""
    assert "DejaVu" in fonts.font("\u60b2", 30).getname()[0]
    assert "no font has '\u60b2'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("label", "cure"),
    [
        ("\u60b2", "Noto Sans CJK"),
        ("\ud589\ubcf5", "Noto Sans CJK"),
        ("\u0916\u0941\u0936\u0940", "Noto Sans Devanagari"),
        ("\u0e2a\u0e38\u0e02 99%", "Noto Sans Thai"),
        ("\U0001fae0", "Noto Emoji"),
    ],
)
def test_the_font_to_install_is_that_of_the_script(
    monkeypatch, capsys, label, cure
):
    monkeypatch.setattr(fonts, "_system_fonts", lambda: iter(()))
    fonts._path.cache_clear()
    fonts.font(label, 30)
    assert f"such as {cure}\n" in capsys.readouterr().err
    fonts._path.cache_clear()

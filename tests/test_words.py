"""Words of the field instead of replaced words, in code and documents."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SUFFIXES = ("*.py", "*.md", "*.toml", "*.yaml")
# Replaced word, a case-insensitive regular expression -> the word to use.
# (?-i:...) is case-sensitive: the names of former classes.
WORDS = {
    r"\bweigh(s|ed|ing)\b|\bweigh by\b": "weights, weighted, weight by",
    r"\b(un)?taught\b": "distilled, not distilled",
    r"\bthe door of\b|\bat the door\b|\bdoors? to\b": "command-line interface",
    r"\S (?<!there )(is|are) no "
    r"(?!longer\b|more\b|better\b|worse\b|other\b|news\b)": "is not a ...",
    r"\b(two|more|one|second) looks?\b|\blooks? (once|twice) at\b": (
        "test-time augmentation"
    ),
    r"\bviews\b|\bview_strength\b": "augmentation, augmentation strength",
    r"\bcompany\b": "positive or negative transfer",
    r"\bmend(s|ed|ing)?\b": "calibrates, fixes, repairs",
    r"\bof all chance\b": "random seed",
    r"\bunknowable\b": "anonymised",
    r"\b(is|are|was|were) said\b": "is reported",
    r"\blast digits\b": "not bitwise reproducible",
    r"\bdrawn (faces?|sets?)\b|\bfaces? drawn from\b": "synthetic faces",
    r"\b(the|their|its) owners?\b|\bowners' ": "authors, copyright holders",
    r"(?<![\"'_])\bduels?\b(?![\"'_])": "win/loss matrix",
    r"\bdef whose\b|\bwhose\(|\bwhose =": "identity",
    r"(?-i:\bNames\(|\bclass Names\b|\bimport Names\b)": "OutputPaths",
    r"\b(refuse_bomb|check_decompressed_size)\b": "archives.check",
    r"(?-i:\bPart\(|\bclass Part\b|\bimport Part\b)": "Split",
    r"(?<![\"'])\bcompanions?\b(?![\"'])": "auxiliary model",
    r"(?-i:\bTerm\(|\bclass Term\b|\bimport Term\b)": "AuxiliaryLoss",
    r"\baudits?\b": "pseudo-label diagnostics",
    r"\bthaw(s|ed|ing)?\b": "unfrozen",
    r"\bleft_out\b|\blabels? (is |are )?left out\b": "masked",
    r"\bwhat [\w' ]{1,40} makes? of\b": "the prediction of ... for ...",
}
# Names in published results: files of their commits, and method keys.
KEPT = re.compile(r"plans/taught\.toml|sa-mtl-taught|all-in-one-weighed")


def pages():
    """Tracked text files but for this file."""
    found = subprocess.run(
        ["git", "-C", ROOT, "ls-files", *SUFFIXES],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    paths = [ROOT / name for name in found if name]
    return [path for path in paths if path.is_file() and path != Path(__file__)]


@pytest.fixture(scope="module")
def lines():
    """[(file:line, text)] of all pages, without names that are kept."""
    return [
        (f"{path.relative_to(ROOT)}:{number}", KEPT.sub("", line))
        for path in pages()
        for number, line in enumerate(
            path.read_text(encoding="utf-8").splitlines(), start=1
        )
    ]


@pytest.mark.parametrize("word", WORDS, ids=WORDS.values())
def test_replaced_words_do_not_return(lines, word):
    pattern = re.compile(word, re.IGNORECASE)
    hits = [
        f"{place}: {text.strip()}"
        for place, text in lines
        if pattern.search(text)
    ]
    assert not hits, "\n".join([f"use {WORDS[word]!r}:", *hits])


def test_teeth_are_those_of_faces(lines):
    """The curves of a figure have none."""
    hits = [
        place
        for place, text in lines
        if re.search(r"\bteeth\b", text, re.IGNORECASE)
        and not place.startswith("data_preparation/drawing/")
    ]
    assert not hits


@pytest.mark.parametrize(
    "text",
    [
        "losses weighed by images",
        "--source=x is no folder",
        "{name!r} is no UTF-8",
        "drawn faces",
        "their owners",
        "what company gives",
        "Part(rows)",
        "what the network makes of it",
    ],
)
def test_replaced_words_are_found(text):
    assert any(re.search(word, text, re.IGNORECASE) for word in WORDS)


@pytest.mark.parametrize(
    "text",
    [
        "there is no label",
        "There are no votes",
        "a run that is no longer there",
        "--teacher_share=0.9",
        "weights of pseudo labels",
        'groups["companion"]',
        "PartialFunction(x)",
        "a person whose face",
        "names of files",
    ],
)
def test_other_words_are_allowed(text):
    assert not any(re.search(word, text, re.IGNORECASE) for word in WORDS)

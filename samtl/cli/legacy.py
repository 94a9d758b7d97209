"""Spellings of published command lines, translated before parsing."""

import itertools
import re

OLD_NAME = re.compile(r"(^|--)is_pesudo(?=(?:_[a-z]+)?(?:=|--|$))")


def repair(argv, flags=None):
    """Translate the spellings of published command lines.

    `pesudo` becomes pseudo; `distill_t=2` gets its dashes; flags run together
    are parted; a brace group of script names is dropped.

    Args:
        argv: list of words.
        flags: the flags' names, to tell a flag from a value that looks like
            one; None takes every name for a flag.

    Returns:
        (words, notes): the repaired words, and one line per repair. The
        spelling pesudo is common enough to be read without a note.
    """
    argv, notes = _drop_braces(argv)
    words = []
    for word in argv:
        plain = OLD_NAME.sub(r"\1is_pseudo", word)
        parts = _part(plain, flags)
        if parts != [plain]:
            notes.append(f"note: read {word!r} as {' '.join(parts)}")
        words += parts
    return words, notes


def _drop_braces(argv):
    words, dropped = [], []
    inside = False
    for word in argv:
        inside = inside or word.startswith("{")
        (dropped if inside else words).append(word)
        inside = inside and not word.endswith("}")
    if not dropped:
        return words, []
    note = f"note: dropped '{' '.join(dropped)}'"
    if not words:
        note += "; no flags follow, they belong on the same line"
    return words, [note]


def _part(word, flags):
    """`--a=1--b=2` -> [--a=1, --b=2]; `a=1` -> [--a=1]."""

    def known(name):
        return flags is None or name in flags

    bare = re.match(r"([A-Za-z]\w*)=", word)
    if bare and known(bare[1]):
        word = f"--{word}"
    if not word.startswith("--"):
        return [word]
    starts = [
        match.start()
        for match in re.finditer(r"--([A-Za-z]\w*)(?==|--|$)", word)
        if match.start() > 0 and known(match[1])
    ]
    edges = [0, *starts, len(word)]
    return [word[a:b] for a, b in itertools.pairwise(edges)]

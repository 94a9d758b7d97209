"""Changes of the fuzzer to whole inputs: bytes, cells and values."""

import csv
import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st

TEXTS = st.sampled_from(
    [
        *("", " ", "0", "1", "-1", "1e308", "1e999", "nan", "inf", "True"),
        *("9" * 309, "9" * 5000, "0x10", "1_0", "٣", "../../up", "/etc/passwd"),
        *("a" * 10_000, "\0", "\n", "a\nb", "\x1b[2J", "=cmd|' /C calc'!A0"),
        *("$\\foo{$", "\ud800", "\u202e", "\U0001f600", "--", "-1", "a:b"),
        *(
            "{}",
            "[]",
            "null",
            '"',
            "'",
            ",",
            ";",
            "path",
            "mtfl",
            "pose",
            "[" * 9,
        ),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([-1, 0, 2**31, 2**63, 10**400, 0.5, 1e308, float("nan")])
    | st.integers()
    | st.floats()
    | TEXTS
    | st.text(max_size=8),
    lambda part: (
        st.lists(part, max_size=3) | st.dictionaries(TEXTS, part, max_size=3)
    ),
    max_leaves=6,
)
# Where in a file, 0..1; what to do there; with what.
EDITS = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(["flip", "cut", "drop", "repeat", "insert", "deep"]),
        TEXTS | st.binary(max_size=8),
    ),
    min_size=1,
    max_size=4,
)
DEEP = b"[" * 100_000


def edited(content: bytes, edits) -> bytes:
    """Bytes with EDITS."""
    data = bytearray(content)
    for share, kind, new in edits:
        place = int(share * len(data))
        if isinstance(new, str):
            new = new.encode(errors="surrogatepass")
        match kind:
            case "flip" if data:
                data[place] ^= 1 << (len(new) % 8)
            case "cut":
                del data[place:]
            case "drop":
                del data[place : place + 1 + len(new)]
            case "repeat":
                data[place:place] = data[place : place + 100]
            case "insert":
                data[place:place] = new
            case "deep":
                data[place:place] = DEEP
    return bytes(data)


def replaced(content: bytes, share: float, value, suffix: str) -> bytes:
    """A JSON or CSV file with another value in a place, 0..1."""
    if suffix == ".json":
        tree = json.loads(content)
        tree.pop("checksum", None)  # as somebody may have edited it
        places = list(_places(tree))
        holder, key = places[int(share * len(places))]
        if holder is None:
            tree = value
        else:
            holder[key] = value
        text = json.dumps(tree)
    else:
        rows = list(csv.reader(io.StringIO(content.decode())))
        cells = list(
            itertools.chain(*([(r, c) for c in range(len(r))] for r in rows))
        )
        row, column = cells[int(share * len(cells))]
        row[column] = value if isinstance(value, str) else json.dumps(value)
        file = io.StringIO()
        csv.writer(file).writerows(rows)
        text = file.getvalue()
    return text.encode(errors="surrogatepass")


def _places(tree):
    """(holder, key) of every value of a tree."""
    yield None, None
    items = []
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, list):
        items = enumerate(tree)
    for key, value in list(items):
        yield tree, key
        yield from list(_places(value))[1:]


def _changes(paths):
    """Strategy of (path, changed content) for some whole files."""
    whole = {path: path.read_bytes() for path in paths}
    names = st.sampled_from(list(whole))

    def bytes_of(drawn):
        path, edits = drawn
        return path, edited(whole[path], edits)

    def values_of(drawn):
        path, share, value = drawn
        return path, replaced(whole[path], share, value, path.suffix)

    changes = st.tuples(names, EDITS).map(bytes_of)
    trees = [path for path in paths if path.suffix in (".json", ".csv")]
    trees = [path for path in trees if not whole[path].startswith(b"\xff")]
    if not trees:
        return changes, whole
    places = st.floats(0, 1, exclude_max=True)
    return changes | st.tuples(st.sampled_from(trees), places, VALUES).map(
        values_of
    ), whole


def on_files(paths, read: Callable[[Path], None]):
    """(strategy, reader) for changed files; all others stay whole."""
    strategy, whole = _changes(paths)

    def try_one(change):
        path, content = change
        path.write_bytes(content)
        try:
            read(path)
        finally:
            path.write_bytes(whole[path])

    return strategy, try_one

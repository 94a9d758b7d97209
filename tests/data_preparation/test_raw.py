"""Label files, whole and broken."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_preparation import raw
from utils.errors import UserError


def test_lines_are_those_with_something(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeffone\r\n\r\n  \ntwo ü\n".encode())
    assert raw.lines(path) == ["one", "two ü"]


def test_a_table_is_its_rows_under_headings(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('a, b\n1,"x, y"\n\n2,"line\nbreak"\n')
    assert raw.csv_rows(path)[1] == ["1", "x, y"]
    assert raw.csv_table(path, ["b"]) == [
        {"a": "1", "b": "x, y"},
        {"a": "2", "b": "line\nbreak"},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column b in its first line but nothing"),
        ("a,c\n1,2\n", "no column b in its first line but a, c"),
        ("a,b\n1,2\n1\n", "row 3: 1 cells under 2 headings"),
    ],
)
def test_broken_tables_are_refused(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        raw.csv_table(path, ["b"])


def test_missing_files_and_binary_ones_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"has no none\.txt \(found: nothing"):
        raw.lines(tmp_path / "none.txt")
    with pytest.raises(UserError, match="cannot read"):
        raw.lines(tmp_path / "nowhere" / "none.txt")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(UserError, match="cannot read"):
        raw.csv_rows(tmp_path / "photo.jpg")


@given(st.binary(max_size=60))
def test_no_content_makes_reading_crash(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "labels"
    path.write_bytes(content)
    for read in (raw.lines, raw.csv_rows, lambda p: raw.csv_table(p, ["a"])):
        with contextlib.suppress(UserError):
            read(path)


def test_what_is_found_is_listed_in_short(tmp_path):
    assert raw.found(tmp_path) == "nothing"
    for name in "gfedcba":
        (tmp_path / name).touch()
    assert raw.found(tmp_path) == "a, b, c, d, e, f and 1 more"

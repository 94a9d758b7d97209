"""Label files, whole and broken."""

import contextlib
import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_preparation import raw
from samtl.common.errors import UserError


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
        ("a,b\n1,2\n1\n", "row 3: 1 cell under 2 headings"),
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


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_images_are_found_at_any_depth_but_not_in_prepared_sets(tmp_path):
    found = [touch(tmp_path / name) for name in ("a.PNG", "b/c/d.jpeg")]
    touch(tmp_path / "b" / "notes.txt")
    for place in ("db/toy/e.png", "db/.toy.partial/crops/e.png"):
        touch(tmp_path / "data" / place)
    assert raw.images(tmp_path, tmp_path / "data") == found
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert raw.images(tmp_path, tmp_path / "link") == found


def test_links_to_a_parent_folder_are_not_followed(tmp_path):
    photo = touch(tmp_path / "raw" / "train" / "a.png")
    other = touch(tmp_path / "other" / "b.png")
    (tmp_path / "raw" / "latest").symlink_to(tmp_path / "raw")
    (photo.parent / "up").symlink_to(tmp_path / "raw")
    (photo.parent / "more").symlink_to(other.parent)
    (other.parent / "back").symlink_to(photo.parent)
    assert raw.images(tmp_path / "raw", tmp_path) == [
        photo,
        photo.parent / "more" / "b.png",
    ]


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    touch(tmp_path / "train" / "a.png")
    closed = touch(tmp_path / "train" / "fear" / "b.png").parent
    scan = os.scandir

    # Root reads whatever its mode is.
    def scandir(folder):
        if folder == closed:
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    message = f"cannot read {closed}: Permission denied; make it readable"
    with pytest.raises(UserError, match=message):
        raw.images(tmp_path, tmp_path)


def test_what_is_found_is_listed_in_short(tmp_path):
    assert raw.found(tmp_path) == "nothing"
    for name in "gfedcba":
        (tmp_path / name).touch()
    assert raw.found(tmp_path) == "a, b, c, d, e, f and 1 more"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_of_spreadsheets_are_read(tmp_path, encoding, separator):
    path = tmp_path / "table.csv"
    rows = [["emotion", "pixels", "Usage"], ["3.0", '"1 2 3"', "Trainïng"]]
    text = "\r\n".join(separator.join(row) for row in rows)
    path.write_bytes(text.encode(encoding))
    expected = {"emotion": "3", "pixels": "1 2 3", "Usage": "Trainïng"}
    assert raw.csv_table(path, ["pixels"]) == [expected]


def test_what_spreadsheets_add_does_not_count(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        "sep=;\r\nEmotion;YAW;Usage\r\n3,0;-0,25;Test;;\r\n4;1,5E-3;Test\r\n"
        ";;\r\n  \r\n\r\n"
    )
    first, second = raw.csv_table(path, ["emotion", "yaw", "Usage"])
    assert first == {"emotion": "3", "yaw": "-0.25", "Usage": "Test"}
    assert second == {"emotion": "4", "yaw": "1.5E-3", "Usage": "Test"}
    path.write_text('a,b\n"1,5",2\n')
    assert raw.csv_rows(path) == [["a", "b"], ["1,5", "2"]]


def test_the_folder_of_an_archive_is_found(tmp_path):
    source = tmp_path / "raw"
    inner = source / "MTFL" / "mtfl"
    touch(inner / "training.txt")
    for name in (".DS_Store", "__MACOSX/a", "MTFL.zip", "MTFL/._mtfl"):
        touch(source / name)
    assert raw.unpacked(source, "mtfl") == inner
    assert raw.unpacked(source, "expw") == source
    assert raw.unpacked(source / "MTFL", "expw") == inner
    assert "MTFL.zip, to be unpacked" in raw.found(source)
    touch(source / "testing.txt")
    assert raw.unpacked(source, "mtfl") == source


@pytest.mark.parametrize("kind", ["tar", "gztar", "bztar", "xztar", "zip"])
def test_an_archive_is_no_table(tmp_path, kind):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("a,b")
    archive = shutil.make_archive(
        str(tmp_path / "out"), kind, root_dir=tmp_path / "in"
    )
    path = tmp_path / "fer2013.csv"
    os.replace(archive, path)
    with pytest.raises(UserError, match="archive; unpack it") as caught:
        raw.csv_rows(path)
    assert "\0" not in str(caught.value)


def test_files_of_macos_are_no_images(tmp_path):
    for name in ("a.jpg", "._a.jpg", "__MACOSX/b.jpg", "b/._c.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert raw.images(tmp_path, tmp_path) == [tmp_path / "a.jpg"]


@pytest.mark.parametrize("separator", [" ", "\t", ";", ","])
def test_cells_of_a_line(separator):
    words = ["my photo.jpg", "0", "-3", "3.0", "0.5"]
    found = raw.cells(separator.join(words) + "\r\n", 5)
    assert found == ["my photo.jpg", "0", "-3", "3", "0.5"]
    assert raw.cells("a b;c", 5) == []

"""Records that wait on disk."""

import json
import os
import tempfile
from pathlib import Path

import pytest

from samtl.common.errors import UserError
from samtl.faces.media import records

HEAD = {"weights": "a    0b", "detector": None}
IMAGES = [{"file": "ä\udc80.png", "error": "no"}, {"file": "b", "faces": []}]


@pytest.fixture
def found():
    with tempfile.TemporaryFile(buffering=0) as file:
        yield records.Records(file)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_json_is_what_the_library_writes(found, tmp_path, count):
    for image in IMAGES[:count]:
        found.add(image)
    assert len(found) == count
    path = tmp_path / "found.json"
    for _ in range(2):
        records.write_json(path, HEAD, found)
        content = {**HEAD, "images": IMAGES[:count]}
        assert json.loads(path.read_text(encoding="utf-8")) == content
    if count:
        wanted = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        wanted = wanted.encode(errors="backslashreplace")
        assert path.read_bytes() == wanted


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_a_line():
    with (
        open("/dev/full", "r+b", buffering=0) as file,
        pytest.raises(UserError, match=f"{os.sep}.*: No space left.*TMPDIR"),
    ):
        records.Records(file).add({})

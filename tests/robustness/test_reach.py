"""Strangers' files reach no other file, no program and no memory.

Each file here is whole: it does what its format allows.
"""

import io
import json
import os
import sqlite3
import struct
import subprocess
import tempfile
import zipfile

import h5py
import numpy as np
import onnx
import pytest
from onnx.external_data_helper import set_external_data
from PIL import Image
from scipy.io import savemat

from data_preparation import aflw, crops, imdb
from samtl import networks
from samtl.common import archives, onnx_files
from samtl.common.errors import UserError
from samtl.data import images
from samtl.data.tasks import POSE, Task
from samtl.faces import detect, inputs
from samtl.faces.media import video
from samtl.inference import loading
from samtl.runs import results
from samtl.training import experiment, state
from tests import quick
from tests.faces import stand_ins
from tests.faces.media import clips
from tests.robustness.trials import REFUSED, attempt, case, check_message

TASK = Task("pose", POSE)
SECRET = b"not for others " * 1000


@pytest.fixture(scope="module")
def network():
    return quick.build("mini_xception", [TASK])


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


def _external(group, name, shape, secret):
    """An array whose bytes are those of another file."""
    storage = [(str(secret), 0, h5py.h5f.UNLIMITED)]
    group.create_dataset(name, shape, "u1", external=storage)


def _linked(group, name, shape, secret):
    with h5py.File(f"{secret}.h5", "w") as other:
        other["x"] = np.ones(shape, "float32")
    group[name] = h5py.ExternalLink(f"{secret}.h5", "x")


def _soft(group, name, shape, secret):
    """A link that begins in the file and ends outside."""
    _linked(group.file, "way", shape, secret)
    group[name] = h5py.SoftLink("/way")


def _virtual(group, name, shape, secret):
    with h5py.File(f"{secret}.h5", "w") as other:
        other["x"] = np.ones(shape, "float32")
    layout = h5py.VirtualLayout(shape, "float32")
    layout[...] = h5py.VirtualSource(f"{secret}.h5", "x", shape)
    group.create_virtual_dataset(name, layout)


def _integers(group, name, shape, secret):
    group.create_dataset(name, data=np.ones(shape, "u1"))


def _replace(file, make, secret):
    """Replace the first array of a layer in an HDF5 file of weights."""
    group = file["layers/conv2d/vars"] if "layers/conv2d" in file else None
    group = group or next(
        g["vars"] for g in file["layers"].values() if len(g.get("vars", ()))
    )
    shape = group["0"].shape
    del group["0"]
    make(group, "0", shape, secret)


@pytest.mark.parametrize(
    "make", [_external, _linked, _soft, _virtual, _integers]
)
def test_hdf5_shows_no_other_file(tmp_path, network, secret, make):
    path = tmp_path / "net.weights.h5"
    network.save_weights(path)
    with h5py.File(path, "r+") as file:
        _replace(file, make, secret)
    archive = tmp_path / "net.keras"
    network.save(archive)
    _pack_again(archive, path.read_bytes())
    stand_ins.network(tmp_path, {"pose": list(POSE)}, sha256={})
    fresh = quick.build("mini_xception", [TASK])
    before = fresh.get_weights()
    readers = [
        lambda: networks.load_weights(fresh, path),
        lambda: networks.load_weights(fresh, archive),
    ]
    if make is not _integers:  # Keras converts them
        readers += [
            lambda: experiment._load_best(fresh, archive),
            lambda: loading.load(archive),
        ]
    for read in readers:
        assert attempt(read) is REFUSED
    for old, new in zip(before, fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def _pack_again(path, weights):
    """Replace the weights in a .keras archive."""
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (kept | {"model.weights.h5": weights}).items():
            archive.writestr(name, data)


@pytest.mark.parametrize("name", ["assets/words.txt", "config.json"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_keras_archives_are_not_unpacked(tmp_path, network, name, monkeypatch):
    path = tmp_path / "net.keras"
    network.save(path)
    stand_ins.network(tmp_path, {"pose": list(POSE)}, sha256={})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, SECRET)
    made = []
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *a, **k: made.append(a))
    for read in (
        lambda: loading.load(path),
        lambda: experiment._load_best(network, path),
        lambda: networks.load_weights(network, path),
    ):
        assert attempt(read) is REFUSED
    assert not made


def _in_initializer(network, tensor):
    network.graph.initializer[0].CopyFrom(tensor)


def _in_attribute(network, tensor):
    node = onnx.helper.make_node("Constant", [], ["unused"], value=tensor)
    network.graph.node.append(node)


def _in_branch(network, tensor):
    inner = onnx.helper.make_graph([], "inner", [], [], [tensor])
    node = onnx.helper.make_node("If", ["w"], ["x"], then_branch=inner)
    network.graph.node.append(node)


@pytest.mark.parametrize("put", [_in_initializer, _in_attribute, _in_branch])
def test_onnx_shows_no_other_file(tmp_path, secret, put):
    path = stand_ins.network(tmp_path, sha256={})
    network = onnx.load(path)
    tensor = onnx.TensorProto()
    tensor.CopyFrom(network.graph.initializer[0])
    set_external_data(tensor, str(secret))
    tensor.ClearField("raw_data")
    put(network, tensor)
    path.write_bytes(network.SerializeToString())
    for read in (lambda: loading.load(path), lambda: detect.open(path)):
        with case(), pytest.raises(UserError, match="another file") as error:
            read()
        check_message(error.value)


def test_onnx_with_values_beside_it_is_put_into_one_file(tmp_path):
    path = stand_ins.network(tmp_path, {"location": ["in", "out"]}, sha256={})
    assert set(loading.load(path).tasks) == {"location"}
    whole = onnx.load(path)
    onnx.save(
        whole, path, save_as_external_data=True, size_threshold=0, location="w"
    )
    assert attempt(lambda: loading.load(path)) is REFUSED
    onnx.save(onnx.load(path), path)  # as the message says
    assert set(loading.load(path).tasks) == {"location"}


def test_every_way_to_a_tensor_is_known():
    leads = set(onnx_files.FIELDS)
    found, new = {}, [onnx.ModelProto.DESCRIPTOR]
    while new:
        kind = new.pop()
        inner = {f.number: f.message_type for f in kind.fields}
        found[kind.name] = {n: kind for n, kind in inner.items() if kind}
        new += [k for k in found[kind.name].values() if k.name not in found]
    for name, fields in found.items():
        ways = {n: kind.name for n, kind in fields.items()}
        ways = {n: kind for n, kind in ways.items() if kind in leads}
        assert ways == onnx_files.FIELDS.get(name, {}), name
    (external,) = (
        number
        for number, kind in found["TensorProto"].items()
        if kind.name == "StringStringEntryProto" and number < 14
    )
    assert external == onnx_files.EXTERNAL


POSTSCRIPT = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 20 20
{ } loop
%%EOF
"""


def test_pillow_hands_nothing_to_other_programs(tmp_path, monkeypatch):
    called = tmp_path / "called"
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch '{called}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    path = tmp_path / "photo.jpg"
    path.write_bytes(POSTSCRIPT)
    assert attempt(lambda: inputs.read(path)) is REFUSED
    assert attempt(lambda: images.decode(path, 3)) is REFUSED
    with case():
        assert inputs.size(path) == 0
        assert crops.decode(path, "RGB") is None
        assert not images._is_whole(POSTSCRIPT)
        assert not called.exists()


@pytest.mark.parametrize("kind", ["ICO", "PCX", "TGA", "PPM"])
def test_images_of_known_formats_only(tmp_path, kind):
    path = tmp_path / "photo.png"
    Image.new("RGB", (32, 32), "red").save(path, kind)
    found = attempt(lambda: inputs.read(path))
    assert (found is REFUSED) == (kind in ("ICO", "PCX"))


PLAYLISTS = {
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
    "concatenation": "ffconcat version 1.0\nfile {}\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("name", ["talk.mp4", "talk.m3u8"])
def test_videos_show_no_other_video(tmp_path, kind, name):
    clips.ffmpeg(*clips.PATTERN, tmp_path / "secret.ts")
    path = tmp_path / name
    path.write_text(PLAYLISTS[kind].format("secret.ts"))
    assert attempt(lambda: video.Source(str(path))) is REFUSED
    process = subprocess.Popen(["cat", path], stdout=subprocess.PIPE)
    pipe = f"/dev/fd/{process.stdout.fileno()}"
    assert attempt(lambda: video.Source(pipe)) is REFUSED
    process.wait()


def _lying(path, name, content, claimed):
    """An archive with a packed member that claims to be small."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    data = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = data.index(signature) + place
        struct.pack_into("<I", data, at, claimed)
    path.write_bytes(data)


def test_members_of_archives_that_lie_about_their_size(tmp_path, network):
    path = tmp_path / "net.keras"
    _lying(path, "model.weights.h5", bytes(10**8), 10)
    stand_ins.network(tmp_path, sha256={})
    before = results.peak_memory()
    for read in (
        lambda: networks.load_weights(network, path),
        lambda: loading.load(path),
        lambda: state.read(path),
        lambda: experiment._load_best(network, path),
    ):
        assert attempt(read) is REFUSED
    assert results.peak_memory() - before < 50


def test_arrays_that_claim_more_than_they_have(tmp_path):
    path = tmp_path / state.FILE
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("network/0000.npy", file.getvalue() + b"1234")
    assert attempt(lambda: state.read(path)) is REFUSED
    with case(), pytest.raises(ValueError, match="claims more"):
        archives.read_arrays(path)


def test_mat_files_that_unpack_to_more_than_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(imdb, "MEMORY", 2**28)
    path = tmp_path / "imdb.mat"
    zeros = np.zeros(2**28 // 8)
    savemat(path, {"imdb": {"dob": zeros}}, do_compression=True)
    assert path.stat().st_size < 2**21
    with case(), pytest.raises(UserError, match=r"more than .* MiB") as error:
        imdb.load(path, "imdb")
    check_message(error.value)


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) "


@pytest.mark.parametrize("kind", ["view", "computed"])
def test_databases_without_end(tmp_path, kind):
    path = tmp_path / aflw.DATABASE
    with sqlite3.connect(path) as database:
        for table in aflw.NEEDED:
            first, *others = columns = aflw.COLUMNS[table]
            if kind == "view":
                names = ", ".join(f"i AS {name}" for name in columns)
                query = f"{ENDLESS} SELECT {names} FROM n"
                database.execute(f"CREATE VIEW {table} AS {query}")
                continue
            made = [f"{name} AS (hex(zeroblob(500000)))" for name in others]
            database.execute(
                f"CREATE TABLE {table} ({first}, {', '.join(made)})"
            )
            rows = [(index,) for index in range(100)]
            database.executemany(f"INSERT INTO {table} VALUES (?)", rows)
    database.close()
    before = results.peak_memory()
    assert attempt(lambda: aflw.load_tables(tmp_path)) is REFUSED
    assert results.peak_memory() - before < 50


def test_messages_are_one_line():
    with case():
        assert str(UserError("a\nb\x1b[2J\u2028\ud800; c")) == (
            "a\\nb\\x1b[2J\\u2028\\ud800; c"
        )


@pytest.mark.parametrize(
    "name", ["\x1b]0;title\x07", "two\nlines", "\ud800", "\x9b31m"]
)
def test_names_of_classes_are_printable(tmp_path, name):
    path = stand_ins.network(tmp_path)
    description = json.loads(path.with_suffix(".json").read_text())
    description["tasks"]["emotion"][1] = name
    path.with_suffix(".json").write_text(json.dumps(description))
    assert attempt(lambda: loading.load(path)) is REFUSED

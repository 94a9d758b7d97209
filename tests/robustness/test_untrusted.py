"""Untrusted files: no code, no path outside a folder, no decompression bomb."""

import ast
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest

from samtl import networks
from samtl.common.errors import UserError
from samtl.data import tables
from samtl.data.tasks import POSE, Task
from samtl.inference import loading
from samtl.training import experiment, state
from tests import tiny
from tests.faces import stand_ins
from tests.robustness.trials import REFUSED, attempt, case

ROOT = Path(__file__).parents[2]
# Module: what of it must not be used; () is anything.
FORBIDDEN = {
    "pickle": (),
    "cPickle": (),
    "dill": (),
    "cloudpickle": (),
    "marshal": (),
    "shelve": (),
    "tarfile": (),
    "yaml": (),
    "joblib": ("load",),
    "shutil": ("unpack_archive",),
    "os": ("system", "popen"),
    "torch": ("load",),
}
# What is read where the code knows its SHA-256.
KNOWN = {ROOT / "samtl" / "web.py": ("tarfile",)}
METHODS = ("extract", "extractall", "enable_unsafe_deserialization")


def _sources():
    for pattern in (
        "*.py",
        "utils/**/*.py",
        "samtl/**/*.py",
        "data_preparation/**/*.py",
    ):
        yield from ROOT.glob(pattern)


def _dangers(tree, known=()):
    """Lines of a program that run, unpickle or unpack what they read.

    Modules in `known` are left out.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = {n.name for n in node.names}.difference(known)
            found = any(FORBIDDEN.get(name) == () for name in names)
        elif isinstance(node, ast.ImportFrom):
            names = FORBIDDEN.get(node.module, (None,))
            found = not names or any(n.name in names for n in node.names)
        elif isinstance(node, ast.Attribute):
            owner = getattr(node.value, "id", None)
            found = node.attr in (*METHODS, *FORBIDDEN.get(owner, ()))
        elif isinstance(node, ast.Call):
            found = getattr(node.func, "id", None) in ("eval", "exec") or any(
                (word.arg, getattr(word.value, "value", None))
                in (
                    ("allow_pickle", True),
                    ("shell", True),
                    ("safe_mode", False),
                )
                for word in node.keywords
            )
        else:
            continue
        if found:
            yield node.lineno


def test_no_code_unpickles_runs_or_unpacks_what_it_reads():
    assert len(list(_sources())) > 50
    for path in _sources():
        with case():
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert not list(_dangers(tree, KNOWN.get(path, ()))), path


class Exploit:
    """Unpickled, it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickles_in_arrays_are_not_read(tmp_path):
    path, trace = tmp_path / "state.npz", tmp_path / "trace"
    exploit = np.array([Exploit(trace)], dtype=object)
    np.savez(path, allow_pickle=True, exploit=exploit, json=exploit)
    assert attempt(lambda: state.read(path)) is REFUSED
    path = tmp_path / "best.keras"
    path.write_bytes(pickle.dumps(Exploit(trace)))
    network = networks.build("mini_xception", [Task("pose", POSE)])
    assert attempt(lambda: networks.load_weights(network, path)) is REFUSED
    assert not trace.exists()


def _with_lambda(path, trace):
    """A network whose function, if it ran, would write a file."""
    inputs = keras.Input((16, 16, 1))
    source = (
        f"lambda x: (__import__('pathlib').Path({str(trace)!r}).touch(), x)[1]"
    )
    layer = keras.layers.Lambda(eval(source), output_shape=(16, 16, 1))
    keras.Model(inputs, layer(inputs)).save(path)
    trace.unlink(missing_ok=True)  # building runs it


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore")
def test_functions_in_networks_do_not_run(tmp_path, suffix):
    stand_ins.network(tmp_path, sha256={})
    path, trace = tmp_path / f"net{suffix}", tmp_path / "trace"
    _with_lambda(path, trace)
    network = networks.build("mini_xception", [Task("pose", POSE)])
    assert attempt(lambda: networks.load_weights(network, path)) is REFUSED
    assert attempt(lambda: loading.load(path)) is REFUSED
    assert not trace.exists()


def test_images_outside_the_data_folder_are_refused(tmp_path):
    data_dir = tmp_path / "data"
    table = tiny.dataset(data_dir, "toy", ["pose"], (8, 3, 3))
    folder = data_dir / "db" / "toy"
    secret = tmp_path / "secret.png"
    secret.write_bytes(table.paths[0].read_bytes())
    csv = data_dir / "db" / "toy.csv"
    content = csv.read_text()
    (folder / "link.png").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path)
    for name in (
        secret,
        "../secret.png",
        "db/../../secret.png",
        "./db/toy/../../../secret.png",
        "db/toy/link.png",
        "db/toy/up/secret.png",
        "db/toy/up/data/../secret.png",
    ):
        csv.write_text(content.replace("db/toy/train3.png", str(name)))
        assert attempt(lambda: tables.read("toy", data_dir)) is REFUSED, name
    # Links that stay inside are allowed, and so is a linked folder.
    (folder / "inside.png").symlink_to(folder / "train3.png")
    (folder / "same").symlink_to(folder)
    (tmp_path / "elsewhere").symlink_to(data_dir)
    for name in ("db/toy/inside.png", "db/toy/same/train3.png"):
        csv.write_text(content.replace("db/toy/train3.png", name))
        with case():
            assert len(tables.read("toy", tmp_path / "elsewhere")) == 14


def _bomb(path, side):
    """A PNG of side * side black pixels, a millionth of that in bytes."""

    def chunk(kind, data):
        checksum = zlib.crc32(kind + data)
        return (
            struct.pack(">I", len(data))
            + kind
            + data
            + struct.pack(">I", checksum)
        )

    row = bytes(1 + side // 8)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    content = zlib.compress(row * side, 9)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", content)
        + chunk(b"IEND", b"")
    )


BOMBS = """
import sys
from pathlib import Path
from data_preparation import crops
from samtl.data import images
from samtl.common.errors import UserError
from samtl.faces import inputs
path = Path(sys.argv[1])
assert crops.decode(path, "RGB") is None
for read in (inputs.read, lambda path: images.read(path, (64, 64, 3))):
    try:
        read(path)
    except UserError as error:
        print(error)
"""


def test_images_that_are_decompression_bombs_are_refused(tmp_path):
    path = tmp_path / "bomb.png"
    _bomb(path, 30_000)
    assert path.stat().st_size < 2**20
    with case():
        done = subprocess.run(
            [sys.executable, "-c", BOMBS, path],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
        )
        lines = done.stdout.splitlines()
        assert all("179 megapixels; " in line for line in lines), done
        assert len(lines) == 2


def test_archives_that_are_decompression_bombs_are_refused(tmp_path):
    path = tmp_path / "net.keras"
    stand_ins.network(tmp_path, sha256={})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(name, bytes(10**8))
    network = networks.build("mini_xception", [Task("pose", POSE)])
    for read in (
        lambda: networks.load_weights(network, path),
        lambda: loading.load(path),
        lambda: state.read(path),
        lambda: experiment._load_best(network, path),
    ):
        with case(), pytest.raises(UserError, match="would unpack to"):
            read()

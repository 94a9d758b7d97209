"""Weights from files, layer by layer.

Only arrays are read: no configuration, pickle or code in a file has any
effect. An array is read only where the network has a place of its shape, and
the file itself stores its values: HDF5 can show any other file as an array.
"""

import contextlib
import functools
import io
import re
import sys
import zipfile
import zlib
from pathlib import Path

import h5py
import keras
import numpy as np

from samtl.common import archives, files
from samtl.common.errors import UserError, reason
from samtl.networks import heads, mini_xception

FOLDER = Path(__file__).parents[2] / "weights"
VGGFACE_FILE = "rcmalli_vggface_tf_notop_vgg16.h5"
VGGFACE_URL = (
    "https://github.com/rcmalli/keras-vggface/releases/download/v2.0/"
    + VGGFACE_FILE
)
MEMBERS = ["config.json", "metadata.json", "model.weights.h5"]
# What h5py and zipfile raise for files that are damaged or of another kind.
UNREADABLE = (
    OSError,
    EOFError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    SystemError,  # of h5py, on some damaged files
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def source(
    model: str, weights_path: Path | str | None = None
) -> Path | str | None:
    """The file whose weights a run starts from.

    Args:
        model: as in `networks.build`.
        weights_path: file named by the user, or None.

    Returns:
        `weights_path` where it is given; else, for vggface, keras-vggface's
        file in weights/ if it is there; else None.
    """
    path = FOLDER / VGGFACE_FILE
    if weights_path or model != "vggface" or not path.exists():
        return weights_path
    return path


def pretrained(
    network: keras.Model, model: str, weights_path: Path | str | None = None
) -> str:
    """Load the weights a run starts from; returns one line for its log.

    For vggface without a file, a warning names its address.

    Args:
        network: from `networks.build`; changed.
        model, weights_path: as in `source`.

    Raises:
        UserError: as `load_weights`.
    """
    path = source(model, weights_path)
    if path:
        return load_weights(network, path)
    if model != "vggface":
        return "weights: none given, training starts from scratch"
    print(
        f"warning: {FOLDER / VGGFACE_FILE} is missing, so VGG-16 starts from "
        "random weights, which few faces cannot train; download it from "
        f"{VGGFACE_URL}, or name another file with --weights",
        file=sys.stderr,
    )
    return "weights: none found, training starts from scratch"


def load_weights(network: keras.Model, path: Path | str) -> str:
    """Load what fits of a weight file; returns a one-line summary.

    Files: `.keras`, `.weights.h5`, and legacy `.h5` / `.hdf5` (whole model or
    weights alone). Layers match by name, as in a run's best.keras or in
    keras-vggface's files. A published mini_XCEPTION has numbered layers and
    matches by type and order; its block 4 goes into every task's layer. The
    trunk must load whole. Task layers and heads keep their fresh start where
    the file has none or another number of classes.

    Where `<path>.sha256` lies beside the file, its digest must agree.

    Args:
        network: from `networks.build`; unchanged if an error is raised.
        path: the file.

    Raises:
        UserError: missing, damaged or foreign file, digests that differ,
            weights that are not finite or stored in another file.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no weight file {path}; check --weights")
    try:
        digest = _digest(path)
        with _open(path) as file:
            arrays, fresh = _matching(network, _layers(file), path)
        for layer, values in arrays:
            if not all(np.isfinite(value).all() for value in values):
                raise UserError(
                    f"{path} holds weights that are not finite (layer "
                    f"{layer.name}): its training diverged; name another file"
                )
    except UNREADABLE as error:
        raise UserError(
            f"cannot read weights from {path} ({reason(error)}); it is damaged "
            "or not a Keras weight file: fetch it again or name another"
        ) from error
    for layer, values in arrays:
        layer.set_weights(values)
    rest = f"; starts fresh: {', '.join(fresh)}" if fresh else ""
    return (
        f"weights: {len(arrays)} layers from {path} "
        f"(SHA-256 {digest[:12]}){rest}"
    )


def _digest(path):
    """SHA-256 of the file, checked against `<path>.sha256` if there is one."""
    digest = files.sha256(path)
    expected = path.with_name(path.name + ".sha256")
    if expected.exists():
        words = expected.read_text(encoding="utf-8").split()
        if not words or words[0].lower() != digest:
            raise UserError(
                f"{path} has SHA-256 {digest}, {expected.name} has another; "
                "download the file again"
            )
    return digest


def check_stored_inside(path: Path) -> None:
    """Refuse a network that reads other files, or grows when it is unpacked.

    Args:
        path: of a .keras archive.

    Raises:
        UserError: it is such a file.
        Exception: of UNREADABLE, it is damaged.
    """
    with _open(path):
        pass


@contextlib.contextmanager
def _open(path):
    """The HDF5 file at `path`, or inside it where it is a .keras archive."""
    if zipfile.is_zipfile(path):
        archives.check(path)
        with zipfile.ZipFile(path) as archive:
            # Keras would unpack others to the disk.
            if sorted(archive.namelist()) != MEMBERS:
                raise UserError(
                    f"{path} has other members than {', '.join(MEMBERS)}; it "
                    "is no network for images that Keras has written: get it "
                    "again or name another"
                )
            source = io.BytesIO(archive.read("model.weights.h5"))
    else:
        source = path
    with h5py.File(source, "r") as file:
        outside = file.visititems_links(functools.partial(_outside, file))
        if outside:
            raise UserError(
                f"{path} has {outside}, which may show any file of this "
                "machine; Keras writes no such file: get it again"
            )
        yield file


def _outside(file, name, link):
    """What is not stored in an HDF5 file itself, in words, or None."""
    if not isinstance(link, h5py.HardLink):
        return f"a link instead of {name}"
    item = file[name]
    if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
        return f"the values of {name} outside"
    return None


def _layers(file):
    """{layer name: its HDF5 datasets in the order of layer.weights}."""
    legacy = file.get("model_weights", file)
    if "layer_names" in legacy.attrs:
        groups = {_text(n): legacy[n] for n in legacy.attrs["layer_names"]}
        return {
            name: [group[weight] for weight in group.attrs["weight_names"]]
            for name, group in groups.items()
            if len(group.attrs["weight_names"])
        }
    variables = [group["vars"] for group in file["layers"].values()]
    return {
        _text(group.attrs["name"]): [
            group[key] for key in sorted(group, key=int)
        ]
        for group in variables
        if len(group)
    }


def _text(name):
    return name.decode() if isinstance(name, bytes) else str(name)


def _matching(network, layers, path):
    """Pairs (layer, arrays) to load and the names of parts that stay fresh."""
    with_weights = [layer for layer in network.layers if layer.weights]
    if not any(layer.name in layers for layer in with_weights):
        layers = _in_published_order(network, layers)
    arrays, fresh = [], []
    for layer in with_weights:
        found = layers.get(layer.name, [])
        if [d.shape for d in found] == [tuple(w.shape) for w in layer.weights]:
            arrays.append((layer, [_floats(d, path) for d in found]))
        elif heads.is_trunk(layer):
            has = [d.shape for d in found] or "none"
            needs = [tuple(weight.shape) for weight in layer.weights]
            raise UserError(
                f"{path} does not fit {network.name}: layer {layer.name} "
                f"needs arrays {needs}, the file has {has}; name weights of "
                "this --model"
            )
        else:
            fresh.append(heads.part(layer))
    return arrays, list(dict.fromkeys(fresh))


def _floats(dataset, path):
    """The values of an HDF5 dataset, which must be floating-point numbers."""
    if dataset.dtype.kind != "f":
        raise UserError(
            f"{path} has {dataset.dtype} in {dataset.name} instead "
            "of floating-point numbers; get it again or name another"
        )
    return dataset[()]


def _in_published_order(network, layers):
    """Rename the layers of a published mini_XCEPTION as ours, for all tasks.

    {} where the network is another or the numbers of layers do not agree.
    """
    numbered = {}
    for name in layers:
        kind, number = re.fullmatch(r"(.*?)(?:_(\d+))?", name).groups()
        numbered.setdefault(kind, []).append((int(number or 0), name))
    renamed = {}
    if network.name != "mini_xception":
        return renamed
    for task in network.output["logits"]:
        for kind, ours in mini_xception.published_order(task).items():
            theirs = [name for _, name in sorted(numbered.get(kind, []))]
            if len(theirs) != len(ours):
                return {}
            renamed |= {
                name: layers[their]
                for name, their in zip(ours, theirs, strict=True)
            }
    return renamed

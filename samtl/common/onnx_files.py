"""ONNX files of anybody, before OpenCV reads them.

An ONNX file is one message of protobuf. Its tensors may name other files that
hold their values, and OpenCV 5 opens those, wherever they are. Numbers of the
fields: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from collections.abc import Iterator
from pathlib import Path

from samtl.common.errors import UserError

# {message: {field: the message in it}}, of all that lead to a tensor.
FIELDS = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto"}
    | {25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto"}
    | {15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {5: "TensorProto", 6: "GraphProto", 10: "TensorProto"}
    | {11: "GraphProto", 22: "SparseTensorProto", 23: "SparseTensorProto"},
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {},
}
EXTERNAL = 13  # the field of a tensor that names its file
DEEPEST = 100  # levels of messages, as protobuf reads them
VARINT, EIGHT, TEXT, FOUR = 0, 1, 2, 5  # kinds of values


def read(path: Path) -> bytes:
    """The content of an ONNX file that holds all its values.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a message of protobuf.
        UserError: a tensor's values are in another file.
    """
    data = path.read_bytes()
    if _names_files(memoryview(data), "ModelProto"):
        raise UserError(
            f"{path} keeps values in another file, which may be any file of "
            "this machine; if you trust it, put them inside: "
            "onnx.save(onnx.load(FILE), FILE)"
        )
    return data


def _names_files(data, message, depth=0):
    """Whether a tensor in a message names a file."""
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} levels")
    inner = FIELDS[message]
    found = False
    # All of it is read, so that nothing hides behind a damaged field.
    for field, content in _texts(data):
        if message == "TensorProto":
            found |= field == EXTERNAL
        elif field in inner:
            found |= _names_files(content, inner[field], depth + 1)
    return found


def _texts(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(number, content) of the fields of a message that have a length."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        size = {VARINT: 0, EIGHT: 8, FOUR: 4}.get(tag & 7)
        if tag & 7 == VARINT:
            _, place = _varint(data, place)
        elif tag & 7 == TEXT:
            size, place = _varint(data, place)
        if size is None or tag >> 32 or place + size > len(data):
            raise ValueError("not a message of protobuf")
        if tag & 7 == TEXT:
            yield tag >> 3, data[place : place + size]
        place += size


def _varint(data, place):
    """(an integer of seven bits a byte, the place after it)."""
    value = 0
    for count in range(10):
        if place == len(data):
            break
        byte = data[place]
        place += 1
        value |= (byte & 127) << 7 * count
        if byte < 128:
            return value, place
    raise ValueError("not a message of protobuf")

"""Whether the data of a tensor in an ONNX file is all there, and fits its shape."""

from __future__ import annotations

from math import prod
from pathlib import Path, PurePosixPath

import onnx
import onnx_ir as ir

_TYPED = {
    "float_data": {"FLOAT": 1, "COMPLEX64": 2},
    "double_data": {"DOUBLE": 1, "COMPLEX128": 2},
    "int64_data": {"INT64": 1},
    "uint64_data": {"UINT64": 1, "UINT32": 1},
    "string_data": {"STRING": 1},
}
"""Numbers for each element in a field, by element type (onnx.proto, TensorProto); all other types
are in int32_data."""


def fault_of(tensor: onnx.TensorProto, folder: Path) -> str | None:
    """Return what is wrong with a stored tensor, as the rest of a sentence; None if nothing is.

    Args:
        tensor: an initializer or an attribute, whose external data is not read.
        folder: where the model lies, and its external data.
    """
    try:
        dtype = ir.DataType(tensor.data_type)
    except ValueError:
        return f"has the element type {tensor.data_type}, which ONNX does not have"
    if dtype == ir.DataType.UNDEFINED:
        return "has no element type"
    if any(extent < 0 for extent in tensor.dims):
        return f"has a negative size in its shape {list(tensor.dims)}"
    count = prod(tensor.dims)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return _fault_of_external(tensor, folder, _bytes(count, dtype))
    if tensor.HasField("raw_data"):
        found, wanted = len(tensor.raw_data), _bytes(count, dtype)
        return None if found == wanted else f"has {found} bytes where its shape needs {wanted}"
    return _fault_of_typed(tensor, dtype, count)


def _bytes(count: int, dtype: ir.DataType) -> int:
    return -(-count * dtype.bitwidth // 8) if dtype != ir.DataType.STRING else 0


def _fault_of_typed(tensor: onnx.TensorProto, dtype: ir.DataType, count: int) -> str | None:
    field, each = "int32_data", 1
    for name, types in _TYPED.items():
        if dtype.name in types:
            field, each = name, types[dtype.name]
    found, wanted = len(getattr(tensor, field)), count * each
    if field == "int32_data" and dtype.bitwidth < 8:
        wanted = -(-count * dtype.bitwidth // 8)
    return None if found == wanted else f"has {found} numbers where its shape needs {wanted}"


def _fault_of_external(tensor: onnx.TensorProto, folder: Path, wanted: int) -> str | None:
    """Check location, offset and length (ONNX external data, onnx/docs/ExternalData.md)."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    parts = PurePosixPath(location.replace("\\", "/")).parts
    file = folder / location
    if not parts or ".." in parts or Path(location).is_absolute() or "\0" in location:
        return f"is in the file {location!r}, which is not within the model's folder"
    if not file.is_file():
        return f"is in the file {location!r}, which is not beside the model"
    if file.resolve().parent != (folder.resolve() / Path(*parts)).parent:
        return f"is in the file {location!r}, which is not within the model's folder"
    try:
        offset = int(entries.get("offset", 0))
        length = int(entries.get("length", wanted))
    except ValueError:
        return "has an offset or a length that is no number"
    if offset < 0 or length != wanted:
        return f"has {length} bytes where its shape needs {wanted}"
    if offset + length > file.stat().st_size:
        return f"ends beyond the end of {location!r}"
    return None

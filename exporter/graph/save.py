"""Serialization of an ONNX file weight by weight, in the memory of one weight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import onnx
import onnx_ir as ir

from kexport.graph.shapes import extents

EXTERNAL_FROM = 1_800_000_000
"""Bytes of weights from which they go to a separate file; protobuf is limited to 2 GiB."""

INLINE_BELOW = 1024
"""Bytes below which a weight stays in the model file: engines read shapes during loading."""

ALIGNMENT = 4096
"""Alignment of weights in the external file, so that engines can map them into memory."""

_GRAPH, _INITIALIZER, _RAW_DATA = (field << 3 | 2 for field in (7, 5, 9))
"""Tags of ModelProto.graph, GraphProto.initializer, TensorProto.raw_data (onnx/onnx.proto)."""


def save(model: ir.Model, path: Path, *, external: bool | None = None) -> tuple[Path, ...]:
    """Write `model` to `path`; the same model gives the same bytes.

    Args:
        model: any model; each weight is read when it is written.
        path: the file; an existing one is overwritten.
        external: whether large weights go to `<path>.data`; by default if they exceed the limit of
            one file.

    Returns:
        The files written.
    """
    proto, tensors = _parts(model)
    if external is None:
        external = sum(tensor.nbytes for tensor in tensors) > EXTERNAL_FROM
    data = path.with_name(f"{path.name}.data")
    with path.open("wb") as file:
        if external:
            with data.open("wb") as data_file:
                proto.graph.initializer.extend(_moved(tensors, data_file, data.name))
            file.write(proto.SerializeToString(deterministic=True))
            return path, data
        _write_inline(file, proto, tensors)
    return (path,)


def bytes_of(model: ir.Model) -> int:
    """Compute the size of the file that `save` writes with all weights in it."""
    proto, tensors = _parts(model)
    graph = int(proto.graph.ByteSize())
    proto.ClearField("graph")
    heads = [_head(tensor).ByteSize() for tensor in tensors]
    weights = sum(_field_size(size) for size in _sizes(heads, tensors))
    return int(proto.ByteSize()) + _field_size(graph + weights)


def _parts(model: ir.Model) -> tuple[onnx.ModelProto, list[ir.TensorProtocol]]:
    """Return a model without its weights, and these."""
    model = model.clone()
    weights = [value.const_value for value in model.graph.initializers.values()]
    model.graph.initializers.clear()
    return ir.to_proto(model), [tensor for tensor in weights if tensor is not None]


def _sizes(heads: Iterable[int], tensors: Iterable[ir.TensorProtocol]) -> list[int]:
    """Compute the bytes of each weight from those of its head."""
    return [head + _field_size(one.nbytes) for head, one in zip(heads, tensors, strict=True)]


def _write_inline(file: BinaryIO, proto: onnx.ModelProto, tensors: list[ir.TensorProtocol]) -> None:
    graph = proto.graph.SerializeToString(deterministic=True)
    proto.ClearField("graph")
    heads = [_head(tensor).SerializeToString(deterministic=True) for tensor in tensors]
    sizes = _sizes(map(len, heads), tensors)
    file.write(proto.SerializeToString(deterministic=True))
    file.write(_prefix(_GRAPH, len(graph) + sum(_field_size(size) for size in sizes)))
    file.write(graph)
    for head, size, tensor in zip(heads, sizes, tensors, strict=True):
        file.write(_prefix(_INITIALIZER, size))
        file.write(head)
        file.write(_prefix(_RAW_DATA, tensor.nbytes))
        _write(file, tensor)


def _write(file: BinaryIO, tensor: ir.TensorProtocol) -> None:
    """Write a tensor's bytes; those in a file are copied in chunks."""
    if isinstance(tensor, ir.ExternalTensor):
        tensor.tofile(file)
    else:
        file.write(tensor.tobytes())  # NumPy's tofile raises no error if the disk is full


def _moved(
    tensors: list[ir.TensorProtocol], file: BinaryIO, location: str
) -> Iterator[onnx.TensorProto]:
    for tensor in tensors:
        head = _head(tensor)
        if tensor.nbytes < INLINE_BELOW:
            head.raw_data = tensor.tobytes()
            yield head
            continue
        file.write(b"\0" * (-file.tell() % ALIGNMENT))
        place = {"location": location, "offset": file.tell(), "length": tensor.nbytes}
        _write(file, tensor)
        head.data_location = onnx.TensorProto.EXTERNAL
        for key, value in place.items():
            head.external_data.add(key=key, value=str(value))
        yield head


def _head(tensor: ir.TensorProtocol) -> onnx.TensorProto:
    dims = extents(tensor)
    return onnx.TensorProto(name=tensor.name, data_type=tensor.dtype.value, dims=dims)


def _field_size(size: int) -> int:
    return 1 + len(_varint(size)) + size


def _prefix(tag: int, size: int) -> bytes:
    return bytes([tag]) + _varint(size)


def _varint(number: int) -> bytes:
    """Encode a number as protobuf's base-128 varint."""
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])

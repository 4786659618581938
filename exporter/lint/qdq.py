"""Rules for QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import onnx_ir as ir

from kexport.lint.context import (
    Place,
    Subject,
    at,
    given,
    is_constant,
    numbers,
    tensor_of,
    type_name,
)

QDQ = ("QuantizeLinear", "DequantizeLinear")
UNSIGNED = ir.DataType.UINT8


def unsigned(subject: Subject) -> Iterator[Place]:
    """Quantised to uint8, as a zero-point of that type or none at all says."""
    for node in subject.nodes(*QDQ):
        if _quantized_type(node) == UNSIGNED:
            yield at(node, "the quantised type is uint8")


def nonzero_point(subject: Subject) -> Iterator[Place]:
    """A zero-point with another number than zero."""
    for node in subject.nodes(*QDQ):
        point = numbers(given(node, 2))
        if point is not None and point.astype("float32").any():
            yield at(node, "the zero-point is not zero")


def no_zero_point(subject: Subject) -> Iterator[Place]:
    """Two inputs where the parser wants three."""
    for node in subject.nodes(*QDQ):
        if given(node, 2) is None and not subject.rules.zero_point_optional:
            yield at(node, "the zero-point is left out")


def sizes_differ(subject: Subject) -> Iterator[Place]:
    """One zero-point for many scales, or the other way round."""
    for node in subject.nodes(*QDQ):
        scale, point = _size(given(node, 1)), _size(given(node, 2))
        if None not in (scale, point) and scale != point:
            yield at(node, f"{scale} scales and {point} zero-points")


def scale_type(subject: Subject) -> Iterator[Place]:
    """A scale that is not float32 where its memory is read as float32."""
    for node in subject.nodes(*QDQ):
        scale = given(node, 1)
        name = type_name(None if scale is None else scale.dtype)
        if subject.rules.typing == "weak" and name not in ("float32", None):
            yield at(node, f"the scale is {name}")


def scale_sign(subject: Subject) -> Iterator[Place]:
    """A scale of zero or below."""
    for node in subject.nodes(*QDQ):
        scale = numbers(given(node, 1))
        if scale is not None and not (scale.astype("float32") > 0).all():
            yield at(node, "a scale is not above zero")


def half_scale(subject: Subject) -> Iterator[Place]:
    """float16 scales before opset 19, which brought them."""
    for node in subject.nodes(*QDQ):
        scale = given(node, 1)
        if subject.opset < 19 and scale is not None and scale.dtype == ir.DataType.FLOAT16:
            yield at(node, f"a float16 scale at opset {subject.opset}")


def quantized_bias(subject: Subject) -> Iterator[Place]:
    """int32 dequantised, as quantisers write a bias."""
    for node in subject.nodes("DequantizeLinear"):
        value = given(node, 0)
        if value is not None and value.dtype == ir.DataType.INT32:
            yield at(node, "int32 is dequantised")


def many_scales_of_activation(subject: Subject) -> Iterator[Place]:
    """One scale per channel of a tensor that is no weight."""
    for node in subject.nodes(*QDQ):
        if (_size(given(node, 1)) or 1) > 1 and not _is_weight(node):
            yield at(node, f"{_size(given(node, 1))} scales for an activation")


def axis(subject: Subject) -> Iterator[Place]:
    """Scales per channel along another axis than that of a weight's outputs."""
    for node in subject.nodes(*QDQ):
        scale = given(node, 1)
        if (_size(scale) or 1) == 1 or not _is_weight(node) or node.attributes.get("block_size"):
            continue
        along = node.attributes.get("axis")
        found = 1 if along is None else along.as_int()
        shape = None if node.inputs[0] is None else node.inputs[0].shape
        wanted = 1 if "ConvTranspose" in _readers(node) else 0
        if (found + len(shape) if found < 0 and shape is not None else found) != wanted:
            yield at(node, f"the scales go along axis {found}")


def between_norm(subject: Subject) -> Iterator[Place]:
    """A convolution's output quantised before the BatchNormalization that belongs to it."""
    for node in subject.nodes("BatchNormalization"):
        chain = [node]
        for op_type in ("DequantizeLinear", "QuantizeLinear", "Conv"):
            value = given(chain[-1], 0)
            maker = None if value is None else value.producer()
            if maker is None or maker.op_type != op_type:
                break
            chain.append(maker)
        else:
            yield at(chain[2], f"it stands between {chain[3].name} and {node.name}")


def _quantized_type(node: ir.Node) -> ir.DataType | None:
    if node.op_type == "DequantizeLinear":
        value = given(node, 0)
        return None if value is None else value.dtype
    point = given(node, 2)
    if point is not None:
        return point.dtype
    said = node.attributes.get("output_dtype")
    return ir.DataType(said.as_int()) if said is not None and said.as_int() else UNSIGNED


def _size(value: ir.Value | None) -> int | None:
    """The number of elements; None where it is not known."""
    tensor = tensor_of(value)
    if tensor is not None:
        return tensor.size
    if value is None or value.shape is None:
        return None
    extents = [extent for extent in value.shape if isinstance(extent, int)]
    return prod(extents) if len(extents) == len(value.shape) else None


def _is_weight(node: ir.Node) -> bool:
    """Whether what is quantised or dequantised is a constant, also behind a QuantizeLinear."""
    value = given(node, 0)
    maker = None if value is None else value.producer()
    if maker is not None and maker.op_type == "QuantizeLinear":
        value = given(maker, 0)
    return value is not None and is_constant(value)


def _readers(node: ir.Node) -> set[str]:
    """The types of the operators behind a node, and behind the DequantizeLinear that follows it."""
    readers = {use.node for value in node.outputs for use in value.uses()}
    behind = (reader for reader in readers if reader.op_type == "DequantizeLinear")
    return {reader.op_type for reader in readers}.union(*map(_readers, behind))

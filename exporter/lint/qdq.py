"""Lint rules for QuantizeLinear and DequantizeLinear (Q/DQ)."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
import onnx_ir as ir

from kexport.lint.context import (
    LintContext,
    Violation,
    at_node,
    input_at,
    is_constant,
    is_settled,
    numbers,
    tensor_of,
    type_name,
)

QDQ = ("QuantizeLinear", "DequantizeLinear")
UNSIGNED = ir.DataType.UINT8


def unsigned(context: LintContext) -> Iterator[Violation]:
    """Find quantisation to uint8, the type of the zero-point, or the default without one."""
    for node in context.nodes(*QDQ):
        if _quantized_type(node) == UNSIGNED:
            yield at_node(node, "the quantised type is uint8")


def nonzero_point(context: LintContext) -> Iterator[Violation]:
    """Find zero-points that are not zero, or, except of FP8, not known when the engine is built."""
    for node in context.nodes(*QDQ):
        given = input_at(node, 2)
        eight = given is not None and (type_name(given.dtype) or "").startswith("float8")
        if not eight and not is_settled(context, given):
            yield at_node(node, "the zero-point is computed")
        point = numbers(input_at(node, 2))
        if point is not None and point.astype("float32").any():
            yield at_node(node, "the zero-point is not zero")


def no_zero_point(context: LintContext) -> Iterator[Violation]:
    """Find nodes without a zero-point, for a parser that needs one."""
    for node in context.nodes(*QDQ):
        if input_at(node, 2) is None and not context.rules.zero_point_optional:
            yield at_node(node, "the zero-point is omitted")


def sizes_differ(context: LintContext) -> Iterator[Violation]:
    """Find nodes with different numbers of scales and zero-points."""
    for node in context.nodes(*QDQ):
        scale, point = _size(input_at(node, 1)), _size(input_at(node, 2))
        if None not in (scale, point) and scale != point:
            yield at_node(node, f"{scale} scales and {point} zero-points")


def scale_type(context: LintContext) -> Iterator[Violation]:
    """Find scales that are not float32, for a parser that reads their memory as float32."""
    for node in context.nodes(*QDQ):
        scale = input_at(node, 1)
        name = type_name(None if scale is None else scale.dtype)
        if context.rules.typing == "weak" and name not in ("float32", None):
            yield at_node(node, f"the scale is {name}")


def scale_sign(context: LintContext) -> Iterator[Violation]:
    """Find scales of zero or below, infinite ones and NaN."""
    for node in context.nodes(*QDQ):
        scale = numbers(input_at(node, 1))
        if scale is None:
            continue
        values = scale.astype("float32")
        if not ((values > 0) & np.isfinite(values)).all():
            yield at_node(node, "a scale is not a number above zero")


def half_scale(context: LintContext) -> Iterator[Violation]:
    """Find float16 scales before opset 19, which introduced them."""
    for node in context.nodes(*QDQ):
        scale = input_at(node, 1)
        if context.opset < 19 and scale is not None and scale.dtype == ir.DataType.FLOAT16:
            yield at_node(node, f"a float16 scale at opset {context.opset}")


def quantized_bias(context: LintContext) -> Iterator[Violation]:
    """Find dequantised int32 values, which some quantisers write for biases."""
    for node in context.nodes("DequantizeLinear"):
        value = input_at(node, 0)
        if value is not None and value.dtype == ir.DataType.INT32:
            yield at_node(node, "int32 is dequantised")


def many_scales_of_activation(context: LintContext) -> Iterator[Violation]:
    """Find per-channel scales of tensors that are not weights, before TensorRT 11."""
    if context.release >= (11,):
        return
    for node in context.nodes(*QDQ):
        if (_size(input_at(node, 1)) or 1) > 1 and not _is_weight(node):
            yield at_node(node, f"{_size(input_at(node, 1))} scales for an activation")


def axis(context: LintContext) -> Iterator[Violation]:
    """Find per-channel scales along an axis that is not the weight's output axis."""
    for node in context.nodes(*QDQ):
        scale = input_at(node, 1)
        if (_size(scale) or 1) == 1 or not _is_weight(node) or node.attributes.get("block_size"):
            continue
        along = node.attributes.get("axis")
        found = 1 if along is None else along.as_int()
        shape = None if node.inputs[0] is None else node.inputs[0].shape
        wanted = 1 if "ConvTranspose" in _readers(node) else 0
        if (found + len(shape) if found < 0 and shape is not None else found) != wanted:
            yield at_node(node, f"the scales go along axis {found}")


def between_norm(context: LintContext) -> Iterator[Violation]:
    """Find Q/DQ between a convolution and its BatchNormalization."""
    for node in context.nodes("BatchNormalization"):
        chain = [node]
        for op_type in ("DequantizeLinear", "QuantizeLinear", "Conv"):
            value = input_at(chain[-1], 0)
            maker = None if value is None else value.producer()
            if maker is None or maker.op_type != op_type:
                break
            chain.append(maker)
        else:
            yield at_node(chain[2], f"it is between {chain[3].name} and {node.name}")


def _quantized_type(node: ir.Node) -> ir.DataType | None:
    if node.op_type == "DequantizeLinear":
        value = input_at(node, 0)
        return None if value is None else value.dtype
    point = input_at(node, 2)
    if point is not None:
        return point.dtype
    dtype = node.attributes.get("output_dtype")
    return ir.DataType(dtype.as_int()) if dtype is not None and dtype.as_int() else UNSIGNED


def _size(value: ir.Value | None) -> int | None:
    """Return the number of elements; None if it is not known."""
    tensor = tensor_of(value)
    if tensor is not None:
        return tensor.size
    if value is None or value.shape is None:
        return None
    extents = [extent for extent in value.shape if isinstance(extent, int)]
    return prod(extents) if len(extents) == len(value.shape) else None


def _is_weight(node: ir.Node) -> bool:
    """Whether the node's input is a constant, possibly after a QuantizeLinear."""
    value = input_at(node, 0)
    maker = None if value is None else value.producer()
    if maker is not None and maker.op_type == "QuantizeLinear":
        value = input_at(maker, 0)
    return value is not None and is_constant(value)


def _readers(node: ir.Node) -> set[str]:
    """Return the operator types that read a node's outputs, directly or after DequantizeLinear."""
    readers = {use.node for value in node.outputs for use in value.uses()}
    decoders = (reader for reader in readers if reader.op_type == "DequantizeLinear")
    return {reader.op_type for reader in readers}.union(*map(_readers, decoders))

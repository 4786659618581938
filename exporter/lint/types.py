"""Lint rules for element types."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnx.defs
import onnx_ir as ir

from kexport.lint.context import (
    LintContext,
    Violation,
    at_node,
    at_value,
    input_at,
    numbers,
    tensor_of,
    type_name,
)
from kexport.lint.qdq import QDQ

CAST_DOWN = ("int64", "float64")
FLOATS = ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE")
INT32 = np.iinfo(np.int32)
UINT8, HALF = ir.DataType.UINT8, ir.DataType.FLOAT16
NARROW = ("float8e4m3fn", "float4e2m1", "int4")
"""Types of which only quantisation makes tensors."""
MOVING = ("Concat", "Constant", "Flatten", "Reshape", "Shape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that take and give any of `NARROW`."""
PRECISIONS = {"int8": "int8", "uint8": "int8", "float8e4m3fn": "fp8"}
"""Quantised type -> the precision that the hardware must support for it."""


def mismatch(context: LintContext) -> Iterator[Violation]:
    """Find inputs of different float types that must have one type by ONNX's schema."""
    for node in context.nodes():
        if node.op_type in QDQ or not onnx.defs.has(node.op_type, max(context.opset, 1)):
            continue
        formal = onnx.defs.get_schema(node.op_type, context.opset).inputs
        found: dict[str, set[str]] = {}
        for index, value in enumerate(node.inputs):
            if value is not None and value.dtype is not None and value.dtype.name in FLOATS:
                parameter = formal[min(index, len(formal) - 1)]
                if not parameter.is_homogeneous:  # Loop and Scan: each input has its own type
                    continue
                variable = parameter.type_str
                found.setdefault(variable, set()).add(type_name(value.dtype) or "")
        for types in found.values():
            if len(types) > 1:
                yield at_node(node, f"its inputs are {' and '.join(sorted(types))}")


def unknown_type(context: LintContext) -> Iterator[Violation]:
    """Find tensors of types that the toolchain does not support."""
    known = {*context.rules.types, *CAST_DOWN, "uint8", "int8", None, "undefined"}
    for value in context.model.graph.inputs:
        if isinstance(value.type, ir.SequenceType | ir.OptionalType):
            kind = "a sequence" if isinstance(value.type, ir.SequenceType) else "optional"
            yield at_value(value, f"the input is {kind}")
        elif type_name(value.dtype) not in known:
            yield at_value(value, f"the input is {type_name(value.dtype)}")
    for node in context.nodes():
        constants = [value for value in node.inputs if value is not None and tensor_of(value)]
        for value in (*constants, *node.outputs):
            if (name := type_name(value.dtype)) not in known:
                yield at_node(node, f"{value.name} is {name}")
                break


def narrow(context: LintContext) -> Iterator[Violation]:
    """Find FP8, FP4 and INT4 in operators other than those of quantisation."""
    for node in context.nodes():
        if node.op_type in (*QDQ, *MOVING) or node.op_type not in context.rules.operators:
            continue
        values = [value for value in (*node.inputs, *node.outputs) if value is not None]
        names = [name for value in values if (name := type_name(value.dtype)) in NARROW]
        if names and names[0] in context.rules.types:
            yield at_node(node, f"it takes or gives {names[0]}")


def uint8_edge(context: LintContext) -> Iterator[Violation]:
    """Find uint8 inputs and outputs of the network, before TensorRT supports them."""
    if not context.rules.uint8_input:
        graph = context.model.graph
        for kind, values in (("input", graph.inputs), ("output", graph.outputs)):
            for value in values:
                if value.dtype == UINT8:
                    yield at_value(value, f"the {kind} is uint8")


def uint8_inside(context: LintContext) -> Iterator[Violation]:
    """Find operators on uint8 other than Cast to or from floats."""
    if not context.rules.uint8_input:
        return
    for node in context.nodes():
        if node.op_type in (*QDQ, *_uint8_readers(context)):
            continue
        if node.op_type not in context.rules.operators:
            continue
        reads = [v for v in node.inputs if v is not None and v.dtype == UINT8]
        makes = [v for v in node.outputs if v.dtype == UINT8 and node.op_type != "Constant"]
        if node.op_type != "Cast":
            if reads or makes:
                yield at_node(node, f"it {'reads' if reads else 'gives'} uint8")
        elif reads and node.outputs[0].dtype not in (ir.DataType.FLOAT, HALF):
            yield at_node(node, f"it casts uint8 to {type_name(node.outputs[0].dtype)}")


def _uint8_readers(context: LintContext) -> tuple[str, ...]:
    """Return operators on uint8 that the parser of TensorRT for RTX 1.7.1 reads."""
    return ("Equal", "Flatten", "Identity") if context.release >= (11,) else ()


def wide_numbers(context: LintContext) -> Iterator[Violation]:
    """Find INT64 constants out of the range of INT32, for a toolchain without INT64."""
    if "int64" in context.rules.types:
        return
    for node in context.nodes():
        if node.op_type in ("Slice", "Constant"):  # a Slice to the end has a huge number as its end
            continue
        for value in node.inputs:
            if value is None or value.dtype != ir.DataType.INT64:
                continue
            held = numbers(value)
            if held is not None:
                wide = held[(held < INT32.min) | (held > INT32.max)]
                if wide.size:
                    yield at_node(node, f"{value.name} holds {wide[0]}")


def int64_edge(context: LintContext) -> Iterator[Violation]:
    """Find INT64 inputs and outputs, which TensorRT binds as INT32 before release 9."""
    if "int64" not in context.rules.types:
        graph = context.model.graph
        for kind, values in (("input", graph.inputs), ("output", graph.outputs)):
            for value in values:
                if value.dtype == ir.DataType.INT64 and not value.is_initializer():
                    yield at_value(value, f"the {kind} is int64")


def double(context: LintContext) -> Iterator[Violation]:
    """Find computation in DOUBLE, which is cast down to FLOAT."""
    for node in context.nodes():
        if any(v is not None and v.dtype == ir.DataType.DOUBLE for v in node.inputs):
            yield at_node(node, "it computes in float64")


def half_weights(context: LintContext) -> Iterator[Violation]:
    """Find float16 initializers stored as integers of four bytes; report only the first node."""
    if context.rules.half_weights:
        return
    nodes = [
        (node, value)
        for node in context.nodes()
        for value in node.inputs
        if value is not None and value.dtype == HALF and _stored_as_integers(value)
    ]
    if nodes:
        node, value = nodes[0]
        more = f", and {len(nodes) - 1} more" if len(nodes) > 1 else ""
        yield at_node(node, f"{value.name} is not stored as raw data{more}")


def precision(context: LintContext) -> Iterator[Violation]:
    """Find quantisation to types in which the hardware does not compute."""
    hardware = context.device.hardware
    for node in context.nodes("QuantizeLinear", "DequantizeLinear"):
        quantized = input_at(node, 0) if node.op_type == "DequantizeLinear" else node.outputs[0]
        name = type_name(None if quantized is None else quantized.dtype) or ""
        needed = PRECISIONS.get(name)
        if hardware is not None and needed is not None and needed not in hardware:
            computes = ", ".join(hardware)
            yield at_node(node, f"{name}, but '{context.device.name}' computes in {computes}")


def bfloat16(context: LintContext) -> Iterator[Violation]:
    """Find BF16 on a GPU older than Ampere."""
    sm = context.device.sm
    if sm is not None and float(sm) < 8.0:
        for node in context.nodes():
            if any(value.dtype == ir.DataType.BFLOAT16 for value in node.outputs):
                yield at_node(node, f"bfloat16 on compute capability {sm}")


def _stored_as_integers(value: ir.Value) -> bool:
    held = tensor_of(value)
    proto = held.raw if isinstance(held, ir.TensorProtoTensor) else None
    return isinstance(proto, onnx.TensorProto) and len(proto.int32_data) > 0

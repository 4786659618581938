"""Rules for element types."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnx.defs
import onnx_ir as ir

from kexport.lint.context import Place, Subject, at, at_value, given, numbers, tensor_of, type_name
from kexport.lint.qdq import QDQ

CAST_DOWN = ("int64", "float64")
FLOATS = ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE")
INT32 = np.iinfo(np.int32)
UINT8, HALF = ir.DataType.UINT8, ir.DataType.FLOAT16
PRECISIONS = {"int8": "int8", "uint8": "int8", "float8e4m3fn": "fp8"}
"""Quantised types, and the precision that the hardware must have for them."""


def mismatch(subject: Subject) -> Iterator[Place]:
    """Inputs of two float types where ONNX's schema has one type for both."""
    for node in subject.nodes():
        if node.op_type in QDQ or not onnx.defs.has(node.op_type, max(subject.opset, 1)):
            continue
        formal = onnx.defs.get_schema(node.op_type, subject.opset).inputs
        found: dict[str, set[str]] = {}
        for index, value in enumerate(node.inputs):
            if value is not None and value.dtype is not None and value.dtype.name in FLOATS:
                said = formal[min(index, len(formal) - 1)].type_str
                found.setdefault(said, set()).add(type_name(value.dtype) or "")
        for types in found.values():
            if len(types) > 1:
                yield at(node, f"its inputs are {' and '.join(sorted(types))}")


def unknown_type(subject: Subject) -> Iterator[Place]:
    """A tensor of a type that the toolchain does not have."""
    known = {*subject.rules.types, *CAST_DOWN, "uint8", "int8", None, "undefined"}
    for value in subject.model.graph.inputs:
        if type_name(value.dtype) not in known:
            yield at_value(value, f"the input is {type_name(value.dtype)}")
    for node in subject.nodes():
        constants = [value for value in node.inputs if value is not None and tensor_of(value)]
        for value in (*constants, *node.outputs):
            if (name := type_name(value.dtype)) not in known:
                yield at(node, f"{value.name} is {name}")
                break


def uint8_edge(subject: Subject) -> Iterator[Place]:
    """An input or output of the network in uint8, before TensorRT had that."""
    if not subject.rules.uint8_input:
        graph = subject.model.graph
        for kind, values in (("input", graph.inputs), ("output", graph.outputs)):
            for value in values:
                if value.dtype == UINT8:
                    yield at_value(value, f"the {kind} is uint8")


def uint8_inside(subject: Subject) -> Iterator[Place]:
    """uint8 that anything but a Cast to or from floats computes on."""
    if not subject.rules.uint8_input:
        return
    for node in subject.nodes():
        if node.op_type in QDQ or node.op_type not in subject.rules.operators:
            continue
        reads = [v for v in node.inputs if v is not None and v.dtype == UINT8]
        makes = [v for v in node.outputs if v.dtype == UINT8 and node.op_type != "Constant"]
        if node.op_type != "Cast":
            if reads or makes:
                yield at(node, f"it {'reads' if reads else 'gives'} uint8")
        elif reads and node.outputs[0].dtype not in (ir.DataType.FLOAT, HALF):
            yield at(node, f"it casts uint8 to {type_name(node.outputs[0].dtype)}")


def wide_numbers(subject: Subject) -> Iterator[Place]:
    """INT64 constants that INT32 cannot hold, where that is all there is."""
    if "int64" in subject.rules.types:
        return
    for node in subject.nodes():
        if node.op_type in ("Slice", "Constant"):  # a Slice to the end says so with a huge number
            continue
        for value in node.inputs:
            if value is None or value.dtype != ir.DataType.INT64:
                continue
            held = numbers(value)
            if held is not None:
                wide = held[(held < INT32.min) | (held > INT32.max)]
                if wide.size:
                    yield at(node, f"{value.name} holds {wide[0]}")


def int64_edge(subject: Subject) -> Iterator[Place]:
    """An INT64 input or output, which is bound as INT32 before TensorRT 9."""
    if "int64" not in subject.rules.types:
        graph = subject.model.graph
        for kind, values in (("input", graph.inputs), ("output", graph.outputs)):
            for value in values:
                if value.dtype == ir.DataType.INT64:
                    yield at_value(value, f"the {kind} is int64")


def double(subject: Subject) -> Iterator[Place]:
    """DOUBLE, which is cast down to FLOAT."""
    for node in subject.nodes():
        if any(v is not None and v.dtype == ir.DataType.DOUBLE for v in node.inputs):
            yield at(node, "it computes in float64")


def half_weights(subject: Subject) -> Iterator[Place]:
    """float16 constants before their native import; one place for them all."""
    if subject.rules.half_weights:
        return
    nodes = [
        node
        for node in subject.nodes()
        for value in node.inputs[:2]
        if tensor_of(value) is not None and value is not None and value.dtype == HALF
    ]
    if nodes:
        yield at(nodes[0], f"it has float16 weights, as {len(nodes)} nodes have")


def precision(subject: Subject) -> Iterator[Place]:
    """Quantised to a type that the hardware does not compute in."""
    hardware = subject.device.hardware
    for node in subject.nodes("QuantizeLinear", "DequantizeLinear"):
        quantized = given(node, 0) if node.op_type == "DequantizeLinear" else node.outputs[0]
        name = type_name(None if quantized is None else quantized.dtype) or ""
        needed = PRECISIONS.get(name)
        if hardware is not None and needed is not None and needed not in hardware:
            yield at(node, f"{name}, and '{subject.device.name}' computes in {', '.join(hardware)}")


def bfloat16(subject: Subject) -> Iterator[Place]:
    """BF16 on a GPU older than Ampere."""
    sm = subject.device.sm
    if sm is not None and float(sm) < 8.0:
        for node in subject.nodes():
            if any(value.dtype == ir.DataType.BFLOAT16 for value in node.outputs):
                yield at(node, f"bfloat16 on compute capability {sm}")

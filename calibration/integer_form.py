"""What ONNX Runtime's integer kernels need beside pairs of QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.artifact import Pass
from kexport.calibration.grid import Grid, quantised
from kexport.passes.edit import attribute, numbers, remove, small, sole_user, take_over

Array = np.ndarray[Any, Any]

LARGEST = 2**31 - 1


CHOOSING = frozenset({"Max", "Pad", "Relu"})
"""Operators that ONNX Runtime computes on uint8 and int8, and for which it has no QDQ form."""


def chooses(node: ir.Node) -> bool:
    """Whether `on_integers` can rewrite `node`: it chooses between its input and constants."""
    if node.op_type == "Pad":
        value = node.inputs[2] if len(node.inputs) > 2 else None
        constant = value is None or small(value) is not None
        return constant and attribute(node, "mode", "constant") == "constant"
    if node.op_type == "Max":
        return len(node.inputs) == 2 and small(node.inputs[1]) is not None
    return node.op_type == "Relu"


@Pass
def on_integers(model: ir.Model) -> None:
    """Relu, Pad and Max with a constant, between two grids that are one, read and give integers.

    A Relu becomes a Clip at the zero point; what a Pad puts in, and the constant of a Max, are
    quantised on the grid.
    """
    for node in list(model.graph):
        if node.op_type not in CHOOSING or not chooses(node):
            continue
        before = node.inputs[0].producer() if node.inputs[0] is not None else None
        behind = sole_user(node.outputs[0])
        if before is None or behind is None or not _same_grid(before, behind):
            continue
        new = _of_integers(model.graph, node, before)
        result, old = new.outputs[0], behind.outputs[0]
        result.name, result.type, result.shape = f"{node.name}.integers", old.type, old.shape
        model.graph.insert_before(node, new)
        take_over(old, result)
        remove(model.graph, behind, node)
        if not before.outputs[0].uses():
            remove(model.graph, before)


def _of_integers(graph: ir.Graph, node: ir.Node, before: ir.Node) -> ir.Node:
    integers, scale, zero = before.inputs[:3]
    step, point = small(scale), small(zero)
    if step is None or point is None:
        raise ValueError(f"the grid of {before.name} is not constant")
    name = f"{node.name}.integers"
    grid = Grid(step, point, "int8" if point.dtype == np.int8 else "uint8")

    def rounded(value: ir.Value | None) -> ir.Value | None:
        held = small(value)
        return zero if held is None else numbers(graph, f"{name}.value", quantised(held, grid))

    if node.op_type == "Relu":
        return ir.node("Clip", [integers, zero], name=name)
    if node.op_type == "Max":
        return ir.node("Max", [integers, rounded(node.inputs[1])], name=name)
    value = node.inputs[2] if len(node.inputs) > 2 else None
    return ir.node("Pad", [integers, node.inputs[1], rounded(value), *node.inputs[3:]], name=name)


@Pass
def integer_bias(model: ir.Model) -> None:
    """The bias of a quantised Conv or Gemm as int32, in steps of its input times its weights.

    Integer kernels add it to their sums (onnx/docs/Operators.md, QLinearConv, `B`).
    """
    for node in list(model.graph):
        if node.op_type not in ("Conv", "Gemm") or len(node.inputs) < 3:
            continue
        bias, scales = small(node.inputs[2]), [_scale(value) for value in node.inputs[:2]]
        if bias is None or scales[0] is None or scales[1] is None or bias.ndim != 1:
            continue
        step = (scales[0] * scales[1]).astype(np.float32) * np.ones(bias.shape, np.float32)
        integers = np.rint(bias.astype(np.float64) / step)
        if np.abs(integers).max(initial=0) > LARGEST:
            continue
        name = f"{node.name}.bias"
        inputs = [
            numbers(model.graph, f"{name}.quantized", integers.astype(np.int32)),
            numbers(model.graph, f"{name}.scale", step),
        ]
        read = ir.node("DequantizeLinear", inputs, {"axis": 0}, name=f"{name}.dequantized")
        result = read.outputs[0]
        result.name, result.shape = read.name, ir.Shape(bias.shape)
        result.type = ir.TensorType(ir.DataType.FLOAT)
        model.graph.insert_before(node, read)
        node.replace_input_with(2, result)


def _scale(value: ir.Value | None) -> Array | None:
    """The scale by which a DequantizeLinear makes `value`."""
    node = None if value is None else value.producer()
    return small(node.inputs[1]) if node is not None and node.op_type == _READ else None


_READ, _WRITE = "DequantizeLinear", "QuantizeLinear"


def _same_grid(read: ir.Node, write: ir.Node) -> bool:
    if read.op_type != _READ or write.op_type != _WRITE:
        return False
    ours, theirs = ([small(value) for value in node.inputs[1:3]] for node in (read, write))
    return all(
        one is not None and other is not None and np.array_equal(one, other)
        for one, other in zip(ours, theirs, strict=True)
    )

"""What ONNX Runtime's integer kernels need beside pairs of QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.artifact import Pass
from kexport.passes.edit import numbers, remove, small, sole_user, take_over

Array = np.ndarray[Any, Any]

LARGEST = 2**31 - 1


@Pass
def relu_of_integers(model: ir.Model) -> None:
    """A Relu between two grids that are one becomes a Clip of the integers at their zero point.

    ONNX Runtime has a Clip of uint8 and int8, and no QDQ form of Relu.
    """
    for node in list(model.graph):
        if node.op_type != "Relu":
            continue
        before = node.inputs[0].producer() if node.inputs[0] is not None else None
        behind = sole_user(node.outputs[0])
        if before is None or behind is None or not _same_grid(before, behind):
            continue
        integers, zero = before.inputs[0], behind.inputs[2]
        clip = ir.node("Clip", [integers, zero], name=f"{node.name}.integers")
        result, old = clip.outputs[0], behind.outputs[0]
        result.name, result.type, result.shape = clip.name, old.type, old.shape
        model.graph.insert_before(node, clip)
        take_over(old, result)
        remove(model.graph, behind, node)
        if not before.outputs[0].uses():
            remove(model.graph, before)


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

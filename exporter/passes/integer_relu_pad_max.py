"""Relu, Pad and Max between a DequantizeLinear and a QuantizeLinear, on the integers themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.graph.edit import attribute, numbers, remove, required, small, sole_user, take_over
from kexport.graph.passes import Pass


def has_integer_form(node: ir.Node) -> bool:
    """Return whether a node chooses between its input and constants: Relu, and some Pad and Max."""
    if node.op_type == "Pad":
        value = node.inputs[2] if len(node.inputs) > 2 else None
        constant = value is None or small(value) is not None
        return constant and attribute(node, "mode", "constant") == "constant"
    if node.op_type == "Max":
        return len(node.inputs) == 2 and small(node.inputs[1]) is not None
    return node.op_type == "Relu"


@Pass
def integer_relu_pad_max(model: ir.Model) -> None:
    """Let Relu, Pad and Max with a constant read and write integers.

    QuantizeLinear(Relu(DequantizeLinear(q))) ==> Clip(q, zero_point), and likewise Pad(q) and
    Max(q, c) with a fill value or constant c that is quantized

    Applies where both sides have the same scale and zero point. ONNX Runtime computes these
    operators on uint8 and int8, but its QDQ transformer does not know them, and would run them on
    floats. Exact.
    """
    for node in list(model.graph):
        if not has_integer_form(node):
            continue
        read, write = required(node, 0).producer(), sole_user(node.outputs[0])
        params = None if read is None or write is None else _shared_params(read, write)
        if read is None or write is None or params is None:
            continue
        new = _on_integers(model.graph, node, read, params)
        result, old = new.outputs[0], write.outputs[0]
        result.name, result.type, result.shape = f"{node.name}.integers", old.type, old.shape
        model.graph.insert_before(node, new)
        take_over(old, result)
        remove(model.graph, write, node)
        if not read.outputs[0].uses():
            remove(model.graph, read)


@dataclass(frozen=True, slots=True)
class _Params:
    """Scale and zero point of a whole tensor."""

    scale: Array
    zero_point: Array

    def quantize(self, array: Array) -> Array:
        """Round half to even in float32, and saturate, as QuantizeLinear does."""
        ends = np.iinfo(self.zero_point.dtype)
        levels = np.rint(array.astype(np.float32) / self.scale) + self.zero_point.astype(np.float32)
        return np.asarray(np.clip(levels, ends.min, ends.max).astype(self.zero_point.dtype))


def _shared_params(read: ir.Node, write: ir.Node) -> _Params | None:
    """Return the parameters of a DequantizeLinear and a QuantizeLinear if they are equal."""
    if read.op_type != "DequantizeLinear" or write.op_type != "QuantizeLinear":
        return None
    ours, theirs = ([small(value) for value in node.inputs[1:3]] for node in (read, write))
    for one, other in zip(ours, theirs, strict=True):
        if one is None or other is None or not np.array_equal(one, other):
            return None
    scale, zero_point = ours
    return None if scale is None or zero_point is None else _Params(scale, zero_point)


def _on_integers(graph: ir.Graph, node: ir.Node, read: ir.Node, params: _Params) -> ir.Node:
    integers, zero = required(read, 0), required(read, 2)
    name = f"{node.name}.integers"

    def quantized(value: ir.Value | None) -> ir.Value:
        held = small(value)
        return zero if held is None else numbers(graph, f"{name}.value", params.quantize(held))

    if node.op_type == "Relu":
        return ir.node("Clip", [integers, zero], name=name)
    if node.op_type == "Max":
        return ir.node("Max", [integers, quantized(node.inputs[1])], name=name)
    fill = node.inputs[2] if len(node.inputs) > 2 else None
    return ir.node("Pad", [integers, node.inputs[1], quantized(fill), *node.inputs[3:]], name=name)

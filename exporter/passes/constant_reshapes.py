"""Shapes of Reshape nodes that are computed at run time, though they are known."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.graph.bodies import graphs
from kexport.graph.edit import attribute, constant, numbers, required
from kexport.graph.passes import Pass


@Pass
def constant_reshapes(model: ir.Model) -> None:
    """Give a Reshape a constant shape where at most one extent is open.

    Reshape(x, f(Shape(y))) ==> Reshape(x, constant)

    Applies where all other extents of the result are known, or are open axes that x has at the same
    place under the same name. tf2onnx computes the shapes of traced layers at run time as soon as
    the batch is open: a MultiHeadAttention has 28 nodes for them, which engines run on the CPU.
    Exact.
    """
    for graph in graphs(model.graph):
        for node in graph:
            if node.op_type != "Reshape" or constant(node.inputs[1]) is not None:
                continue
            shape = None if attribute(node, "allowzero", 0) else _shape(node)
            if shape is not None:
                known = numbers(model.graph, f"{node.name}.shape", np.asarray(shape, np.int64))
                node.replace_input_with(1, known)


def _shape(node: ir.Node) -> list[int] | None:
    """Return what a Reshape takes as its shape: 0 keeps an axis, and -1 is the open one."""
    before, after = required(node, 0).shape, node.outputs[0].shape
    if after is None:
        return None
    same = [_same_axis(before, dim, axis) for axis, dim in enumerate(after)]
    shape = [
        dim if isinstance(dim, int) else 0 if kept else -1
        for dim, kept in zip(after, same, strict=True)
    ]
    return None if shape.count(-1) > 1 or 0 in list(after) else shape


def _same_axis(before: ir.Shape | None, dim: int | ir.SymbolicDim, axis: int) -> bool:
    """Tell whether the input has an open axis of this name at this place."""
    if isinstance(dim, int) or dim.value is None or before is None or axis >= len(before):
        return False
    return before[axis] == dim

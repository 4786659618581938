"""Chains of Reshape, Flatten, Squeeze and Unsqueeze as one node, or none."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.graph.edit import numbers, replace_node, required
from kexport.graph.passes import Pass

SHAPE_ONLY = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


@Pass
def merge_reshapes(model: ir.Model) -> None:
    """Merge chains of nodes that change the shape alone.

    1. Reshape(Reshape(x)) ==> x where the shapes are equal.
    2. Reshape(Reshape(x)) ==> Reshape(x) where the result keeps the batch and has fixed extents
       elsewhere.

    Applies to chains of Reshape, Flatten, Squeeze and Unsqueeze. Conversion writes the
    transposition of a single channel as a Reshape, and an engine may copy the tensor for each.
    Exact.
    """
    for node in reversed(list(model.graph)):
        if node.op_type in SHAPE_ONLY and node.graph is not None:
            _shorten(model.graph, node)


def _shorten(graph: ir.Graph, node: ir.Node) -> None:
    end, source = node.outputs[0], required(node, 0).producer()
    ancestors = _ancestors(node)
    same = next((value for value in reversed(ancestors) if _same_shape(value, end)), None)
    if same is not None and not (end.is_graph_output() and same.producer() is None):
        if end.is_graph_output():
            return
        end.replace_all_uses_with(same)
        _remove_unread(graph, node)
    elif len(ancestors) > 1 and _batch_and_fixed(ancestors[-1], end):
        extents = [0, *(int(dim) for dim in (end.shape or ())[1:] if isinstance(dim, int))]
        shape = numbers(graph, f"{node.name}.merged_shape", np.asarray(extents, np.int64))
        merged = ir.node("Reshape", [ancestors[-1], shape], name=f"{node.name}.merged")
        replace_node(graph, node, merged, f"{end.name}.merged")
        _remove_unread(graph, source)


def _ancestors(node: ir.Node) -> list[ir.Value]:
    """Return the values before `node` in the chain, nearest first."""
    values: list[ir.Value] = []
    step: ir.Node | None = node
    while step is not None and step.op_type in SHAPE_ONLY and step.inputs[0] is not None:
        values.append(step.inputs[0])
        step = step.inputs[0].producer()
    return values


def _remove_unread(graph: ir.Graph, node: ir.Node | None) -> None:
    while node is not None and node.op_type in SHAPE_ONLY:
        if node.outputs[0].uses() or node.outputs[0].is_graph_output():
            return
        source = node.inputs[0]
        graph.remove(node, safe=True)
        node = None if source is None else source.producer()


def _same_shape(a: ir.Value, b: ir.Value) -> bool:
    if a.shape is None or b.shape is None or len(a.shape) != len(b.shape):
        return False
    return all(_known(x) and x == y for x, y in zip(a.shape, b.shape, strict=True))


def _known(dim: int | ir.SymbolicDim) -> bool:
    return isinstance(dim, int) or dim.value is not None


def _batch_and_fixed(start: ir.Value, end: ir.Value) -> bool:
    if not start.shape or not end.shape or start.shape[0] != end.shape[0]:
        return False
    return _known(start.shape[0]) and all(isinstance(dim, int) for dim in list(end.shape)[1:])

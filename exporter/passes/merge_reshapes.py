"""Let a chain of Reshape, Flatten, Squeeze and Unsqueeze be one step, or none."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.graph.edit import like, numbers, take_over
from kexport.graph.passes import Pass

SHAPE_ONLY = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


@Pass
def merge_reshapes(model: ir.Model) -> None:
    """Skip what a later reshape undoes.

    1. A chain whose end has the shape of a value before it gives way to that value.
    2. A longer chain whose end keeps the batch and has fixed extents elsewhere becomes one Reshape.
    """
    for node in reversed(list(model.graph)):
        if node.op_type in SHAPE_ONLY and node.graph is not None:
            _shorten(model.graph, node)


def _shorten(graph: ir.Graph, node: ir.Node) -> None:
    end = node.outputs[0]
    ancestors = _ancestors(node)
    same = next((value for value in reversed(ancestors) if _same_shape(value, end)), None)
    if same is not None and not (end.is_graph_output() and same.producer() is None):
        if end.is_graph_output():
            return
        end.replace_all_uses_with(same)
    elif len(ancestors) > 1 and _batch_and_fixed(ancestors[-1], end):
        extents = [0, *(int(dim) for dim in (end.shape or ())[1:] if isinstance(dim, int))]
        shape = numbers(graph, f"{node.name}.merged_shape", np.asarray(extents, np.int64))
        merged = ir.node("Reshape", [ancestors[-1], shape], name=f"{node.name}.merged")
        like(merged.outputs[0], end)
        merged.outputs[0].name = f"{end.name}.merged"
        graph.insert_before(node, merged)
        take_over(end, merged.outputs[0])
    else:
        return
    _remove_unread(graph, node)


def _ancestors(node: ir.Node) -> list[ir.Value]:
    """The values up the chain, nearest first."""
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

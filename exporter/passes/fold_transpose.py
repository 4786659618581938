"""Take Transposes out: cancel them, or put them into the weights of a MatMul."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.passes.edit import (
    attribute,
    constant,
    initializer,
    producer,
    remove,
    take_over,
)
from kexport.shapes import extents

Array = np.ndarray[Any, Any]


def fold_transpose(model: ir.Model) -> ir.Model:
    """Remove Transposes that the graph can do without.

    1. Transpose of a Transpose: one, or none when they cancel.
    2. Transpose, Flatten, MatMul with constant weights (a classifier on a feature map): the rows of
       the weights change places instead.
    """
    model = model.clone()
    for node in list(model.graph):
        if node.op_type == "Transpose":
            _compose(model.graph, node)
        elif node.op_type == "MatMul":
            _permute_rows(model.graph, node)
    return model


def _compose(graph: ir.Graph, node: ir.Node) -> None:
    first = producer(node.inputs[0], "Transpose")
    if first is None or first.inputs[0] is None:
        return
    inner, outer = attribute(first, "perm", []), attribute(node, "perm", [])
    both = [inner[axis] for axis in outer]
    if both == sorted(both):
        if node.outputs[0].is_graph_output():
            return
        take_over(node.outputs[0], first.inputs[0])
        remove(graph, node, first)
        return
    node.replace_input_with(0, first.inputs[0])
    node.attributes["perm"] = ir.AttrInt64s("perm", both)
    remove(graph, first)


def _permute_rows(graph: ir.Graph, node: ir.Node) -> None:
    flatten = producer(node.inputs[0], "Flatten")
    transpose = None if flatten is None else producer(flatten.inputs[0], "Transpose")
    weights = constant(node.inputs[1])
    if flatten is None or transpose is None or weights is None or transpose.inputs[0] is None:
        return
    source = transpose.inputs[0]
    perm = attribute(transpose, "perm", [])
    dims = [] if source.shape is None else list(source.shape)[1:]
    if attribute(flatten, "axis", 1) != 1 or perm[0] != 0 or not dims:
        return
    sizes = [dim for dim in dims if isinstance(dim, int)]
    if len(sizes) != len(dims) or math.prod(sizes) != weights.shape[0]:
        return
    axes = [axis - 1 for axis in perm[1:]]
    back = np.argsort(axes)

    def rows_in_place() -> Array:
        numbers = weights.numpy()
        seen = numbers.reshape(*(sizes[axis] for axis in axes), -1)
        return seen.transpose(*back, len(sizes)).reshape(numbers.shape)

    shape = extents(weights)
    moved = initializer(graph, f"{node.name}.weight", rows_in_place, weights.dtype, shape)
    node.replace_input_with(1, moved)
    flatten.replace_input_with(0, source)
    remove(graph, transpose)

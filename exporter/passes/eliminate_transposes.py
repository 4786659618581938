"""Transposes: cancelled, or moved into the weights of a MatMul."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.graph.edit import attribute, constant, initializer, producer, remove, take_over
from kexport.graph.passes import Pass
from kexport.graph.shapes import extents

ELEMENTWISE = frozenset(
    {
        *("Abs", "Add", "Cast", "Ceil", "Clip", "Cos", "Div", "Elu", "Erf", "Exp", "Floor", "Gelu"),
        *("HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Max", "Min", "Mish", "Mul"),
        *("Neg", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sin"),
        *("Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Tanh"),
    }
)
"""Operators that compute the same in any layout."""


@Pass
def eliminate_transposes(model: ir.Model) -> None:
    """Remove Transposes that the graph can do without.

    1. Transpose(Transpose(x)) ==> Transpose(x), or x where they cancel.
    2. MatMul(Flatten(Transpose(x)), W) ==> MatMul(Flatten(x), W') with the rows of W permuted, as
       in a classifier on a feature map.
    3. Transpose(f(Transpose(x))) ==> f(x) for elementwise operators f between Transposes that undo
       each other, as around a traced layer between two convolutions.

    Applies with constant W and known shapes. Keras stores images as NHWC and ONNX as NCHW, so that
    conversion puts a Transpose on each side of many layers, and each copies its tensor. Exact.
    """
    for node in list(model.graph):
        if node.op_type == "Transpose":
            _compose(model.graph, node)
        elif node.op_type == "MatMul":
            _permute_rows(model.graph, node)
    for node in list(model.graph):
        if node.op_type == "Transpose" and node.graph is not None:
            _lift(model.graph, node)


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


def _lift(graph: ir.Graph, last: ir.Node) -> None:
    perm = list(attribute(last, "perm", []))
    region = _region(last, perm)
    if not region:
        return
    for node in region:
        for index, value in enumerate(node.inputs):
            if value is not None and value.producer() not in region:
                node.replace_input_with(index, _outside(graph, node, value, perm))
    for node in region:
        result = node.outputs[0]
        result.shape = ir.Shape([(result.shape or ())[axis] for axis in perm])
        for reader in _readers(result, region):
            take_over(reader.outputs[0], result)
            remove(graph, reader)


def _region(last: ir.Node, perm: list[int]) -> list[ir.Node]:
    """Return the elementwise nodes between `last` and Transposes that it undoes.

    An empty list means that other nodes read or feed them.
    """
    region: list[ir.Node] = []
    waiting = [last.inputs[0]]
    while waiting:
        value = waiting.pop()
        if value is None or constant(value) is not None:
            continue
        node = value.producer()
        if node is None or value.shape is None or len(value.shape) != len(perm):
            return []
        if node in region or _undoes(perm, node):
            continue
        if node.op_type not in ELEMENTWISE or value.is_graph_output():
            return []
        region.append(node)
        waiting.extend(node.inputs)
    readers = [reader for node in region for reader in _readers(node.outputs[0], region)]
    ends = all(
        reader.op_type == "Transpose"
        and reader.graph is last.graph
        and list(attribute(reader, "perm", [])) == perm
        and not reader.outputs[0].is_graph_output()
        for reader in readers
    )
    return region if ends else []


def _readers(value: ir.Value, region: list[ir.Node]) -> list[ir.Node]:
    """Return the nodes outside `region` that read `value`, each once."""
    return [node for node in dict.fromkeys(use.node for use in value.uses()) if node not in region]


def _undoes(perm: list[int], node: ir.Node) -> bool:
    if node.op_type != "Transpose":
        return False
    inner = attribute(node, "perm", [])
    both = [inner[axis] for axis in perm]
    return both == sorted(both)


def _outside(graph: ir.Graph, node: ir.Node, value: ir.Value, perm: list[int]) -> ir.Value:
    """Return an input of the region in the layout outside."""
    held = constant(value)
    if held is None:
        transpose = value.producer()
        source = None if transpose is None else transpose.inputs[0]
        if source is None:
            raise ValueError(f"{value.name} is not the result of a Transpose")
        return source
    if held.size == 1:
        return value
    full = [1] * (len(perm) - len(held.shape)) + list(extents(held))
    shape = [full[axis] for axis in perm]
    name = f"{node.name}.{value.name}"
    return initializer(
        graph, name, lambda: held.numpy().reshape(full).transpose(perm), held.dtype, shape
    )

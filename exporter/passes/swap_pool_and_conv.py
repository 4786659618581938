"""Order of an AveragePool and a 1 x 1 Conv."""

from __future__ import annotations

import math

import onnx_ir as ir

from kexport.graph.edit import attribute, constant, producer, sole_user, take_over
from kexport.graph.passes import Pass
from kexport.graph.pointwise import is_pointwise
from kexport.graph.shapes import extents, infer_outputs


@Pass
def swap_pool_and_conv(model: ir.Model) -> None:
    """Put an AveragePool and a 1 x 1 Conv into the order that computes less.

    Conv(AveragePool(x), W, b) <==> AveragePool(Conv(x, W, b))

    Applies to a 1 x 1 Conv without groups, strides and pads, where the sizes are known and the
    other order has fewer additions and multiplications. Inception's pools of stride 1 move after
    the convolutions that reduce the channels, DenseNet's transitions pool before they convolve.
    Exact up to rounding: both are linear, one over pixels and the other over channels, and the
    mean of a constant bias is the bias.
    """
    for pool in list(model.graph):
        if pool.op_type != "AveragePool" or attribute(pool, "count_include_pad", 0):
            continue
        source = pool.inputs[0]
        after, before = sole_user(pool.outputs[0]), producer(source, "Conv")
        if after is not None and _of_one_pixel(after) and _pays(after, pool, first=pool):
            _swap(model.graph, pool, after)
        elif before is not None and _of_one_pixel(before) and _pays(before, pool, first=before):
            _swap(model.graph, before, pool)


def _of_one_pixel(node: ir.Node) -> bool:
    weights = constant(node.inputs[1]) if node.op_type == "Conv" else None
    return weights is not None and is_pointwise(node, extents(weights))


def _pays(conv: ir.Node, pool: ir.Node, *, first: ir.Node) -> bool:
    """Return whether the other order has fewer additions and multiplications."""
    outer, inner = first.inputs[0], (pool if first is conv else conv).outputs[0]
    weights, whole, pooled = constant(conv.inputs[1]), _pixels(outer), _pixels(inner)
    if weights is None or whole is None or pooled is None:
        return False
    made, read = extents(weights)[:2]
    taps = pooled * math.prod(map(int, attribute(pool, "kernel_shape", [])))
    conv_first, pool_first = made * read * whole + made * taps, made * read * pooled + read * taps
    return pool_first < conv_first if first is conv else conv_first < pool_first


def _pixels(value: ir.Value | None) -> int | None:
    """Return height times width; None if one is unknown."""
    dims = [] if value is None or value.shape is None else list(value.shape)[2:]
    known = [dim for dim in dims if isinstance(dim, int)]
    return math.prod(known) if dims and len(known) == len(dims) else None


def _swap(graph: ir.Graph, first: ir.Node, second: ir.Node) -> None:
    """Exchange two nodes: `second` reads the input of `first`, `first` the output of `second`."""
    source, between, result = first.inputs[0], first.outputs[0], second.outputs[0]
    second.replace_input_with(0, source)
    take_over(result, between)
    first.replace_input_with(0, result)
    between.shape = result.shape
    graph.remove(second)
    graph.insert_before(first, second)
    infer_outputs(second, graph.opset_imports[""])

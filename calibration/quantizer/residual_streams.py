"""Residual streams that an integer graph keeps in float: sums of projections, and their readers."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from kexport.graph.edit import constant
from kexport.graph.pointwise import is_pointwise
from kexport.graph.shapes import extents


@dataclass(frozen=True, slots=True)
class FloatStreams:
    """The nodes of the residual streams that stay in float."""

    sums: frozenset[ir.Node] = frozenset()
    """The residual Adds, which compute on floats."""
    projections: frozenset[ir.Node] = frozenset()
    """The convolutions whose integer kernels give floats to the sums."""


def float_streams(model: ir.Model) -> FloatStreams:
    """Find the residual streams that cost no time in float.

    They are the Adds of tensors of one shape [N, C, H, W] that are outputs of other such Adds, or
    of projections: 1 x 1 convolutions without groups, strides and pads that have fewer outputs than
    inputs, as in inverted residuals (MobileNetV2, EfficientNet). Only such Adds and convolutions
    read the tensors, so that nothing else than the Adds computes on floats.

    An integer stream rounds every sum, and the rounding of a wide channel covers what a narrow one
    carries. In float each reader rounds the stream once, and the errors do not add up.
    """
    sums = [node for node in model.graph if node.op_type == "Add" and _same_shapes(node)]
    while True:
        outputs = {node.outputs[0] for node in sums}
        left = [
            node
            for node in sums
            if all(value in outputs or _is_projection(value, outputs) for value in node.inputs)
            and _readers_fit(node.outputs[0], outputs)
        ]
        if len(left) == len(sums):
            break
        sums = left
    makers = (value.producer() for node in sums for value in node.inputs if value is not None)
    projections = frozenset(node for node in makers if node is not None and node.op_type == "Conv")
    return FloatStreams(frozenset(sums), projections)


def _same_shapes(node: ir.Node) -> bool:
    shapes = [value.shape for value in [*node.inputs, *node.outputs] if value is not None]
    first = shapes[0]
    return first is not None and len(first) == 4 and all(shape == first for shape in shapes)


def _is_projection(value: ir.Value | None, outputs: set[ir.Value]) -> bool:
    node = None if value is None else value.producer()
    weights = constant(node.inputs[1]) if node is not None and node.op_type == "Conv" else None
    if value is None or node is None or weights is None:
        return False
    made, read, *_ = sizes = extents(weights)
    return is_pointwise(node, sizes) and made < read and _readers_fit(value, outputs)


def _readers_fit(value: ir.Value, outputs: set[ir.Value]) -> bool:
    """Return whether only sums and convolutions with constant weights read a tensor."""
    uses = value.uses()
    return not value.is_graph_output() and all(
        use.node.outputs[0] in outputs or _is_convolved(use.node, use.idx) for use in uses
    )


def _is_convolved(node: ir.Node, index: int) -> bool:
    return node.op_type == "Conv" and index == 0 and constant(node.inputs[1]) is not None

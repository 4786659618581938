"""Scales, shifts and channel reordering before a Conv, moved into its weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.graph.affine import Affine, affine_of
from kexport.graph.edit import attribute, constant, initializer, like, producer, remove, small
from kexport.graph.passes import Pass
from kexport.graph.weights import (
    add_to_bias,
    has_padding,
    reorder_inputs,
    response_to,
    scale_inputs,
)


@dataclass(frozen=True, slots=True)
class _Chain:
    """The nodes before a Conv as one: take channels `order` of `x`, then scale, then shift."""

    x: ir.Value
    order: Array
    scale: Array
    shift: Array
    nodes: tuple[ir.Node, ...]


@Pass
def fuse_affine_into_conv(model: ir.Model) -> None:
    """Move scales, shifts and a reordering of channels into the Conv after them.

    Conv(x[order] * s + t, W, b) ==> Conv(x, W', b') with W'[:, order] = W * s and
    b' = b + sum over inputs, height and width of W * t

    Applies to BatchNormalization, Mul, Div, Add, Sub and Gather with one constant per channel
    before a Conv with constant W. With padding, Keras pads with zeros after the shift, so one Add
    of t / s stays: Conv(x + t / s, W', b). The preprocessing of an image then costs no node.
    Exact up to rounding; W' and b' are computed in float64.
    """
    for node in list(model.graph):
        if node.op_type == "Conv" and constant(node.inputs[1]) is not None:
            chain = _chain_before(node)
            if chain is not None:
                _fold(model.graph, node, chain)


def _chain_before(conv: ir.Node) -> _Chain | None:
    x = conv.inputs[0]
    if x is None or x.shape is None or not isinstance(x.shape[1], int):
        return None
    channels = x.shape[1]
    order = np.arange(channels)
    whole = Affine(x, np.ones(channels), np.zeros(channels))
    nodes: list[ir.Node] = []
    while (node := producer(whole.x, *_STEPS)) is not None:
        step = affine_of(node, 1)
        if step is not None and np.all(step.scale != 0):
            # `order` so far has, for each later channel, its channel in this step's output
            whole = whole.after(Affine(step.x, step.scale[order], step.shift[order]))
        elif (picked := _picked_channels(node, channels)) is not None and _ungrouped(conv):
            order = picked[order]
            source = node.inputs[0]
            if source is None:
                break
            whole = Affine(source, whole.scale, whole.shift)
        else:
            break
        nodes.append(node)
    return _Chain(whole.x, order, whole.scale, whole.shift, tuple(nodes)) if nodes else None


_STEPS = ("BatchNormalization", "Mul", "Div", "Add", "Sub", "Gather")


def _fold(graph: ir.Graph, conv: ir.Node, chain: _Chain) -> None:
    shifted = bool(np.any(chain.shift))
    keep_shift = shifted and has_padding(conv)
    if keep_shift and len(chain.nodes) == 1 and bool((chain.scale == 1).all()):
        return
    if shifted and not keep_shift:
        add_to_bias(graph, conv, response_to(conv, chain.shift))
    if bool(np.any(chain.scale != 1)):
        scale_inputs(graph, conv, chain.scale)
    if bool(np.any(chain.order != np.arange(chain.order.size))):
        reorder_inputs(graph, conv, chain.order)
    x = chain.x
    if keep_shift:
        x = _add_before(graph, conv, x, (chain.shift / chain.scale)[np.argsort(chain.order)])
    conv.replace_input_with(0, x)
    remove(graph, *chain.nodes)


def _add_before(graph: ir.Graph, conv: ir.Node, x: ir.Value, shift: Array) -> ir.Value:
    uniform = bool((shift == shift[0]).all())
    values = (
        shift[:1].reshape(()) if uniform else shift.reshape(-1, *[1] * (len(x.shape or ()) - 2))
    )
    dtype = x.dtype or ir.DataType.FLOAT
    operand = initializer(graph, f"{conv.name}.shift", lambda: values, dtype, values.shape)
    add = ir.node("Add", [x, operand], name=f"{conv.name}.add_shift")
    like(add.outputs[0], x)
    add.outputs[0].name = f"{conv.name}.shifted"
    graph.insert_before(conv, add)
    return add.outputs[0]


def _picked_channels(node: ir.Node, channels: int) -> Array | None:
    """Return the permutation by which a Gather on axis 1 reorders channels."""
    picked = small(node.inputs[1]) if node.op_type == "Gather" else None
    if picked is None or attribute(node, "axis", 0) != 1 or picked.ndim != 1:
        return None
    source = node.inputs[0]
    if source is None or source.shape is None or source.shape[1] != channels:
        return None
    return picked if sorted(picked.tolist()) == list(range(channels)) else None


def _ungrouped(conv: ir.Node) -> bool:
    return int(attribute(conv, "group", 1)) == 1

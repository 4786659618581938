"""Grey image before a Conv that was trained on colours."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.graph.edit import attribute, constant, initializer, producer, remove, small
from kexport.graph.passes import Pass
from kexport.graph.shapes import extents


@Pass
def fuse_gray_to_rgb_into_conv(model: ir.Model) -> None:
    """Sum the weights of a Conv over input channels that are one channel, repeated.

    Conv(Gather(x, [0, 0, 0]), W, b) ==> Conv(x, W', b) with W' = the sum of W over its inputs

    Applies to a Conv without groups and with constant W, where x has one channel. An Add of the
    same number on all channels may be in between, as `fuse_affine_into_conv` leaves one before
    padding. The Conv then computes a third of the products. Exact up to rounding; W' is computed in
    float64.
    """
    for node in list(model.graph):
        if node.op_type == "Conv" and attribute(node, "group", 1) == 1:
            _fold(model.graph, node)


def _fold(graph: ir.Graph, conv: ir.Node) -> None:
    add = producer(conv.inputs[0], "Add")
    shift = None if add is None else small(add.inputs[1])
    if add is not None and (shift is None or shift.size != 1):
        return
    gather = producer(conv.inputs[0] if add is None else add.inputs[0], "Gather")
    weights = constant(conv.inputs[1])
    if gather is None or weights is None or not _repeats(gather):
        return
    single = gather.inputs[0]
    count = extents(weights)
    summed = initializer(
        graph,
        f"{conv.name}.weight",
        lambda: weights.numpy().astype(np.float64).sum(axis=1, keepdims=True),
        weights.dtype,
        (count[0], 1, *count[2:]),
    )
    conv.replace_input_with(1, summed)
    if add is None:
        conv.replace_input_with(0, single)
    else:
        add.replace_input_with(0, single)
        add.outputs[0].shape = None if single is None else single.shape
    remove(graph, gather)


def _repeats(gather: ir.Node) -> bool:
    """Return whether a Gather repeats the only channel of its input."""
    x, picked = gather.inputs[0], small(gather.inputs[1])
    if x is None or x.shape is None or picked is None:
        return False
    return attribute(gather, "axis", 0) == 1 and x.shape[1] == 1 and picked.ndim == 1

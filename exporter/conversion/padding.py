"""Padding of convolution and pooling windows: Keras' `padding` as ONNX attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.tensor import shape_of
from kexport.graph.edit import attribute


def windowed(
    g: Graph,
    x: ir.Value,
    padding: str,
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> tuple[ir.Value, dict[str, Any]]:
    """Return the input of a windowed operator, and its ONNX attributes for a Keras `padding`.

    Where the extent is open, `padding_of` leaves the padding to ONNX's SAME_UPPER, which is
    negative where windows with gaps between them leave elements at the end unread. TensorFlow never
    pads less than nothing, so these elements are cut off first.

    Args:
        g: the graph.
        x: the input, [N, C, *extents].
        padding: "valid", "same" or "causal".
        window: the size of the window along each axis.
        strides: the strides.
        dilations: the dilations.
    """
    attributes = padding_of(x, padding, window, strides, dilations)
    if "auto_pad" in attributes:
        x = _cut_unread(g, x, _spans(window, dilations), strides)
    return x, attributes


def cut_before(g: Graph, node: ir.Node) -> None:
    """Cut off what the windows of a Conv or pooling node with SAME_UPPER leave unread.

    The node comes from elsewhere and is not in the graph yet; its input is.
    """
    window, x = attribute(node, "kernel_shape", None), node.inputs[0]
    if attribute(node, "auto_pad", "NOTSET") != "SAME_UPPER" or window is None or x is None:
        return
    ones = [1] * len(window)
    spans = _spans(window, attribute(node, "dilations", ones))
    cut = _cut_unread(g, x, spans, attribute(node, "strides", ones))
    if cut is not x:
        node.replace_input_with(0, cut)


def padding_of(
    x: ir.Value,
    padding: str,
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> dict[str, Any]:
    """Return the ONNX attributes for a Keras `padding` of "valid", "same" or "causal".

    `same` follows TensorFlow: the output has ceil(in / stride) elements, the padding is split
    evenly and an odd element goes to the end (tensorflow.org/api_docs/python/tf/nn, "Notes on
    padding"). With a stride over 1 it depends on the extent of the input; where that is open,
    ONNX's SAME_UPPER means the same, up to negative padding (see `windowed`).
    """
    spans = _spans(window, dilations)
    if padding == "valid":
        return {"pads": [0] * (2 * len(spans))}
    if padding == "causal":
        return {"pads": [*(span - 1 for span in spans), *([0] * len(spans))]}
    if padding != "same":
        raise ValueError(f"padding {padding!r} is not valid, same or causal")
    totals = []
    for extent, span, stride in zip(shape_of(x)[2:], spans, strides, strict=True):
        if stride == 1 or span == 1:
            totals.append(span - 1)
        elif extent is None:
            return {"auto_pad": "SAME_UPPER"}
        else:
            outputs = -(-extent // stride)
            totals.append(max((outputs - 1) * stride + span - extent, 0))
    return {"pads": [*(t // 2 for t in totals), *(t - t // 2 for t in totals)]}


def _spans(window: Sequence[int], dilations: Sequence[int]) -> list[int]:
    """Return the extents of a dilated window: from its first element to its last."""
    return [(size - 1) * dilation + 1 for size, dilation in zip(window, dilations, strict=True)]


def _cut_unread(g: Graph, x: ir.Value, spans: Sequence[int], strides: Sequence[int]) -> ir.Value:
    """Cut off what is behind the last window: element (in - 1) // stride * stride + span and on."""
    for axis, (span, stride) in enumerate(zip(spans, strides, strict=True), 2):
        if stride <= span:
            continue
        extent = g.part_of_shape(x, axis, axis + 1)
        steps = g.integers([stride], "stride")
        last = g.op("Mul", g.op("Div", g.op("Sub", extent, g.integers([1], "one")), steps), steps)
        end = g.op("Add", last, g.integers([span], "span"))
        x = g.op("Slice", x, g.integers([0], "zero"), end, g.integers([axis], "axis"))
    return x

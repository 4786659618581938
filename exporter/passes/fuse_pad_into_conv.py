"""Zero padding, moved into the Conv or MaxPool after it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.graph.edit import attribute, like, numbers, producer, remove, small, take_over
from kexport.graph.passes import Pass

NON_NEGATIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Exp", "Softplus")


@Pass
def fuse_pad_into_conv(model: ir.Model) -> None:
    """Move the margins of a zero Pad into the pads of the only node that reads it.

    1. Conv(Pad(x)) ==> Conv(x) with pads, since a Conv pads with zeros.
    2. MaxPool(Pad(x)) ==> MaxPool(x) with pads, where x is never negative (after a Relu, for
       example): it pads with minus infinity, but every window contains a pixel of the image.
    3. MaxPool(Pad(x)) ==> Max(MaxPool(x) with pads, border) for any other x, where border is 0 at
       windows that reach into the margin and minus infinity elsewhere. ONNX Runtime 1.31 would fuse
       the Pad without the Max, and compute other values at the border.

    Applies to a constant Pad of height and width with zeros. A Pad copies its tensor, and hides
    from later passes that the Conv is padded. Exact.
    """
    for node in list(model.graph):
        if node.op_type not in ("Conv", "MaxPool") or _pads_by_rule(node):
            continue
        pad = producer(node.inputs[0], "Pad")
        margins = None if pad is None else _spatial_zero_margins(pad)
        if pad is None or margins is None or pad.inputs[0] is None:
            continue
        pads = _sum(node, margins)
        border = None
        if node.op_type == "MaxPool":
            if not _windows_meet(node, pads) or any(attribute(node, "pads", [])):
                continue
            if not _never_negative(pad.inputs[0]):
                border = _border(node, pad.inputs[0], pads)
                if border is None:
                    continue
        node.attributes["pads"] = ir.AttrInt64s("pads", pads)
        node.attributes.pop("auto_pad", None)
        node.replace_input_with(0, pad.inputs[0])
        remove(model.graph, pad)
        if border is not None:
            _max_with(model.graph, node, border)


def _pads_by_rule(node: ir.Node) -> bool:
    return attribute(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")


def _spatial_zero_margins(pad: ir.Node) -> list[int] | None:
    """Return the margins of a constant Pad with zero in the order of Conv; None for other Pads."""
    margins = small(pad.inputs[1])
    fill = small(pad.inputs[2]) if len(pad.inputs) > 2 and pad.inputs[2] is not None else None
    axes = pad.inputs[3] if len(pad.inputs) > 3 else None
    if margins is None or axes is not None or attribute(pad, "mode", "constant") != "constant":
        return None
    if fill is not None and np.any(fill != 0):
        return None
    before, after = margins.reshape(2, -1).tolist()
    if any(before[:2]) or any(after[:2]) or min(before + after) < 0:
        return None
    return [*before[2:], *after[2:]]


def _sum(node: ir.Node, margins: list[int]) -> list[int]:
    own = attribute(node, "pads", None) or [0] * len(margins)
    return [int(a + b) for a, b in zip(own, margins, strict=True)]


def _never_negative(value: ir.Value) -> bool:
    maker = value.producer()
    if maker is None:
        return False
    if maker.op_type == "Clip" and len(maker.inputs) > 1:
        low = small(maker.inputs[1])
        return low is not None and bool(low >= 0)
    return maker.op_type in NON_NEGATIVE


def _windows_meet(node: ir.Node, pads: list[int]) -> bool:
    window = attribute(node, "kernel_shape", [])
    return all(pad < size for pad, size in zip(pads, [*window, *window], strict=True))


def _border(node: ir.Node, source: ir.Value, pads: list[int]) -> Array | None:
    """Return [1, 1, *outputs]: 0 where a window reaches into the margin, elsewhere -infinity."""
    extents, outputs = _spatial(source), _spatial(node.outputs[0])
    if extents is None or outputs is None:
        return None
    window = attribute(node, "kernel_shape", [])
    strides = attribute(node, "strides", [1] * len(window))
    dilations = attribute(node, "dilations", [1] * len(window))
    inside = np.ones((), bool)
    for axis, extent in enumerate(extents):
        first = np.arange(outputs[axis]) * strides[axis] - pads[axis]
        last = first + (window[axis] - 1) * dilations[axis]
        inside = inside[..., None] & (first >= 0) & (last < extent)
    return np.where(inside, -np.inf, 0.0)[None, None]


def _spatial(value: ir.Value) -> list[int] | None:
    """Return the extents after batch and channels; None if one is unknown."""
    dims = list(value.shape or ())[2:]
    known = [dim for dim in dims if isinstance(dim, int)]
    return known if known and len(known) == len(dims) else None


def _max_with(graph: ir.Graph, pool: ir.Node, border: Array) -> None:
    after = pool.outputs[0]
    dtype = (after.dtype or ir.DataType.FLOAT).numpy()
    mask = numbers(graph, f"{pool.name}.border", border.astype(dtype))
    node = ir.node("Max", [after, mask], name=f"{pool.name}.with_zero_border")
    result = node.outputs[0]
    result.name = node.name
    like(result, after)
    graph.insert_after(pool, node)
    take_over(after, result)
    node.replace_input_with(0, after)

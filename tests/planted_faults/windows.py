"""Faults in windows, padding, crops and resizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.graph import edit
from planted_faults.fault import Fault, Rng, nodes, one, operator, put, set_number

WINDOWED = ("Conv", "MaxPool", "AveragePool")


def _pads(node: ir.Node) -> list[int]:
    return list(edit.attribute(node, "pads", []))


def wrong_side(model: ir.Model, rng: Rng) -> bool:
    """Exchange the padding before and after."""
    uneven = [n for n in nodes(model, *WINDOWED) if _pads(n) != _turned(_pads(n))]
    node = one(rng, uneven)
    return node is not None and set_number(node, "pads", _turned(_pads(node)))


def _turned(pads: list[int]) -> list[int]:
    half = len(pads) // 2
    return [*pads[half:], *pads[:half]]


def shifted(model: ir.Model, rng: Rng) -> bool:
    """Move the windows by one element: one less before, one more after."""
    node = one(rng, [n for n in nodes(model, *WINDOWED) if max(_pads(n), default=0) > 0])
    if node is None:
        return False
    pads = _pads(node)
    half = len(pads) // 2
    at = one(rng, [i for i in range(half) if pads[i] or pads[i + half]])
    step = 1 if pads[at] else -1
    pads[at], pads[at + half] = pads[at] - step, pads[at + half] + step
    return set_number(node, "pads", pads)


def undilated(model: ir.Model, rng: Rng) -> bool:
    """Forget a dilation, and pad so that the extents stay."""
    found = [
        (node, axis)
        for node in nodes(model, "Conv")
        for axis, rate in enumerate(edit.attribute(node, "dilations", []))
        if rate > 1 and edit.attribute(node, "kernel_shape", [1] * 9)[axis] > 1
    ]
    node, axis = one(rng, found) or (None, 0)
    if node is None:
        return False
    rates, pads = list(node.attributes["dilations"].value), _pads(node)
    if not pads:
        return False
    spare = (rates[axis] - 1) * (node.attributes["kernel_shape"].value[axis] - 1)
    taken = min(spare, pads[axis + len(rates)])
    pads[axis + len(rates)] -= taken
    pads[axis] -= min(spare - taken, pads[axis])
    rates[axis] = 1
    return set_number(node, "dilations", rates) and set_number(node, "pads", pads)


def counted(model: ir.Model, rng: Rng) -> bool:
    """Count the padding in an average."""
    node = one(rng, [n for n in nodes(model, "AveragePool") if any(_pads(n))])
    if node is None:
        return False
    return set_number(node, "count_include_pad", 1 - edit.attribute(node, "count_include_pad", 0))


def other_pool(model: ir.Model, rng: Rng) -> bool:
    """Take the mean instead of the largest, or the other way round."""
    others = {
        "MaxPool": "AveragePool",
        "AveragePool": "MaxPool",
        "GlobalMaxPool": "GlobalAveragePool",
        "GlobalAveragePool": "GlobalMaxPool",
    }
    node = one(rng, nodes(model, *others))
    if node is None:
        return False
    node.op_type = others[node.op_type]
    node.attributes.pop("count_include_pad", None)
    return True


def turned_pad(model: ir.Model, rng: Rng) -> bool:
    """Exchange what a Pad puts before and after."""
    found = [(n, edit.small(n.inputs[1])) for n in nodes(model, "Pad")]
    uneven = [(n, p) for n, p in found if p is not None and _turned(p.tolist()) != p.tolist()]
    node, pads = one(rng, uneven) or (None, None)
    return node is not None and pads is not None and put(model, node, 1, _turned(pads.tolist()))


def filled(model: ir.Model, rng: Rng) -> bool:
    """Pad with ones."""
    node = one(rng, [n for n in nodes(model, "Pad") if len(n.inputs) > 2 and n.inputs[2]])
    return node is not None and put(model, node, 2, np.float32(1.0))


def crop_moved(model: ir.Model, rng: Rng) -> bool:
    """Cut out a window that begins one element earlier."""
    found = [
        n
        for n in nodes(model, "Slice")
        if all(edit.small(n.inputs[i]) is not None for i in (1, 2))
        and (edit.small(n.inputs[1]) > 0).any()
    ]
    node = one(rng, found)
    if node is None:
        return False
    starts, ends = (np.asarray(edit.small(node.inputs[i])).copy() for i in (1, 2))
    at = one(rng, np.flatnonzero(starts > 0).tolist())
    starts[at] -= 1
    ends[at] = -1 if ends[at] >= 2**31 - 1 else ends[at] - 1
    return put(model, node, 1, starts) and put(model, node, 2, ends)


def resize_attribute(name: str, values: tuple[str, ...], mode: tuple[str, ...]) -> Any:
    """Make a fault in one attribute of a Resize of some modes."""

    def mutate(model: ir.Model, rng: Rng) -> bool:
        found = [n for n in nodes(model, "Resize") if edit.attribute(n, "mode", "nearest") in mode]
        node = one(rng, found)
        if node is None:
            return False
        now = edit.attribute(node, name, None)
        return set_number(node, name, one(rng, [value for value in values if value != now]))

    return mutate


def gathered_beside(model: ir.Model, rng: Rng) -> bool:
    """Take the neighbour of one index of a Gather."""
    found = [
        n
        for n in nodes(model, "Gather")
        if (i := edit.small(n.inputs[1])) is not None and i.ndim == 1 and i.size > 1
    ]
    node = one(rng, found)
    if node is None:
        return False
    indices = np.asarray(edit.small(node.inputs[1])).copy()
    at = int(rng.integers(indices.size))
    other = indices[at] + 1 if indices[at] < indices.max() else indices[at] - 1
    if other < 0:
        return False
    indices[at] = other
    return put(model, node, 1, indices)


def strided_late(model: ir.Model, rng: Rng) -> bool:
    """Begin the strides one element later: every window moves by one."""
    found = [
        (n, axis)
        for n in nodes(model, "Conv", "MaxPool")
        for axis, step in enumerate(edit.attribute(n, "strides", []))
        if step > 1 and _pads(n)
    ]
    node, axis = one(rng, found) or (None, 0)
    if node is None:
        return False
    pads = _pads(node)
    half = len(pads) // 2
    if pads[axis] == 0:
        pads[axis] += 1
        pads[axis + half] = max(0, pads[axis + half] - 1)
    else:
        pads[axis] -= 1
        pads[axis + half] += 1
    return set_number(node, "pads", pads)


def unwindowed(model: ir.Model, rng: Rng) -> bool:
    """Leave a pooling out that keeps the extents."""
    found = [
        n
        for n in nodes(model, "MaxPool", "AveragePool")
        if set(edit.attribute(n, "strides", [1])) == {1} and any(_pads(n))
    ]
    node = one(rng, found)
    return node is not None and operator(node, "Identity")


FAULTS = (
    Fault("padding on the wrong side", wrong_side),
    Fault("windows moved by one", shifted),
    Fault("strides begin one later", strided_late),
    Fault("dilation forgotten", undilated),
    Fault("average counts the padding", counted),
    Fault("mean instead of maximum", other_pool),
    Fault("pooling left out", unwindowed),
    Fault("Pad on the wrong side", turned_pad),
    Fault("padded with ones", filled),
    Fault("crop moved by one", crop_moved),
    Fault("resize nearest for linear", resize_attribute("mode", ("nearest",), ("linear", "cubic"))),
    Fault("resize linear for nearest", resize_attribute("mode", ("linear",), ("nearest",))),
    Fault(
        "resize between other centres",
        resize_attribute(
            "coordinate_transformation_mode", ("align_corners", "asymmetric"), ("linear", "cubic")
        ),
    ),
    Fault("neighbour of an index", gathered_beside),
)

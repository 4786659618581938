"""Where one scale for each channel passes through a graph unchanged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.passes.edit import attribute, constant, small, sole_user

KEEPING = frozenset({"AveragePool", "GlobalAveragePool", "LeakyRelu", "MaxPool", "Relu"})
"""Operators of one input whose output grows with it, channel by channel."""


@dataclass(frozen=True, slots=True)
class Region:
    """Tensors [N, C, ...] whose channels can be scaled together, between weights."""

    makers: tuple[ir.Node, ...]
    """Every Conv whose output channels are those of the tensors."""
    tensors: tuple[ir.Value, ...]
    """All of them, but for those that only a Relu or a Clip reads, and flattened ones [N, C]."""
    readers: tuple[ir.Node, ...]
    """Every Conv and every Gemm that reads one of the tensors."""


def regions(model: ir.Model) -> list[Region]:
    """Every region of a graph, in its order.

    Between its Convs stand operators that give s f(x) for s x, channel by channel, with s > 0:
    pools, Relu, LeakyRelu, a Pad with zeros, a Max with zeros, a Flatten of one pixel, and Adds of
    two tensors in it; and a Clip from 0 upwards, which does so up to its end. A Gemm may read them.
    """
    found: dict[ir.Value, list[ir.Value]] = {}
    for node in model.graph:
        for value in node.outputs:
            found[value] = [value]
        if not keeps_scale(node):
            continue
        for value in _data(node):
            ours, theirs = found.setdefault(value, [value]), found[node.outputs[0]]
            if ours is not theirs:
                ours.extend(theirs)
                found.update(dict.fromkeys(theirs, ours))
    groups = {id(group): group for group in found.values()}
    each = [_region(group) for group in groups.values()]
    return [region for region in each if region is not None]


def keeps_scale(node: ir.Node) -> bool:
    """Whether a positive scale for each channel of all that `node` reads is one of its output."""
    match node.op_type:
        case "Add":
            shapes = [value.shape for value in [*node.inputs, *node.outputs] if value is not None]
            return len(_data(node)) == 2 and all(shape == shapes[0] for shape in shapes)
        case "Clip":
            lowest = small(node.inputs[1]) if len(node.inputs) > 1 else None
            return lowest is not None and float(lowest) == 0.0
        case "Flatten":
            value = node.inputs[0]
            pixels = None if value is None or value.shape is None else list(value.shape)[2:]
            return pixels == [1, 1] and attribute(node, "axis", 1) == 1
        case "Max":
            held = small(node.inputs[1]) if len(node.inputs) == 2 else None
            return held is not None and bool(np.isin(held, (0.0, -np.inf)).all())
        case "Pad":
            filled = node.inputs[2] if len(node.inputs) > 2 else None
            held = small(filled)
            return len(node.inputs) < 4 and (
                filled is None or (held is not None and not held.any())
            )
    return node.op_type in KEEPING


def _data(node: ir.Node) -> list[ir.Value]:
    count = 2 if node.op_type == "Add" else 1
    return [v for v in node.inputs[:count] if v is not None and constant(v) is None]


def _region(values: list[ir.Value]) -> Region | None:
    made_by = [value.producer() for value in values]
    makers = [node for node in made_by if node is None or not keeps_scale(node)]
    uses = [use for value in values for use in value.uses() if not keeps_scale(use.node)]
    readers = dict.fromkeys(use.node for use in uses)
    if not makers or not readers or any(value.is_graph_output() for value in values):
        return None
    channels = {None if value.shape is None else value.shape[1] for value in values}
    if any(use.idx != 0 for use in uses) or len(channels) > 1:
        return None
    convs = [node for node in makers if node is not None and _has_weights(node)]
    if len(convs) < len(makers) or not all(_has_weights(x) or _is_dense(x) for x in readers):
        return None
    tensors = [value for value in values if not _is_ended(value) and not _is_flat(value)]
    return Region(tuple(convs), tuple(tensors), tuple(readers))


def _has_weights(node: ir.Node) -> bool:
    return node.op_type == "Conv" and constant(node.inputs[1]) is not None


def _is_dense(node: ir.Node) -> bool:
    weights = constant(node.inputs[1]) if node.op_type == "Gemm" else None
    return weights is not None and not attribute(node, "transA", 0)


def _is_flat(value: ir.Value) -> bool:
    return value.shape is not None and len(value.shape) == 2


def _is_ended(value: ir.Value) -> bool:
    reader = sole_user(value)
    return reader is not None and reader.op_type in ("Clip", "Relu")

"""Cross-layer equalisation: give every channel of a tensor its share of one grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.statistics.histogram import Range
from kexport.graph.edit import attribute, constant, small, sole_user
from kexport.graph.passes import Pass
from kexport.graph.shapes import extents
from kexport.graph.weights import add_to_bias, scale_inputs, scale_outputs

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


TINY = float(np.finfo(np.float32).tiny)

LARGEST_SCALE = 1e4
"""How far a channel is scaled up at most; beyond it holds nothing but noise."""


def equalize(peaks: Mapping[str, Array]) -> Pass:
    """A pass that scales the channels between convolutions, and computes the same.

    With m the largest magnitude in a channel and w that of the weights which read it, both as a
    share of the largest of all channels, the channels of a region (`regions.regions`) are
    multiplied by

    - 1 / m before depthwise convolutions, whose weights have a grid for every channel;
    - sqrt(w / m) before any other, so that values and weights use equal shares of their grids

    but not so far that one exceeds the largest channel of any tensor of the region or the end of a
    Clip, and one that reaches that end not at all. The reading weights are divided by it (Nagel et
    al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section
    4.1, with measured values in the place of the weights' own ranges on the producing side, whose
    grid is per channel).

    Args:
        peaks: the largest magnitude of each channel, [C], by the tensor's name; of more images
            than were seen, since what is scaled up to a grid's end is clipped there.
    """

    @Pass
    def equalize(model: ir.Model) -> None:
        for region, scale in _scales(model, peaks):
            for conv in region.makers:
                scale_outputs(model.graph, conv, scale)
                _scale_bias(model.graph, conv, scale)
            for conv in region.readers:
                scale_inputs(model.graph, conv, 1 / scale)

    return equalize


def moved(model: ir.Model, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """`ranges`, and for what a Flatten makes of a tensor the range of that."""
    flat = {
        node.outputs[0].name or "": ranges[value.name or ""]
        for node in model.graph
        for value in node.inputs[:1]
        if node.op_type == "Flatten" and value is not None and value.name in ranges
    }
    return {**ranges, **flat}


def scales(model: ir.Model, peaks: Mapping[str, Array]) -> dict[str, Array]:
    """What `equalize` multiplies the channels of each tensor with, [C], by the tensor's name."""
    found: dict[str, Array] = {}
    for region, scale in _scales(model, peaks):
        found |= dict.fromkeys((tensor.name or "" for tensor in region.tensors), scale)
    return found


def _scales(model: ir.Model, peaks: Mapping[str, Array]) -> Iterator[tuple[Region, Array]]:
    """Every region whose peaks are known, and what its channels are multiplied with."""
    for region in regions(model):
        known = [peaks.get(tensor.name or "") for tensor in region.tensors]
        found = [peak for peak in known if peak is not None]
        if len(found) == len(known):
            yield region, _scale(region, found)


def _scale(region: Region, peaks: list[Array]) -> Array:
    share = np.max([peak / max(float(peak.max()), TINY) for peak in peaks], axis=0)
    share = np.maximum(share, 1 / LARGEST_SCALE)
    scale = np.maximum(1 / share, 1.0)
    weighing = [conv for conv in region.readers if not _is_depthwise(conv)]
    reading = np.max([_reading(conv) for conv in weighing], axis=0) if weighing else None
    if reading is not None:
        balanced = np.sqrt(reading / share)
        scale = np.minimum(balanced / (balanced * share).max(), scale)
    for tensor, peak in zip(region.tensors, peaks, strict=True):
        ceiling = _ceiling(tensor)
        scale = np.minimum(scale, np.maximum(ceiling / np.maximum(peak, TINY), 1.0))
        scale[peak >= ceiling] = 1.0
    silent = np.max(peaks, axis=0) == 0
    scale[silent] = 1.0
    if reading is not None and not silent.all():
        scale[silent] = np.maximum(reading[silent] / (reading / scale)[~silent].max(), 1.0)
    return np.asarray(scale)


def _ceiling(tensor: ir.Value) -> float:
    """Where a Clip ends what a channel may hold: one that reaches it must keep its scale."""
    clip = tensor.producer()
    if clip is None or clip.op_type != "Clip" or len(clip.inputs) < 3:
        return float("inf")
    highest = small(clip.inputs[2])
    return float("inf") if highest is None else float(highest)


def _reading(conv: ir.Node) -> Array:
    """The largest magnitude of the weights that read each input channel; [C]."""
    held, groups = constant(conv.inputs[1]), int(attribute(conv, "group", 1))
    if held is None:
        raise ValueError(f"the weights of {conv.name} are not constant")
    weights = held.numpy()
    if conv.op_type == "Gemm" and not attribute(conv, "transB", 0):
        weights = weights.T
    largest = np.abs(weights.astype(np.float64)).reshape(*weights.shape[:2], -1).max(axis=2)
    per_group = largest.reshape(groups, -1, weights.shape[1]).max(axis=1)
    return np.asarray(np.maximum(per_group.reshape(-1), TINY))


def _scale_bias(graph: ir.Graph, conv: ir.Node, scale: Array) -> None:
    if len(conv.inputs) > 2 and conv.inputs[2] is not None:
        add_to_bias(graph, conv, np.zeros(scale.shape), scale)


def _is_depthwise(conv: ir.Node) -> bool:
    weights = constant(conv.inputs[1])
    return conv.op_type == "Conv" and weights is not None and extents(weights)[1] == 1

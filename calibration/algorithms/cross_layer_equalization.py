"""Cross-layer equalization: scale channels so that all use the range of their tensor."""

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

SCALE_EQUIVARIANT = frozenset({"AveragePool", "GlobalAveragePool", "LeakyRelu", "MaxPool", "Relu"})
"""Operators of one input with f(s x) = s f(x) for each channel and s > 0."""


@dataclass(frozen=True, slots=True)
class Region:
    """Tensors [N, C, ...] whose channels can be scaled together, with the weights around them."""

    producers: tuple[ir.Node, ...]
    """Every Conv whose output channels are those of the tensors."""
    tensors: tuple[ir.Value, ...]
    """The tensors, without those that only a Relu or a Clip reads, and flattened ones [N, C]."""
    readers: tuple[ir.Node, ...]
    """Every Conv and Gemm that reads one of the tensors."""


def find_regions(model: ir.Model) -> list[Region]:
    """List the regions of a graph that can be equalized, in its order.

    All operators between the producers and the readers of a region are scale-equivariant: pools,
    Relu, LeakyRelu, a Pad with zeros, a Max with zeros, a Flatten of one pixel, Adds of two tensors
    of the region, and a Clip from 0, which is so up to its upper bound.
    """
    found: dict[ir.Value, list[ir.Value]] = {}
    for node in model.graph:
        for value in node.outputs:
            found[value] = [value]
        if not is_scale_equivariant(node):
            continue
        for value in _activations(node):
            ours, theirs = found.setdefault(value, [value]), found[node.outputs[0]]
            if ours is not theirs:
                ours.extend(theirs)
                found.update(dict.fromkeys(theirs, ours))
    groups = {id(group): group for group in found.values()}
    each = [_region(group) for group in groups.values()]
    return [region for region in each if region is not None]


def is_scale_equivariant(node: ir.Node) -> bool:
    """Return whether scaling the channels of all inputs scales those of the output equally."""
    match node.op_type:
        case "Add":
            shapes = [value.shape for value in [*node.inputs, *node.outputs] if value is not None]
            return len(_activations(node)) == 2 and all(shape == shapes[0] for shape in shapes)
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
    return node.op_type in SCALE_EQUIVARIANT


def _activations(node: ir.Node) -> list[ir.Value]:
    count = 2 if node.op_type == "Add" else 1
    return [v for v in node.inputs[:count] if v is not None and constant(v) is None]


def _region(values: list[ir.Value]) -> Region | None:
    nodes = [value.producer() for value in values]
    producers = [node for node in nodes if node is None or not is_scale_equivariant(node)]
    uses = [use for value in values for use in value.uses() if not is_scale_equivariant(use.node)]
    readers = dict.fromkeys(use.node for use in uses)
    if not producers or not readers or any(value.is_graph_output() for value in values):
        return None
    convs = [node for node in producers if node is not None and _has_weights(node)]
    if len(convs) < len(producers) or not all(_has_weights(x) or _is_dense(x) for x in readers):
        return None
    channels = {None if value.shape is None else value.shape[1] for value in values}
    if any(use.idx != 0 for use in uses) or len(channels) > 1:
        return None
    tensors = [value for value in values if not _is_activated(value) and not _is_flat(value)]
    return Region(tuple(convs), tuple(tensors), tuple(readers))


def _has_weights(node: ir.Node) -> bool:
    return node.op_type == "Conv" and constant(node.inputs[1]) is not None


def _is_dense(node: ir.Node) -> bool:
    weights = constant(node.inputs[1]) if node.op_type == "Gemm" else None
    return weights is not None and not attribute(node, "transA", 0)


def _is_flat(value: ir.Value) -> bool:
    return value.shape is not None and len(value.shape) == 2


def _is_activated(value: ir.Value) -> bool:
    reader = sole_user(value)
    return reader is not None and reader.op_type in ("Clip", "Relu")


TINY = float(np.finfo(np.float32).tiny)
"""The smallest normal float32, in place of zeros in denominators."""

MAX_SCALE = 1e4
"""The largest factor of a channel; a channel that is smaller by more contains only noise."""


def equalize(peaks: Mapping[str, Array]) -> Pass:
    """Build the pass that scales channels between convolutions, and keeps the function.

    Let m be the largest magnitude of a channel and w that of the weights that read it, both
    relative to the largest channel. The channels of a region are multiplied by

    - 1 / m before depthwise convolutions, whose weights have a scale for each channel;
    - sqrt(w / m) before all others, so that activations and weights use equal shares of their
      ranges,

    limited so that no channel exceeds the largest channel of a tensor of the region, or the upper
    bound of a Clip; a channel that reaches that bound is not scaled at all. The weights that read
    the channels are divided by the same factors (Nagel et al., "Data-Free Quantization Through
    Weight Equalization and Bias Correction", 2019, section 4.1, with measured activations instead
    of the producers' weight ranges, because those weights are quantized per channel).

    Args:
        peaks: the largest magnitude of each channel, [C], by tensor name; expected over more images
            than were measured, because a larger value would be clipped.
    """

    @Pass
    def equalize(model: ir.Model) -> None:
        for region, scale in _scales(model, peaks):
            for conv in region.producers:
                scale_outputs(model.graph, conv, scale)
                _scale_bias(model.graph, conv, scale)
            for conv in region.readers:
                scale_inputs(model.graph, conv, 1 / scale)

    return equalize


def flatten_ranges(model: ir.Model, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """Extend `ranges` to the outputs of Flatten nodes, whose ranges are those of their inputs."""
    flat = {
        node.outputs[0].name or "": ranges[value.name or ""]
        for node in model.graph
        for value in node.inputs[:1]
        if node.op_type == "Flatten" and value is not None and value.name in ranges
    }
    return {**ranges, **flat}


def equalization_scales(model: ir.Model, peaks: Mapping[str, Array]) -> dict[str, Array]:
    """Compute the factors of `equalize` for the channels of each tensor, [C], by tensor name."""
    found: dict[str, Array] = {}
    for region, scale in _scales(model, peaks):
        found |= dict.fromkeys((tensor.name or "" for tensor in region.tensors), scale)
    return found


def _scales(model: ir.Model, peaks: Mapping[str, Array]) -> Iterator[tuple[Region, Array]]:
    """Yield each region whose peaks are known, with the factors of its channels."""
    for region in find_regions(model):
        known = [peaks.get(tensor.name or "") for tensor in region.tensors]
        found = [peak for peak in known if peak is not None]
        if len(found) == len(known):
            yield region, _scale(region, found)


def _scale(region: Region, peaks: list[Array]) -> Array:
    share = np.max([peak / max(float(peak.max()), TINY) for peak in peaks], axis=0)
    share = np.maximum(share, 1 / MAX_SCALE)
    scale = np.maximum(1 / share, 1.0)
    dense = [conv for conv in region.readers if not _is_depthwise(conv)]
    reading = np.max([_reading_weights(conv) for conv in dense], axis=0) if dense else None
    if reading is not None:
        balanced = np.sqrt(reading / share)
        scale = np.minimum(balanced / (balanced * share).max(), scale)
    for tensor, peak in zip(region.tensors, peaks, strict=True):
        ceiling = _upper_bound(tensor)
        scale = np.minimum(scale, np.maximum(ceiling / np.maximum(peak, TINY), 1.0))
        scale[peak >= ceiling] = 1.0
    silent = np.max(peaks, axis=0) == 0
    scale[silent] = 1.0
    if reading is not None and not silent.all():
        scale[silent] = np.maximum(reading[silent] / (reading / scale)[~silent].max(), 1.0)
    return np.asarray(scale)


def _upper_bound(tensor: ir.Value) -> float:
    """Return the upper bound of the Clip that produces a tensor; infinite without one."""
    clip = tensor.producer()
    if clip is None or clip.op_type != "Clip" or len(clip.inputs) < 3:
        return float("inf")
    highest = small(clip.inputs[2])
    return float("inf") if highest is None else float(highest)


def _reading_weights(conv: ir.Node) -> Array:
    """Compute the largest magnitude of the weights that read each input channel; [C]."""
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

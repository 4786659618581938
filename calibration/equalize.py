"""Cross-layer equalisation: give every channel of a tensor its share of one grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.artifact import Pass
from kexport.calibration.regions import Region, regions
from kexport.passes.edit import attribute, constant, small
from kexport.passes.weighted import add_to_bias, scale_inputs, scale_outputs
from kexport.shapes import extents

Array = np.ndarray[Any, Any]

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
        peaks: the largest magnitude of each channel, [C], by the tensor's name; of more pictures
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
    if weighing:
        reading = np.max([_reading(conv) for conv in weighing], axis=0)
        balanced = np.sqrt(reading / share)
        scale = np.minimum(balanced / (balanced * share).max(), scale)
    for tensor, peak in zip(region.tensors, peaks, strict=True):
        ceiling = _ceiling(tensor)
        scale = np.minimum(scale, np.maximum(ceiling / np.maximum(peak, TINY), 1.0))
        scale[peak >= ceiling] = 1.0
    scale[np.max(peaks, axis=0) == 0] = 1.0
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
    largest = np.abs(weights.astype(np.float64)).reshape(*weights.shape[:2], -1).max(axis=2)
    per_group = largest.reshape(groups, -1, weights.shape[1]).max(axis=1)
    return np.asarray(np.maximum(per_group.reshape(-1), TINY))


def _scale_bias(graph: ir.Graph, conv: ir.Node, scale: Array) -> None:
    if len(conv.inputs) > 2 and conv.inputs[2] is not None:
        add_to_bias(graph, conv, np.zeros(scale.shape), scale)


def _is_depthwise(conv: ir.Node) -> bool:
    weights = constant(conv.inputs[1])
    return weights is not None and extents(weights)[1] == 1

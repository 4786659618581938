"""Cross-layer equalisation: give every channel of a tensor its share of one grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.artifact import Pass
from kexport.passes.edit import attribute, constant, small, sole_user
from kexport.passes.weighted import add_to_bias, scale_inputs, scale_outputs
from kexport.shapes import extents

Array = np.ndarray[Any, Any]

TINY = float(np.finfo(np.float32).tiny)

LARGEST_SCALE = 1e4
"""How far a channel is scaled up at most; beyond it holds nothing but noise."""

HEADROOM = 2.0
"""How much larger than measured a channel may come that is scaled up, before the tensor's range or
a Clip ends it that did not before. Of what is seldom at work a hundred pictures do not show the
largest value: scaled up to the range, the digits of bench/int8.py lost 3 dB by clipping."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two convolutions with nothing between them that minds a scale for each channel."""

    first: ir.Node
    tensor: ir.Value
    """What `second` reads: the output of `first`, or of the Relu or Clip behind it."""
    second: ir.Node


def pairs(model: ir.Model) -> list[Pair]:
    """Every Conv whose output reaches one other Conv only, at most through a Relu or a Clip."""
    found = []
    for node in model.graph:
        if node.op_type != "Conv" or constant(node.inputs[1]) is None:
            continue
        tensor, reader = node.outputs[0], sole_user(node.outputs[0])
        if reader is not None and _keeps_zero(reader):
            tensor, reader = reader.outputs[0], sole_user(reader.outputs[0])
        if reader is None or reader.op_type != "Conv" or reader.inputs[0] is not tensor:
            continue
        if constant(reader.inputs[1]) is not None:
            found.append(Pair(node, tensor, reader))
    return found


def equalize(peaks: Mapping[str, Array]) -> Pass:
    """A pass that scales the channels between two convolutions, and computes the same.

    With m the largest magnitude in a channel and w that of the weights which read it, both as a
    share of the largest of all channels, the channel is multiplied by

    - 1 / m before a depthwise convolution, whose weights have a grid for every channel;
    - sqrt(w / m) before any other, so that values and weights use equal shares of their grids

    but not so far that it comes nearer than `HEADROOM` to the largest one or to the end of a Clip
    between the two, and one that reaches that end not at all. The reading weights are divided by it
    (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019,
    section 4.1, with measured values in the place of the weights' own ranges on the producing side,
    whose grid is per channel).

    Args:
        peaks: the largest magnitude of each channel, [C], by the tensor's name.
    """

    @Pass
    def equalize(model: ir.Model) -> None:
        for pair in pairs(model):
            scale = _scale(pair, peaks[pair.tensor.name or ""])
            scale_outputs(model.graph, pair.first, scale)
            _scale_bias(model.graph, pair.first, scale)
            scale_inputs(model.graph, pair.second, 1 / scale)

    return equalize


def scales(model: ir.Model, peaks: Mapping[str, Array]) -> dict[str, Array]:
    """What `equalize` multiplies the channels of each tensor with, [C], by the tensor's name."""
    names = {pair.tensor.name or "": pair for pair in pairs(model)}
    return {name: _scale(pair, peaks[name]) for name, pair in names.items()}


def _scale(pair: Pair, peak: Array) -> Array:
    ceiling = _ceiling(pair.tensor)
    share = np.maximum(peak / max(float(peak.max()), TINY), 1 / LARGEST_SCALE)
    scale = np.maximum(1 / (HEADROOM * share), 1.0)
    if not _is_depthwise(pair.second):
        balanced = np.sqrt(_reading(pair.second) / share)
        scale = np.minimum(balanced / (balanced * share).max(), scale)
    scale = np.minimum(scale, np.maximum(ceiling / HEADROOM / np.maximum(peak, TINY), 1.0))
    scale[(peak == 0) | (peak >= ceiling)] = 1.0
    return scale


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


def _keeps_zero(node: ir.Node) -> bool:
    """Relu, or a Clip from 0 upwards: what passes may be scaled up as far as the largest."""
    if node.op_type == "Relu":
        return True
    if node.op_type != "Clip" or len(node.inputs) < 2:
        return False
    lowest = small(node.inputs[1])
    return lowest is not None and float(lowest) == 0.0


def _is_depthwise(conv: ir.Node) -> bool:
    weights = constant(conv.inputs[1])
    return weights is not None and extents(weights)[1] == 1

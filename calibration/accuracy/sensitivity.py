"""Sensitivity analysis: rank the nodes by the noise that quantizing them adds to the scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.accuracy.macs import count_macs
from kexport.calibration.accuracy.noise_propagation import (
    Quantizers,
    outputs_of_variants,
    producers,
)
from kexport.calibration.execution.rows import Inputs
from kexport.calibration.execution.session import batches_of
from kexport.calibration.execution.subgraph import constant_array
from kexport.calibration.progress import CountProgress
from kexport.calibration.quantizer.placement import Placement
from kexport.calibration.quantizer.qparams import QuantizedWeights
from kexport.calibration.quantizer.scheme import Scheme
from kexport.calibration.statistics.ranges import Range
from kexport.graph.edit import required


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """Nodes that return to float together: a layer, or neighbouring elementwise nodes."""

    nodes: frozenset[str]
    elementwise: bool
    """Whether the group costs only latency in float (negligible MACs)."""
    sensitivity: float
    """Variance of the noise in the scores when only these nodes are quantized."""
    cost: int
    """The number of elements that elementwise nodes compute; the MACs of a layer."""


def rank_by_sensitivity(
    model: ir.Model,
    scheme: Scheme,
    ranges: Mapping[str, Range],
    weights: Mapping[str, QuantizedWeights],
    images: Inputs,
    rows: Callable[[Array], Array],
    progress: CountProgress,
) -> list[NodeGroup]:
    """List the groups of nodes with any sensitivity, in the order in which to leave them in float.

    Elementwise nodes have at most one MAC for each element of their output: sums, products, a
    swish, averages, and a batch normalization that no convolution absorbed. Those that read each
    other's outputs form one group, because a sum in float gains little while the next node rounds
    its output again. They come first: running them in float costs latency, but does not reduce the
    share of int8 MACs. Layers with weights follow. Within each kind, the largest ratio of
    sensitivity to cost comes first.

    The sensitivity of a group is measured with nothing quantized except its inputs, its outputs and
    its weights. It is the variance of the resulting noise in the scores, because bias correction
    removes the mean (per-layer sensitivity as in Nagel et al., "A White Paper on Neural Network
    Quantization", 2021, section 3.6). A noisy tensor so makes both its producer and its readers
    sensitive; they return to float together, and only then is the tensor unquantized.

    Args:
        model: the float32 model.
        scheme: the quantization scheme.
        ranges: the ranges of the tensors that the scheme quantizes.
        weights: weights that are already quantized, by node name.
        images: the samples.
        rows: converts the first output into rows of scores.
        progress: called with the nodes done and in total.
    """
    whole = scheme.place(model, frozenset())
    elementwise = _elementwise_groups(model, whole)
    layers = [
        frozenset({node.name or ""})
        for node in model.graph
        if node.name in whole.weights.difference(*elementwise) and count_macs(node)
    ]
    groups = [*elementwise, *layers]
    quantizers = Quantizers(
        whole,
        scheme.unified_qparams(model, whole, ranges),
        _weights_of(scheme.quantize(model, ranges, frozenset(), weights), whole),
    )
    batches = batches_of(model, images, free=True)
    outputs = outputs_of_variants(model, quantizers, groups, batches, progress)
    reference, *others = (
        rows(np.concatenate(parts)[: len(images)]).astype(np.float64) for parts in outputs
    )
    found = []
    for nodes, scores in zip(groups, others, strict=True):
        sensitivity = float(np.mean(np.var(scores - reference, axis=0)))
        light = nodes in elementwise
        chosen = [node for node in model.graph if node.name in nodes]
        cost = sum(_output_elements(node) if light else count_macs(node) for node in chosen)
        found.append(NodeGroup(nodes, light, sensitivity, max(cost, 1)))
    found.sort(key=lambda group: (not group.elementwise, -group.sensitivity / group.cost))
    return [group for group in found if group.sensitivity > 0]


def _weights_of(quantized: ir.Model, whole: Placement) -> dict[str, Array]:
    """Compute the values of the int8 weights of a quantized model, by node name."""
    return {
        node.name or "": constant_array(quantized.graph, required(node, 1))
        for node in quantized.graph
        if node.name in whole.weights
    }


def _elementwise_groups(model: ir.Model, whole: Placement) -> list[frozenset[str]]:
    """Group each elementwise node with the elementwise nodes whose outputs it reads."""
    unified = {name: group for group in whole.unified for name in group}
    groups: dict[str, set[str]] = {}
    for node in model.graph:
        if node.name not in whole.nodes or not _is_elementwise(node, unified):
            continue
        before = (name for value in node.inputs for name in producers(value))
        group = {node.name}.union(*(groups.get(name, set()) for name in before))
        groups.update(dict.fromkeys(group, group))
    return [frozenset(group) for group in {id(group): group for group in groups.values()}.values()]


def _is_elementwise(node: ir.Node, unified: Mapping[str, frozenset[str]]) -> bool:
    """Return whether a node rounds its output, and has at most one MAC for each element of it.

    A node that only selects or moves elements keeps the quantization parameters of its input.
    """
    moves = any(
        value is not None and node.outputs[0].name in unified.get(value.name or "", ())
        for value in node.inputs
    )
    return not moves and count_macs(node) <= _output_elements(node)


def _output_elements(node: ir.Node) -> int:
    sizes = list(node.outputs[0].shape or ())[1:]
    return math.prod(size for size in sizes if isinstance(size, int))

"""What may go back to float, what that buys, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.accuracy.macs import multiply_adds
from kexport.calibration.progress import Progress
from kexport.calibration.quantizer.placement import Placement
from kexport.calibration.quantizer.qparams import QuantizedWeights
from kexport.calibration.quantizer.scheme import Place, Scheme
from kexport.calibration.statistics.ranges import Range


@dataclass(frozen=True, slots=True)
class Island:
    """Nodes that go back to float together: one with weights, or light ones that are neighbours."""

    nodes: frozenset[str]
    light: bool
    """Whether they cost time, and no multiply-adds that are worth naming."""
    gain: float
    """The variance of the scores' noise when only what is around `nodes` is quantised."""
    cost: int
    """The numbers that they make, where they are light, and else their multiply-adds."""


def by_worth(
    model: ir.Model,
    scheme: Scheme,
    ranges: Mapping[str, Range],
    rounded: Mapping[str, QuantizedWeights],
    scores: Callable[[ir.Model], Array],
    progress: Progress,
) -> list[Island]:
    """Every island that gains anything, in the order in which they are to be taken.

    Light nodes have at most one multiply-add for each number that they make: sums, products, a
    swish, averages, and a batch normalisation that stands alone. Those that read each other's
    results are one island, since a sum in float buys little while the next node rounds again. They
    come first, since they cost no more than time; then nodes with weights. Within either, first
    what gains most for its cost.

    Of each island what it reads and makes is quantised, and its weights, and nothing else; the
    variance of the noise that this makes in the scores is its gain, since biases take back what
    moves on average (per-layer sensitivity, as in Nagel et al., "A White Paper on Neural Network
    Quantization", 2021, section 3.6). Neighbours whose tensors are noisy so go to float together,
    which alone frees what is between them.

    Args:
        model: the float32 model.
        scheme: the form of INT8.
        ranges: those of the tensors that the scheme asks for.
        rounded: weights that are integers already, by the node's name.
        scores: runs a model, and gives rows of numbers.
        progress: called after each island.
    """
    whole = scheme.place(model, frozenset())
    light = _light_groups(model, whole)
    heavy = [
        frozenset({node.name or ""})
        for node in model.graph
        if node.name in whole.weights.difference(*light) and multiply_adds(node)
    ]
    exact = scores(model).astype(np.float64)
    found = []
    for done, nodes in enumerate([*light, *heavy], 1):
        placement = _around(model, whole, nodes)
        alone = replace(scheme, place=_always(placement))
        moved = scores(alone.quantize(model, ranges, frozenset(), rounded)) - exact
        gain = float(np.mean(np.var(moved, axis=0)))
        chosen = [node for node in model.graph if node.name in nodes]
        cost = sum(_numbers(node) if nodes in light else multiply_adds(node) for node in chosen)
        found.append(Island(nodes, nodes in light, gain, max(cost, 1)))
        progress(done, len(light) + len(heavy))
    found.sort(key=lambda island: (not island.light, -island.gain / island.cost))
    return [island for island in found if island.gain > 0]


def _light_groups(model: ir.Model, whole: Placement) -> list[frozenset[str]]:
    """The light nodes, each with the light ones whose results it reads, and so on."""
    grids = {name: group for group in whole.tied for name in group}
    groups: dict[str, set[str]] = {}
    for node in model.graph:
        if node.name not in whole.nodes or not _is_light(node, grids):
            continue
        makers = (maker for value in node.inputs for maker in _makers(value))
        group = {node.name}.union(*(groups.get(maker, set()) for maker in makers))
        groups.update(dict.fromkeys(group, group))
    return [frozenset(group) for group in {id(group): group for group in groups.values()}.values()]


def _is_light(node: ir.Node, grids: Mapping[str, frozenset[str]]) -> bool:
    """Whether a node rounds, and computes no more than a number at a time.

    One that only chooses or moves numbers leaves them on the grid of its input.
    """
    moving = any(
        value is not None and node.outputs[0].name in grids.get(value.name or "", ())
        for value in node.inputs
    )
    return not moving and multiply_adds(node) <= _numbers(node)


def _makers(value: ir.Value | None) -> Iterator[str]:
    """The node that makes a tensor, and those before it that an activation or a move stands for."""
    maker = None if value is None else value.producer()
    while maker is not None:
        yield maker.name or ""
        before = maker.inputs[0] if maker.op_type in _THROUGH else None
        maker = None if before is None else before.producer()


_THROUGH = frozenset({"Clip", "Flatten", "MaxPool", "Relu", "Reshape", "Transpose"})


def _around(model: ir.Model, whole: Placement, nodes: frozenset[str]) -> Placement:
    """What `nodes` read and make, and their weights, quantised."""
    edges = frozenset(
        (node.name or "", index)
        for node in model.graph
        for index, value in enumerate(node.inputs)
        if node.name in nodes or not nodes.isdisjoint(_makers(value))
    )
    return Placement(nodes, whole.edges & edges, whole.tied, whole.weights & nodes)


def _always(placement: Placement) -> Place:
    def place(model: ir.Model, floats: frozenset[str]) -> Placement:
        return placement

    return place


def _numbers(node: ir.Node) -> int:
    sizes = list(node.outputs[0].shape or ())[1:]
    return math.prod(size for size in sizes if isinstance(size, int))

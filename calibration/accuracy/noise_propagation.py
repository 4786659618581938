"""Propagation of quantization noise: one run of a graph for many choices of quantized nodes."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.rows import BatchesByInput, by_value
from kexport.calibration.execution.subgraph import (
    constant_array,
    constant_values,
    external_inputs,
    run_subgraph,
)
from kexport.calibration.execution.tensor_file import TensorFile
from kexport.calibration.progress import CountProgress
from kexport.calibration.quantizer.placement import Placement
from kexport.calibration.quantizer.qparams import QParams, dequantize_array, quantize_array

FLOAT = -1
"""The variant of a graph in which nothing is quantized."""

Variants = dict[int, Sequence[Array]]
"""The batches of a tensor in each variant; what is missing is as in `FLOAT`."""


@dataclass(frozen=True, slots=True)
class Quantizers:
    """What quantization does to the tensors of a graph."""

    placement: Placement
    qparams: Mapping[str, QParams]
    """The parameters of each tensor on an edge of the placement, by name."""
    weights: Mapping[str, Array]
    """The values that the int8 weights of each node represent, by node name."""


def outputs_of_variants(
    model: ir.Model,
    quantizers: Quantizers,
    groups: Sequence[Collection[str]],
    batches: BatchesByInput,
    progress: CountProgress,
) -> list[list[Array]]:
    """Compute the first output in float, and with each group of nodes alone quantized.

    Quantizing a group means its inputs, its weights, and its outputs for all their readers. The
    graph runs once, from one quantized node to the next. A variant takes part from the first tensor
    in which it differs, so that the wide layers at the start of a graph run for few variants.
    Tensors are in files until their last reader has run.

    Args:
        model: the float32 model.
        quantizers: the quantizers of the whole model.
        groups: names of nodes; no node is in two groups.
        batches: the inputs.
        progress: called after each part of the graph, with the nodes done and in total.

    Returns:
        The batches of the output in float, and then those of each group.
    """
    run = _Run(model, quantizers, groups, batches)
    parts, done = list(_parts(model.graph, quantizers.placement)), 0
    readers = {value: len(value.uses()) for node in model.graph for value in node.outputs}
    for nodes in parts:
        run.advance(nodes)
        done += len(nodes)
        progress(done, sum(map(len, parts)))
        for value in (value for node in nodes for value in node.inputs if value is not None):
            readers[value] = readers.get(value, 0) - 1
            if readers[value] == 0 and not value.is_graph_output():
                run.held.pop(value, None)
    found = run.held[model.graph.outputs[0]]
    return [list(found.get(variant, found[FLOAT])) for variant in (FLOAT, *range(len(groups)))]


def producers(value: ir.Value | None) -> Iterator[str]:
    """Yield the producer of a tensor, and those before it as long as they only pass values on."""
    producer = None if value is None else value.producer()
    while producer is not None:
        yield producer.name or ""
        source = producer.inputs[0] if producer.op_type in _PASS_THROUGH else None
        producer = None if source is None else source.producer()


_PASS_THROUGH = frozenset({"Clip", "Flatten", "MaxPool", "Relu", "Reshape", "Transpose"})
"""Activations and operators that only move elements, before which a tensor was computed."""


def _parts(graph: ir.Graph, placement: Placement) -> Iterator[list[ir.Node]]:
    """Split the nodes of a graph that are not constant, so that only the first reads quantized.

    No other node of a part reads a tensor that the first one reads quantized.
    """
    fixed, nodes, taken = constant_values(graph), list[ir.Node](), set[ir.Value]()
    for node in graph:
        if fixed.issuperset(node.outputs):
            continue
        edges = {
            value
            for index, value in enumerate(node.inputs)
            if value is not None and (node.name or "", index) in placement.edges
        }
        if nodes and (edges or not taken.isdisjoint(node.inputs)):
            yield nodes
            nodes = []
        taken = taken if nodes else edges
        nodes.append(node)
    if nodes:
        yield nodes


class _Run:
    """The tensors of all variants at some point of the graph."""

    def __init__(
        self,
        model: ir.Model,
        quantizers: Quantizers,
        groups: Sequence[Collection[str]],
        batches: BatchesByInput,
    ) -> None:
        given = by_value(model.graph, batches)
        self._graph, self._fixed = model.graph, constant_values(model.graph)
        self._quantizers, self._count = quantizers, len(next(iter(given.values())))
        self._variant_of = {name: index for index, group in enumerate(groups) for name in group}
        self.held: dict[ir.Value, Variants] = {value: {FLOAT: own} for value, own in given.items()}

    def advance(self, nodes: Sequence[ir.Node]) -> None:
        """Run a part of the graph for all variants that differ before or in it."""
        inside = set(nodes)
        later = [
            value
            for node in nodes
            for value in node.outputs
            if value.is_graph_output() or any(use.node not in inside for use in value.uses())
        ]
        moving = [value for value in external_inputs(nodes) if value not in self._fixed]
        quantized = self._quantized_inputs(nodes[0])
        own, constants = self._quantized_constants(nodes[0])
        differing = {variant for value in moving for variant in self.held.get(value, {})}
        shared = sorted({FLOAT, *differing, *quantized} - ({own} if constants else set()))
        for variants, changed in ((shared, {}), ([own] if constants else [], constants)):
            if variants and later:
                self._run(nodes, later, moving, variants, quantized, changed)

    def _run(
        self,
        nodes: Sequence[ir.Node],
        later: Sequence[ir.Value],
        moving: Sequence[ir.Value],
        variants: Sequence[int],
        quantized: Mapping[int, set[ir.Value]],
        changed: Mapping[ir.Value, Array],
    ) -> None:
        """Run a part in one session, and keep what later nodes read."""
        constants = [value for value in external_inputs(nodes) if value in self._fixed]
        fixed = {
            v: changed[v] if v in changed else constant_array(self._graph, v) for v in constants
        }
        order = list(itertools.product(variants, range(self._count)))
        feeds = (
            {value: self._read(value, variant, index, quantized) for value in moving}
            for variant, index in order
        )
        kept = {variant: [TensorFile() for _ in later] for variant in variants}
        made = run_subgraph(self._graph, nodes, later, feeds, fixed)
        for (variant, _), arrays in zip(order, made, strict=True):
            for file, array in zip(kept[variant], arrays, strict=True):
                file.append(array)
        for variant, files in kept.items():
            for value, file in zip(later, files, strict=True):
                self.held.setdefault(value, {})[variant] = file

    def _read(
        self, value: ir.Value, variant: int, index: int, quantized: Mapping[int, set[ir.Value]]
    ) -> Array:
        found = self.held[value]
        array: Array = found.get(variant, found[FLOAT])[index]
        return self._rounded(value, array) if value in quantized.get(variant, ()) else array

    def _rounded(self, value: ir.Value, array: Array) -> Array:
        qparams = self._quantizers.qparams[value.name or ""]
        return dequantize_array(quantize_array(array, qparams), qparams)

    def _quantized_inputs(self, node: ir.Node) -> dict[int, set[ir.Value]]:
        """Find the inputs of a node that each variant quantizes."""
        found = defaultdict[int, set[ir.Value]](set)
        for value in self._on_edges(node):
            for name in (node.name or "", *producers(value)):
                if value not in self._fixed and name in self._variant_of:
                    found[self._variant_of[name]].add(value)
        return found

    def _quantized_constants(self, node: ir.Node) -> tuple[int, dict[ir.Value, Array]]:
        """Compute the constant inputs of a node in the variant that quantizes it."""
        name = node.name or ""
        variant = self._variant_of.get(name, FLOAT)
        if variant == FLOAT:
            return FLOAT, {}
        found = {
            value: self._rounded(value, constant_array(self._graph, value))
            for value in self._on_edges(node)
            if value in self._fixed
        }
        weights, value = self._quantizers.weights.get(name), node.inputs[1:2]
        if weights is not None and value and value[0] is not None:
            found[value[0]] = weights
        return variant, found

    def _on_edges(self, node: ir.Node) -> list[ir.Value]:
        edges = self._quantizers.placement.edges
        return [
            value
            for index, value in enumerate(node.inputs)
            if value is not None and (node.name or "", index) in edges
        ]

"""Layerwise execution: run a graph layer by layer, and change layers and tensors on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from kexport.arrays import Array
from kexport.calibration.execution.subgraph import (
    constant_values,
    external_inputs,
    external_outputs,
    run_subgraph,
)
from kexport.calibration.execution.tensor_file import TensorFile
from kexport.graph.edit import constant

IsLayer = Callable[[ir.Node], bool]
BeforeLayer = Callable[[ir.Node, list[Sequence[Array]]], None]
"""Called before a layer runs, with its inputs: the batches of each tensor, or the only array of a
constant one. The items of the list may be replaced."""


class Layer:
    """A node of one output, which is computed batch by batch during iteration."""

    def __init__(self, node: ir.Node, batches: Iterator[list[Array]]) -> None:
        self.node = node
        self.addend: Array | None = None
        """Added to the channels of the output [C] before others read it; may be set."""
        self._batches, self._outputs = batches, TensorFile()

    def __iter__(self) -> Iterator[Array]:
        for (output,) in self._batches:
            self._outputs.append(output)
            yield output

    def result(self) -> TensorFile:
        """Return the output of all batches, without the addend."""
        for _ in self:
            pass
        return self._outputs


class LayerwiseRun:
    """One run over a graph, whose tensors are kept in files until their last reader has run.

    The nodes between two layers run together without fusion, so that a quantized graph computes
    exactly what its QDQ pairs specify, whatever kernels the engine has. Memory is that of one batch
    around a layer, and of the weights of that layer.
    """

    def __init__(self, model: ir.Model, batches: Sequence[Array]) -> None:
        (given,) = model.graph.inputs
        self._graph, self._fixed = model.graph, constant_values(model.graph)
        self._held: dict[ir.Value, Sequence[Array]] = {given: batches}
        self._addends: dict[ir.Value, Array | None] = {}
        self._readers = {
            value: len(value.uses()) for node in model.graph for value in node.outputs
        } | {given: len(given.uses())}

    def layers(self, is_layer: IsLayer, before: BeforeLayer | None = None) -> Iterator[Layer]:
        """Run the graph from layer to layer.

        Args:
            is_layer: whether a node of one output is a layer.
            before: called before a layer runs.
        """
        between: list[ir.Node] = []
        for node in self._graph:
            if not is_layer(node):
                between += [] if self._fixed.issuperset(node.outputs) else [node]
                continue
            self._run_between(between)
            between = []
            values = [value for value in node.inputs if value is not None]
            read = [self._read(value) for value in values]
            if before is not None:
                before(node, read)
            constants = {
                value: parts[0]
                for value, parts in zip(values, read, strict=True)
                if value in self._fixed
            }
            layer = Layer(node, self._run([node], list(node.outputs), constants))
            yield layer
            (value,) = node.outputs
            self._held[value], self._addends[value] = layer.result(), layer.addend
            self._release([node])

    def _run_between(self, nodes: list[ir.Node]) -> None:
        """Run the nodes between two layers, and keep the tensors that later nodes read."""
        later = external_outputs(nodes)
        if later:
            kept = [TensorFile() for _ in later]
            for made in self._run(nodes, later, {}):
                for parts, array in zip(kept, made, strict=True):
                    parts.append(array)
            self._held.update(zip(later, kept, strict=True))
        self._release(nodes)

    def _run(
        self, nodes: Sequence[ir.Node], outputs: Sequence[ir.Value], constants: Mapping[Any, Array]
    ) -> Iterator[list[Array]]:
        """Compute the outputs of some nodes, batch by batch."""
        read = external_inputs(nodes)
        known = {value: constants.get(value) for value in read if value in self._fixed}
        fixed = {v: self._constant(v) if array is None else array for v, array in known.items()}
        moving = [value for value in read if value not in self._fixed]
        count = max((len(self._held[value]) for value in moving), default=1)
        feeds = ({value: self._batch(value, index) for value in moving} for index in range(count))
        optimised = len(nodes) == 1
        return run_subgraph(self._graph, nodes, outputs, feeds, fixed, optimised=optimised)

    def _batch(self, value: ir.Value, index: int) -> Array:
        found, addend = self._held[value][index], self._addends.get(value)
        if addend is None:
            return found
        return np.asarray(found + addend.astype(found.dtype).reshape(-1, *[1] * (found.ndim - 2)))

    def _read(self, value: ir.Value) -> Sequence[Array]:
        if value in self._fixed:
            return [self._constant(value)]
        return self._held[value]

    def _constant(self, value: ir.Value) -> Array:
        """Return a value that is the same for all images, computed from constants if needed."""
        held, node = constant(value), value.producer()
        if held is not None:
            return np.asarray(held.numpy())
        if node is None:
            raise ValueError(f"{value.name} is neither constant nor computed")
        feeds = {each.name or "": self._constant(each) for each in node.inputs if each is not None}
        evaluator = ReferenceEvaluator(ir.to_proto(node), opsets=dict(self._graph.opset_imports))
        (found,) = evaluator.run([value.name or ""], feeds)
        return np.asarray(found)

    def _release(self, nodes: Sequence[ir.Node]) -> None:
        for node in nodes:
            for value in [*node.inputs, *node.outputs]:
                if value in self._readers:
                    self._readers[value] -= sum(1 for v in node.inputs if v is value)
                    if self._readers[value] <= 0:
                        self._held.pop(value, None)
                        self._addends.pop(value, None)

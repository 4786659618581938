"""Layerwise execution: run a graph layer by layer, and change layers and tensors on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.rows import BatchesByInput, by_value
from kexport.calibration.execution.subgraph import (
    by_name,
    constant_array,
    constant_values,
    external_inputs,
    external_outputs,
    open_subgraph,
    run_subgraph,
)
from kexport.calibration.execution.tensor_file import TensorFile

IsLayer = Callable[[ir.Node], bool]


class Layer:
    """A node of one output that a run has reached and not yet computed."""

    def __init__(
        self, graph: ir.Graph, node: ir.Node, inputs: list[Sequence[Array]], fixed: set[ir.Value]
    ) -> None:
        self.node, self.inputs = node, inputs
        """The batches of each input, or the only array of a constant one; constants may be
        replaced before the run goes on."""
        self.addend: Array | None = None
        """Added to the bias [C] of the layer when the run goes on; may be set."""
        self._graph, self._fixed = graph, fixed

    def constants(self) -> dict[ir.Value, Array]:
        """Return the constant inputs, with their replacements."""
        return {
            value: parts[0]
            for value, parts in zip(self._values, self.inputs, strict=True)
            if value in self._fixed
        }

    def moving(self) -> list[Sequence[Array]]:
        """Return the batches of each input that is not constant."""
        return [
            parts
            for value, parts in zip(self._values, self.inputs, strict=True)
            if value not in self._fixed
        ]

    def bias(self) -> dict[ir.Node, Array]:
        """Return the bias with the addend, by the node; empty without an addend."""
        if self.addend is None:
            return {}
        kept, weights = self.inputs[2:3], self.inputs[1][0]
        bias = self.addend if not kept else kept[0][0].astype(np.float64) + self.addend
        return {self.node: np.asarray(bias, weights.dtype)}

    def outputs(self, *feeds: Sequence[Array]) -> list[Array]:
        """Compute the output without the addend from arrays of the inputs that are not constant."""
        moving = [value for value in self._values if value not in self._fixed]
        given = [dict(zip(moving, arrays, strict=True)) for arrays in feeds]
        (result,) = self.node.outputs
        fixed = self.constants()
        session = open_subgraph(self._graph, [self.node], [result], given[0], fixed)
        return [session.run([result.name], by_name(feed))[0] for feed in given]

    @property
    def _values(self) -> list[ir.Value]:
        return [value for value in self.node.inputs if value is not None]


class LayerwiseRun:
    """One run over a graph, whose tensors are kept in files until their last reader has run.

    A layer runs together with the nodes before the next one, in one session that leaves QDQ pairs
    as they are, so that a quantized graph computes exactly what they specify, whatever kernels the
    engine has. Memory is that of one batch around a layer, and of the weights of that layer.
    """

    def __init__(self, model: ir.Model, batches: BatchesByInput) -> None:
        self._graph, self._fixed = model.graph, constant_values(model.graph)
        self._held = by_value(model.graph, batches)
        self._readers = {
            value: len(value.uses()) for node in model.graph for value in node.outputs
        } | {given: len(given.uses()) for given in model.graph.inputs}

    def layers(self, is_layer: IsLayer) -> Iterator[Layer]:
        """Run the graph up to each layer in turn; what only follows the last one is not run.

        Args:
            is_layer: whether a node of one output is a layer.
        """
        nodes: list[ir.Node] = []
        layer: Layer | None = None
        for node in self._graph:
            if is_layer(node):
                self._run(nodes, layer)
                inputs = [self._read(value) for value in node.inputs if value is not None]
                layer, nodes = Layer(self._graph, node, inputs, self._fixed), [node]
                yield layer
            elif not self._fixed.issuperset(node.outputs):
                nodes.append(node)

    def _run(self, nodes: Sequence[ir.Node], layer: Layer | None) -> None:
        """Run a layer and the nodes after it, and keep the tensors that later nodes read."""
        later = external_outputs(nodes)
        replaced = {} if layer is None else layer.constants()
        read = external_inputs(nodes)
        constants = [value for value in read if value in self._fixed]
        fixed = {
            v: replaced[v] if v in replaced else constant_array(self._graph, v) for v in constants
        }
        moving = [value for value in read if value not in self._fixed]
        count = max((len(self._held[value]) for value in moving), default=1)
        feeds = ({value: self._held[value][index] for value in moving} for index in range(count))
        biases = {} if layer is None else layer.bias()
        kept = [TensorFile() for _ in later]
        if later:
            for made in run_subgraph(self._graph, nodes, later, feeds, fixed, biases):
                for parts, array in zip(kept, made, strict=True):
                    parts.append(array)
        self._held.update(zip(later, kept, strict=True))
        self._release(nodes)

    def _read(self, value: ir.Value) -> Sequence[Array]:
        if value in self._fixed:
            return [constant_array(self._graph, value)]
        return self._held[value]

    def _release(self, nodes: Sequence[ir.Node]) -> None:
        for node in nodes:
            for value in [*node.inputs, *node.outputs]:
                if value in self._readers:
                    self._readers[value] -= sum(1 for v in node.inputs if v is value)
                    if self._readers[value] <= 0:
                        self._held.pop(value, None)

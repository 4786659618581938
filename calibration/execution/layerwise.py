"""Runs a graph layer by layer, so that what one gave can be changed before the next reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from kexport.arrays import Array
from kexport.calibration.execution.subgraph import entering, fixed_values, leaving, run_part
from kexport.calibration.execution.tensor_file import TensorFile
from kexport.graph.edit import constant

Stop = Callable[[ir.Node], bool]
Change = Callable[[ir.Node, list[Sequence[Array]]], None]
"""Told of a layer and of what it reads, each a tensor batch by batch, or the only array of one that
is the same for all images, which may be replaced."""


class Layer:
    """A node that was stopped at. Its output is made batch by batch, as it is read."""

    def __init__(self, node: ir.Node, batches: Iterator[list[Array]]) -> None:
        self.node = node
        self.addend: Array | None = None
        """What is added to each channel of its output [C] before others read it; may be set."""
        self._batches, self._made = batches, TensorFile()

    def __iter__(self) -> Iterator[Array]:
        for (output,) in self._batches:
            self._made.append(output)
            yield output

    def result(self) -> TensorFile:
        """The output as it was made, of all batches."""
        for _ in self:
            pass
        return self._made


class LayerwiseRun:
    """One graph and the tensors on its way, each kept in a file until its last reader has run.

    The nodes between two layers run together, and none of them is fused with another, so that a
    quantised graph gives what its integers stand for, whatever kernels the engine has. Memory is
    that of a batch around one layer, and of that layer's weights.
    """

    def __init__(self, model: ir.Model, batches: Sequence[Array]) -> None:
        (given,) = model.graph.inputs
        self._graph, self._fixed = model.graph, fixed_values(model.graph)
        self._held: dict[ir.Value, Sequence[Array]] = {given: batches}
        self._addends: dict[ir.Value, Array | None] = {}
        self._readers = {
            value: len(value.uses()) for node in model.graph for value in node.outputs
        } | {given: len(given.uses())}

    def layers(self, stop: Stop, change: Change | None = None) -> Iterator[Layer]:
        """Run on from layer to layer; those are the nodes for which `stop` holds, of one output.

        Before a layer runs, `change` is called with it and with what it reads.
        """
        between: list[ir.Node] = []
        for node in self._graph:
            if not stop(node):
                between += [] if self._fixed.issuperset(node.outputs) else [node]
                continue
            self._pass(between)
            between = []
            values = [value for value in node.inputs if value is not None]
            read = [self._read(value) for value in values]
            if change is not None:
                change(node, read)
            constants = {
                value: parts[0]
                for value, parts in zip(values, read, strict=True)
                if value in self._fixed
            }
            layer = Layer(node, self._run([node], list(node.outputs), constants))
            yield layer
            (value,) = node.outputs
            self._held[value], self._addends[value] = layer.result(), layer.addend
            self._let_go([node])

    def _pass(self, nodes: list[ir.Node]) -> None:
        """Run what stands between two layers, and keep what later nodes read."""
        later = leaving(nodes)
        if later:
            kept = [TensorFile() for _ in later]
            for made in self._run(nodes, later, {}):
                for parts, array in zip(kept, made, strict=True):
                    parts.append(array)
            self._held.update(zip(later, kept, strict=True))
        self._let_go(nodes)

    def _run(
        self, nodes: Sequence[ir.Node], outputs: Sequence[ir.Value], constants: Mapping[Any, Array]
    ) -> Iterator[list[Array]]:
        """The outputs of some nodes, batch by batch."""
        read = entering(nodes)
        known = {value: constants.get(value) for value in read if value in self._fixed}
        fixed = {v: self._numbers(v) if array is None else array for v, array in known.items()}
        moving = [value for value in read if value not in self._fixed]
        count = max((len(self._held[value]) for value in moving), default=1)
        feeds = ({value: self._batch(value, index) for value in moving} for index in range(count))
        optimised = len(nodes) == 1
        return run_part(self._graph, nodes, outputs, feeds, fixed, optimised=optimised)

    def _batch(self, value: ir.Value, index: int) -> Array:
        found, addend = self._held[value][index], self._addends.get(value)
        if addend is None:
            return found
        return np.asarray(found + addend.astype(found.dtype).reshape(-1, *[1] * (found.ndim - 2)))

    def _read(self, value: ir.Value) -> Sequence[Array]:
        if value in self._fixed:
            return [self._numbers(value)]
        return self._held[value]

    def _numbers(self, value: ir.Value) -> Array:
        """A value that is the same for all images, computed where it is no constant."""
        held, node = constant(value), value.producer()
        if held is not None:
            return np.asarray(held.numpy())
        if node is None:
            raise ValueError(f"{value.name} is neither constant nor computed")
        feeds = {each.name or "": self._numbers(each) for each in node.inputs if each is not None}
        evaluator = ReferenceEvaluator(ir.to_proto(node), opsets=dict(self._graph.opset_imports))
        (found,) = evaluator.run([value.name or ""], feeds)
        return np.asarray(found)

    def _let_go(self, nodes: Sequence[ir.Node]) -> None:
        for node in nodes:
            for value in [*node.inputs, *node.outputs]:
                if value in self._readers:
                    self._readers[value] -= sum(1 for v in node.inputs if v is value)
                    if self._readers[value] <= 0:
                        self._held.pop(value, None)
                        self._addends.pop(value, None)

"""Emits the nodes between an input and what read it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.graph.edit import numbers
from kexport.graph.names import free_name
from kexport.graph.shapes import infer_outputs


class Emitter:
    """Calls of it emit nodes before `node`, named after it."""

    def __init__(self, graph: ir.Graph, node: ir.Node) -> None:
        self._graph = graph
        self._node = node
        self._count = 0

    def __call__(self, op_type: str, *inputs: ir.Value, **attributes: Any) -> ir.Value:
        """Emit one node; its result has the dtype of its first input."""
        self._count += 1
        name = f"{self._node.name}.{self._count}.{op_type}"
        node = ir.node(op_type, inputs, attributes, name=name)
        result = node.outputs[0]
        result.name, result.type = name, inputs[0].type
        self._graph.insert_before(self._node, node)
        return result

    def number(self, value: float, like: ir.Value) -> ir.Value:
        """A scalar constant of the dtype of `like`."""
        dtype = (like.dtype or ir.DataType.FLOAT).numpy()
        return numbers(self._graph, f"{self._node.name}.constant", np.asarray(value, dtype))

    def input(self, node: ir.Node, index: int) -> ir.Value:
        """An input that must be there."""
        value = node.inputs[index]
        if value is None:
            raise ValueError(f"input {index} of {node.name} is missing")
        return value


class Steps:
    """Nodes for the beginning of a graph, in the order in which they are emitted.

    Names begin with "image/". `insert` puts them before all others.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._opset = graph.opset_imports[""]
        self._names: set[str] = set()
        self.nodes: list[ir.Node] = []

    def __call__(
        self, name: str, op_type: str, *inputs: ir.Value | None, **attributes: Any
    ) -> ir.Value:
        """Emit one node; its result has the dtype and shape that ONNX infers."""
        name = self._free(f"image/{name}")
        node = ir.node(op_type, inputs, attributes, name=name)
        node.outputs[0].name = name
        infer_outputs(node, self._opset)
        self.nodes.append(node)
        return node.outputs[0]

    def constant(self, name: str, array: Any, dtype: Any) -> ir.Value:
        """A constant."""
        return numbers(self._graph, self._free(f"image/{name}"), np.asarray(array, dtype))

    def cast(self, name: str, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        """`value` in another dtype; itself where it has that."""
        return value if value.dtype == dtype else self(name, "Cast", value, to=dtype.value)

    def whole(self, op_type: str, x: ir.Value, number: int) -> ir.Value:
        """`op_type` on positions, int64, and one number."""
        operand = self.constant("positions/number", [number], np.int64)
        return self(f"positions/{op_type}", op_type, x, operand)

    def extent(self, x: ir.Value, axis: int) -> ir.Value:
        """How long an axis is, int64 [1]."""
        known = (x.shape or ())[axis]
        if isinstance(known, int):
            return self.constant("positions/extent", [known], np.int64)
        sizes = self("positions/Shape", "Shape", x)
        at = self.constant("positions/axis", [axis], np.int64)
        return self("positions/extent", "Gather", sizes, at)

    def insert(self) -> None:
        """Put the nodes before all others of the graph."""
        first = next(iter(self._graph), None)
        if first is None:
            self._graph.extend(self.nodes)
        else:
            self._graph.insert_before(first, self.nodes)

    def _free(self, wanted: str) -> str:
        name = free_name(wanted, self._names)
        self._names.add(name)
        return name

"""Emits several nodes in place of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.passes.edit import numbers


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

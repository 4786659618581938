"""Emission of nodes into one place of a graph, named and typed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import onnx_ir as ir

from kexport.graph.edit import numbers
from kexport.graph.names import free_name
from kexport.graph.roles import Role, role_of, set_role
from kexport.graph.shapes import infer_outputs


@dataclass(frozen=True, slots=True)
class Emitter:
    """Emits nodes before `place`; a call emits one.

    Each result has the dtype and shape that ONNX infers at `opset`. `name` makes a name for a node
    or a constant from its leaf, and all nodes get `role`.
    """

    graph: ir.Graph
    place: ir.Node | None
    """The node before which the new nodes go; None for the end of the graph."""
    opset: int
    name: Callable[[str, bool], str]
    """Leaf, and whether it names a node (or else a constant) -> name."""
    role: Role | None = None

    @classmethod
    def before(cls, graph: ir.Graph, node: ir.Node, opset: int | None = None) -> Self:
        """Return an emitter of the nodes that replace `node` or its inputs, named after it.

        They are called `<node>.<number>.<operator>`, and constants `<node>.constant`.

        Args:
            graph: the graph of `node`.
            node: the node before which the new ones go; they have its role.
            opset: the opset of the new nodes; by default that of the graph.
        """
        count = itertools.count(1)

        def name(leaf: str, is_node: bool) -> str:
            return f"{node.name}.{next(count)}.{leaf}" if is_node else f"{node.name}.{leaf}"

        return cls(graph, node, opset or graph.opset_imports[""], name, role_of(node))

    @classmethod
    def at_start(cls, graph: ir.Graph, prefix: str) -> Self:
        """Return an emitter of the first nodes of a graph, named `<prefix>/<leaf>`."""
        taken: set[str] = set()

        def name(leaf: str, is_node: bool) -> str:
            found = free_name(f"{prefix}/{leaf}", taken)
            taken.add(found)
            return found

        return cls(graph, next(iter(graph), None), graph.opset_imports[""], name)

    def part(self, prefix: str, role: Role | None = None) -> Emitter:
        """Return an emitter for the same place that puts `<prefix>/` before each leaf."""

        def name(leaf: str, is_node: bool) -> str:
            return self.name(f"{prefix}/{leaf}", is_node)

        return replace(self, name=name, role=role or self.role)

    def __call__(
        self, op_type: str, *inputs: ir.Value | None, name: str | None = None, **attributes: Any
    ) -> ir.Value:
        """Emit one node and return its output; its leaf is `name`, or else the operator."""
        name = self.name(name or op_type, True)
        node = ir.node(op_type, inputs, attributes, name=name)
        node.outputs[0].name = name
        set_role(node, self.role)
        infer_outputs(node, self.opset)
        if self.place is None:
            self.graph.append(node)
        else:
            self.graph.insert_before(self.place, node)
        return node.outputs[0]

    def constant(self, array: Any, dtype: Any, name: str = "constant") -> ir.Value:
        """Add a constant."""
        return numbers(self.graph, self.name(name, False), np.asarray(array, dtype))

    def number(self, value: float, like: ir.Value) -> ir.Value:
        """Add a scalar constant of the dtype of `like`."""
        return self.constant(value, (like.dtype or ir.DataType.FLOAT).numpy())

    def cast(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        """Emit a Cast; return `value` itself where it has that dtype already."""
        return value if value.dtype == dtype else self("Cast", value, to=dtype.value)

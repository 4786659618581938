"""Where a graph is quantised."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from kexport.graph.edit import constant


@dataclass(frozen=True, slots=True)
class Placement:
    """Which nodes read 8-bit integers, and through which tensors."""

    nodes: frozenset[str]
    """Names of the nodes that the engine computes in integers."""
    edges: frozenset[tuple[str, int]]
    """(node, index of its input) whose tensor passes through 8 bits."""
    tied: tuple[frozenset[str], ...] = ()
    """Tensors that share a grid, by name; no tensor is in two groups."""
    weights: frozenset[str] = frozenset()
    """Names of the nodes whose second input is constant and has a grid for each output channel."""

    def tensors(self, model: ir.Model) -> frozenset[str]:
        """Names of the tensors on `edges` whose values differ from image to image."""
        return frozenset(
            value.name or "" for value in self.values(model) if constant(value) is None
        )

    def values(self, model: ir.Model) -> list[ir.Value]:
        """The tensors on `edges`, constant ones too, in the graph's order."""
        found: dict[ir.Value, None] = {}
        for node in model.graph:
            for index, value in enumerate(node.inputs):
                if value is not None and (node.name or "", index) in self.edges:
                    found[value] = None
        return list(found)

"""Quantizer placement: which tensors and weights of a graph are quantized."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from kexport.graph.edit import constant


@dataclass(frozen=True, slots=True)
class Placement:
    """The nodes that compute in int8, and the quantizers of their inputs and weights."""

    nodes: frozenset[str]
    """Names of the nodes that the engine computes in int8."""
    edges: frozenset[tuple[str, int]]
    """(node, index of its input) of every quantized activation."""
    unified: tuple[frozenset[str], ...] = ()
    """Groups of tensors, by name, that share their quantization parameters ("unified scales" in
    NNCF); no tensor is in two groups."""
    weights: frozenset[str] = frozenset()
    """Names of the nodes whose second input is constant and quantized per output channel."""

    def tensors(self, model: ir.Model) -> frozenset[str]:
        """Return the names of the quantized activations, without constant ones."""
        return frozenset(
            value.name or "" for value in self.values(model) if constant(value) is None
        )

    def values(self, model: ir.Model) -> list[ir.Value]:
        """Return the tensors on `edges`, constant ones too, in the graph's order."""
        found: dict[ir.Value, None] = {}
        for node in model.graph:
            for index, value in enumerate(node.inputs):
                if value is not None and (node.name or "", index) in self.edges:
                    found[value] = None
        return list(found)

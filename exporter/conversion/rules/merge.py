"""Layers that merge several tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir

from kexport.conversion.graph import Graph
from kexport.conversion.rules.broadcast import together
from kexport.conversion.tensor import Tensor

Rule = Callable[[Graph, Any, Sequence[Tensor]], Tensor]


def pairwise(op_type: str) -> Rule:
    """A rule that folds a two-operand ONNX operator over the inputs from left to right."""

    def rule(g: Graph, layer: Any, inputs: Sequence[Tensor]) -> Tensor:
        values, order = together(g, inputs)
        return Tensor(_fold(g, op_type, values), order)

    return rule


def average(g: Graph, layer: Any, inputs: Sequence[Tensor]) -> Tensor:
    """Average: the sum over the number of inputs."""
    values, order = together(g, inputs)
    total = _fold(g, "Add", values)
    return Tensor(g.op("Div", total, g.floats(float(len(values)), "count", total)), order)


def concatenate(g: Graph, layer: Any, inputs: Sequence[Tensor]) -> Tensor:
    """Concatenate along one axis."""
    values, order = together(g, inputs)
    axis = order.index(layer.axis % len(order))
    return Tensor(g.op("Concat", *values, axis=axis), order)


def _fold(g: Graph, op_type: str, values: Sequence[ir.Value]) -> ir.Value:
    total = values[0]
    for value in values[1:]:
        total = g.op(op_type, total, value)
    return total

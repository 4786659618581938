"""Dense layers."""

from __future__ import annotations

from typing import Any

from kexport.conversion.graph import Graph
from kexport.conversion.rules.activation import activate
from kexport.conversion.tensor import Tensor, as_keras


def dense(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Dense, on the last axis of a tensor of any rank."""
    kernel = g.weight(layer.kernel, "kernel")
    y = g.op("MatMul", g.in_keras_order(x), kernel)
    if layer.use_bias:
        y = g.op("Add", y, g.weight(layer.bias, "bias"))
    return activate(g, layer.activation, Tensor(y, as_keras(x.rank)))

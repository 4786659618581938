"""Operations of keras.ops that functional graphs hold as nodes of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.conversion.graph import Graph
from kexport.conversion.rules.broadcast import array, together
from kexport.conversion.tensor import Tensor

Operand = Tensor | Any


def binary(op_type: str) -> Callable[[Graph, Any, Operand, Operand], Tensor]:
    """A rule for an operator on two operands, each a tensor or a number."""

    def rule(g: Graph, operation: Any, left: Operand, right: Operand) -> Tensor:
        if isinstance(left, Tensor) and isinstance(right, Tensor):
            values, order = together(g, [left, right])
            return Tensor(g.op(op_type, *values), order)
        if isinstance(left, Tensor):
            return Tensor(g.op(op_type, left.value, _constant(g, right, left)), left.order)
        return Tensor(g.op(op_type, _constant(g, left, right), right.value), right.order)

    return rule


def _constant(g: Graph, value: Any, beside: Tensor) -> ir.Value:
    return array(g, np.asarray(value), "constant", beside)

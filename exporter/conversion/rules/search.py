"""Rules for operations of keras.ops that look for elements."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.rules.ops import Rule, without
from kexport.conversion.tensor import Tensor, as_keras
from kexport.conversion.unsupported import NoRule

SEARCHED = frozenset({ir.DataType.FLOAT, ir.DataType.INT32, ir.DataType.INT8, ir.DataType.UINT8})
"""Types whose extremes ONNX Runtime finds."""


def arg(op_type: str) -> Rule:
    """Make a rule for keras.ops.argmax or argmin: the first of equal elements.

    Zeros of both signs are equal, as in NumPy; Keras takes 0.0 for larger than -0.0.
    """

    def rule(g: Graph, operation: Any, x: Tensor) -> Tensor:
        axis, value = operation.axis, x.value
        if x.rank == 0 or (axis is None and operation.keepdims):
            raise NoRule("an index without an axis")
        if value.dtype is ir.DataType.BOOL:
            value = g.op("Cast", value, to=ir.DataType.UINT8.value)
        elif value.dtype not in SEARCHED:
            raise NoRule("a type that ONNX Runtime does not search")
        if axis is None:
            flat = g.reshape(g.in_keras_order(Tensor(value, x.order)), [-1])
            found, order = g.op(op_type, flat, axis=0, keepdims=0), as_keras(0)
        else:
            keep = bool(operation.keepdims)
            found = g.op(op_type, value, axis=x.axis(axis), keepdims=int(keep))
            order = x.order if keep else without(x.order, [axis % x.rank])
        return Tensor(g.op("Cast", found, to=ir.DataType.INT32.value), order)

    return rule


def of_whole_numbers(answer: bool) -> Rule:
    """Make a rule for a question about NaN and infinities, which whole numbers are not."""

    def rule(g: Graph, operation: Any, x: Tensor) -> Tensor:
        if x.value.dtype is None or x.value.dtype.is_floating_point():
            raise NoRule("floating-point numbers")
        number = g.op("Cast", x.value, to=ir.DataType.FLOAT.value)
        return Tensor(g.op("Equal" if answer else "Less", number, number), x.order)

    return rule

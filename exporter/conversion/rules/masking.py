"""Rules for Masking, and for the operations that compute its mask in the graph of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.rules.ops import without
from kexport.conversion.tensor import Tensor
from kexport.conversion.unsupported import NoRule


def masking(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert Masking: steps with no value other than `mask_value` become zeros, and are masked."""
    counts = _any(g, _differs(g, x, layer.mask_value), [x.rank - 1], keepdims=True)
    zero = g.constant(np.zeros((), (x.value.dtype or ir.DataType.FLOAT).numpy()), "zero")
    y = Tensor(g.op("Where", counts.value, x.value, zero), x.order)
    mask = g.op("Squeeze", counts.value, g.integers([x.axis(-1)], "axis"))
    g.masks[y] = Tensor(mask, without(x.order, [x.rank - 1]))
    return y


def not_equal(g: Graph, operation: Any, x: Any, other: Any) -> Tensor:
    """Convert keras.ops.not_equal of a tensor and a number."""
    if not isinstance(x, Tensor):
        raise NoRule("a number on the left")
    return _differs(g, x, other)


def any_true(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """Convert keras.ops.any along some axes."""
    axes = range(x.rank) if operation.axis is None else operation.axis
    axes = [axes] if isinstance(axes, int) else list(axes)
    if not axes or x.value.dtype != ir.DataType.BOOL:
        raise NoRule("no axis, or numbers")
    return _any(g, x, [axis % x.rank for axis in axes], keepdims=operation.keepdims)


def _differs(g: Graph, x: Tensor, number: Any) -> Tensor:
    """Emit x != number, which is true of NaN."""
    dtype = x.value.dtype
    if dtype is None or isinstance(number, Tensor) or np.ndim(number) or dtype.is_string():
        raise NoRule("no number")
    value = np.asarray(number)
    held = value.astype(dtype.numpy())
    if dtype.is_integer() and held != value:
        raise NoRule("a number that the type of the tensor does not have")
    return Tensor(g.op("Not", g.op("Equal", x.value, g.constant(held, "number"))), x.order)


def _any(g: Graph, x: Tensor, axes: Sequence[int], *, keepdims: bool) -> Tensor:
    numbers = g.op("Cast", x.value, to=ir.DataType.FLOAT)
    stored = g.integers(sorted(x.axis(axis) for axis in axes), "axes")
    largest = g.op("ReduceMax", numbers, stored, keepdims=int(keepdims))
    order = x.order if keepdims else without(x.order, list(axes))
    return Tensor(g.op("Cast", largest, to=ir.DataType.BOOL), order)

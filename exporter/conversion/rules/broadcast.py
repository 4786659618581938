"""Broadcasting: parameters and operands in the order in which a tensor is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.conversion.builder import Graph
from kexport.conversion.tensor import Tensor, as_keras


def parameter(g: Graph, variable: Any, leaf: str, x: Tensor, axes: Sequence[int]) -> ir.Value:
    """Add a variable over the Keras `axes` of `x`, laid out to broadcast with `x`."""
    change, form = _placement(x, axes, len(variable.shape))
    return g.weight(variable, leaf, change, form=form)


def array(g: Graph, values: Array, leaf: str, x: Tensor) -> ir.Value:
    """Add a constant that Keras broadcasts with `x` by NumPy's rule, laid out for ONNX."""
    axes = range(x.rank - values.ndim, x.rank)
    change, _ = _placement(x, list(axes), values.ndim)
    dtype = x.value.dtype or ir.DataType.FLOAT
    return g.constant(change(values).astype(dtype.numpy()), leaf)


def together(g: Graph, tensors: Sequence[Tensor]) -> tuple[list[ir.Value], tuple[int, ...]]:
    """Return values of `tensors` that broadcast as in Keras, and their common order.

    The order is that of the first tensor of highest rank that is not stored in the order of Keras'
    axes, so a branch inside a convolutional part does not force the part out of its layout.
    """
    rank = max(x.rank for x in tensors)
    full = [x.order for x in tensors if x.rank == rank]
    order = next((o for o in full if o != as_keras(rank)), full[0])
    return [_aligned(g, x, order) for x in tensors], order


def _aligned(g: Graph, x: Tensor, order: tuple[int, ...]) -> ir.Value:
    missing = len(order) - x.rank
    if missing == 0:
        return g.stored(x, order)
    if order == as_keras(len(order)):
        return g.in_keras_order(x)
    axes = g.integers(range(missing), "axes")
    lifted = g.op("Unsqueeze", g.in_keras_order(x), axes)
    return g.stored(Tensor(lifted, as_keras(len(order))), order)


def _placement(x: Tensor, axes: Sequence[int], rank: int) -> tuple[Any, str]:
    """Return the function that lays an array over `axes` of `x`, and a name for it."""
    wanted = [axis % x.rank for axis in axes]
    if len(wanted) != rank:
        raise ValueError(f"{rank} axes of a parameter for {len(wanted)} axes of a tensor")

    def change(values: Array) -> Array:
        full = values.reshape([1] * (x.rank - rank) + list(values.shape))
        spots = [axis for axis in range(x.rank) if axis not in wanted] + wanted
        return np.transpose(np.moveaxis(full, range(x.rank), spots), x.order)

    return change, f"over {wanted} of {x.order}"

"""Layers that divide by a length, and the dot product, which may do so first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import onnx_ir as ir

from kexport.conversion.graph import Graph
from kexport.conversion.rules.broadcast import parameter
from kexport.conversion.tensor import Tensor, as_keras
from kexport.conversion.unsupported import NoRule


def unit_normalization(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """UnitNormalization: x over its Euclidean length along the axes."""
    axes = [layer.axis] if isinstance(layer.axis, int) else layer.axis
    return _unit(g, x, axes, 1e-12)


def rms_normalization(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """RMSNormalization (Zhang and Sennrich, 2019): x / sqrt(mean(x^2) + epsilon) * scale.

    Keras broadcasts the scale by numpy's rule, which says something else than the axes do unless
    these are the last ones.
    """
    axes = [axis % x.rank for axis in layer.axis]
    if axes != list(range(x.rank - len(axes), x.rank)):
        raise NoRule("a scale over axes that are not the last ones")
    stored = g.integers([x.axis(axis) for axis in axes], "axes")
    mean = g.op("ReduceMean", g.op("Mul", x.value, x.value), stored)
    epsilon = g.floats(float(layer.epsilon), "epsilon", x.value)
    y = g.op("Div", x.value, g.op("Sqrt", g.op("Add", mean, epsilon)))
    return Tensor(g.op("Mul", y, parameter(g, layer.scale, "scale", x, axes)), x.order)


def dot(g: Graph, layer: Any, inputs: Sequence[Tensor]) -> Tensor:
    """Dot, of tensors of rank 2 and 3, with or without `normalize`."""
    left, right = inputs
    if max(left.rank, right.rank) > 3:
        raise NoRule("tensors of more than three axes")
    chosen = [layer.axes] * 2 if isinstance(layer.axes, int) else layer.axes
    axes = [axis % x.rank for axis, x in zip(chosen, inputs, strict=True)]
    if layer.normalize:
        shortest = keras.config.epsilon()
        left, right = (_unit(g, x, [axis], shortest) for x, axis in zip(inputs, axes, strict=True))
    y = g.op("MatMul", _rows(g, left, axes[0]), _columns(g, right, axes[1]))
    if left.rank == 2:
        y = g.op("Squeeze", y, g.integers([1], "axes"))
    elif right.rank == 2:
        y = g.op("Squeeze", y, g.integers([2], "axes"))
    return Tensor(y, as_keras(2 if min(left.rank, right.rank) == 2 else 3))


def _rows(g: Graph, x: Tensor, axis: int) -> ir.Value:
    """The left matrix, (batch, kept, summed)."""
    if x.rank == 2:
        return g.op("Unsqueeze", g.in_keras_order(x), g.integers([1], "axes"))
    return g.stored(x, (0, 3 - axis, axis))


def _columns(g: Graph, x: Tensor, axis: int) -> ir.Value:
    """The right matrix, (batch, summed, kept)."""
    if x.rank == 2:
        return g.op("Unsqueeze", g.in_keras_order(x), g.integers([2], "axes"))
    return g.stored(x, (0, axis, 3 - axis))


def _unit(g: Graph, x: Tensor, axes: Sequence[int], shortest: float) -> Tensor:
    """x / max(length, shortest)."""
    stored = g.integers([x.axis(axis) for axis in axes], "axes")
    length = g.op("ReduceL2", x.value, stored)
    floor = g.floats(shortest, "shortest", x.value)
    return Tensor(g.op("Div", x.value, g.op("Max", length, floor)), x.order)

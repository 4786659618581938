"""Rules for operations of keras.ops: axes, elementwise functions, operands, reductions."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.rules.activation import ELEMENTWISE, Elementwise
from kexport.conversion.rules.broadcast import array, together
from kexport.conversion.tensor import Tensor, as_keras
from kexport.conversion.unsupported import NoRule

Rule = Callable[..., Tensor]


def on_floats(rule: Rule) -> Rule:
    """Restrict `rule` to calls whose tensors have one floating-point type; trace all others."""

    @wraps(rule)
    def guarded(g: Graph, operation: Any, *args: Any) -> Tensor:
        found = {x.value.dtype for x in keras.tree.flatten(args) if isinstance(x, Tensor)}
        if len(found) != 1 or not all(dtype and dtype.is_floating_point() for dtype in found):
            raise NoRule("tensors that are not of one floating-point type")
        return rule(g, operation, *args)

    return guarded


def reshape(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """Convert keras.ops.reshape to a shape in numbers; an unchanged batch keeps its name."""
    target = list(operation.newshape)
    if not target or not all(isinstance(dim, int) and dim != 0 for dim in target):
        raise NoRule("a shape with open axes")
    known = [dim for dim in x.shape[1:] if dim is not None]
    if (
        target[:1] == [-1]
        and len(known) == x.rank - 1
        and math.prod(known) == math.prod(target[1:])
    ):
        target[0] = 0
    return Tensor(g.reshape(g.in_keras_order(x), target), as_keras(len(target)))


def transpose(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """Convert keras.ops.transpose without a node: only the order of the axes changes."""
    axes = operation.axes or range(x.rank - 1, -1, -1)
    moved = [axis % x.rank for axis in axes]
    return Tensor(x.value, tuple(moved.index(axis) for axis in x.order))


def squeeze(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """Convert keras.ops.squeeze."""
    axes = operation.axis
    if axes is None and None in x.shape:
        raise NoRule("open extents")
    if axes is None:
        axes = [axis for axis, extent in enumerate(x.shape) if extent == 1]
    gone = [axis % x.rank for axis in ([axes] if isinstance(axes, int) else axes)]
    if not gone:
        return x
    stored = g.integers(sorted(x.axis(axis) for axis in gone), "axes")
    return Tensor(g.op("Squeeze", x.value, stored), without(x.order, gone))


def expand_dims(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """Convert keras.ops.expand_dims; the new axis is stored where Keras has it."""
    axes = [operation.axis] if isinstance(operation.axis, int) else list(operation.axis)
    rank = x.rank + len(axes)
    new = sorted(axis % rank for axis in axes)
    old = [axis for axis in range(rank) if axis not in new]
    order = [old[axis] for axis in x.order]
    for axis in new:
        order.insert(axis, axis)
    return Tensor(g.op("Unsqueeze", x.value, g.integers(new, "axes")), tuple(order))


@on_floats
def matmul(g: Graph, operation: Any, left: Any, right: Any) -> Tensor:
    """Convert keras.ops.matmul of two tensors that have at least two axes each."""
    if not (isinstance(left, Tensor) and isinstance(right, Tensor)):
        raise NoRule("a matrix outside the graph")
    if min(left.rank, right.rank) < 2:
        raise NoRule("a vector")
    y = g.op("MatMul", g.in_keras_order(left), g.in_keras_order(right))
    return Tensor(y, as_keras(max(left.rank, right.rank)))


def repeat_vector(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert RepeatVector: (batch, features) to (batch, n, features)."""
    row = g.op("Unsqueeze", g.in_keras_order(x), g.integers([1], "axes"))
    return Tensor(g.op("Expand", row, g.integers([1, layer.n, 1], "shape")), as_keras(3))


def elementwise(function: Elementwise) -> Rule:
    """Make a rule for a function of each element, in any order of axes."""

    def rule(g: Graph, operation: Any, x: Tensor) -> Tensor:
        return Tensor(function(g, x.value), x.order)

    return on_floats(rule)


def operator(op_type: str) -> Rule:
    """Make a rule for an operation that is one ONNX operator without attributes."""
    return elementwise(lambda g, x: g.op(op_type, x))


def named(activation: str) -> Rule:
    """Make a rule for an operation that is an activation function with its defaults."""
    return elementwise(ELEMENTWISE[activation])


square = elementwise(lambda g, x: g.op("Mul", x, x))
"""keras.ops.square."""

rsqrt = elementwise(lambda g, x: g.op("Reciprocal", g.op("Sqrt", x)))
"""keras.ops.rsqrt."""


@on_floats
def clip(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """Convert keras.ops.clip between two numbers."""
    limits = [operation.x_min, operation.x_max]
    if not all(np.ndim(limit) == 0 and np.isreal(limit) for limit in limits):
        raise NoRule("limits that are not numbers")
    low, high = (g.floats(float(limit), "limit", x.value) for limit in limits)
    return Tensor(g.op("Clip", x.value, low, high), x.order)


@on_floats
def leaky_relu(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """Convert keras.ops.leaky_relu."""
    return Tensor(g.op("LeakyRelu", x.value, alpha=float(operation.negative_slope)), x.order)


@on_floats
def elu(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """Convert keras.ops.elu."""
    return Tensor(g.op("Elu", x.value, alpha=float(operation.alpha)), x.order)


@on_floats
def gelu(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """Convert keras.ops.gelu, approximate (its default) or exact."""
    form = "tanh" if operation.approximate else "none"
    return Tensor(g.op("Gelu", x.value, approximate=form), x.order)


def along_axis(op_type: str) -> Rule:
    """Make a rule for keras.ops.softmax or log_softmax along one axis."""

    def rule(g: Graph, operation: Any, x: Tensor) -> Tensor:
        if not isinstance(operation.axis, int):
            raise NoRule("several axes at once")
        return Tensor(g.op(op_type, x.value, axis=x.axis(operation.axis)), x.order)

    return on_floats(rule)


Operand = Tensor | Any


def binary(op_type: str) -> Callable[[Graph, Any, Operand, Operand], Tensor]:
    """Make a rule for an operator on two operands, each a tensor or a number."""

    def rule(g: Graph, operation: Any, left: Operand, right: Operand) -> Tensor:
        if isinstance(left, Tensor) and isinstance(right, Tensor):
            values, order = together(g, [left, right])
            return Tensor(g.op(op_type, *values), order)
        if isinstance(left, Tensor):
            return Tensor(g.op(op_type, left.value, _constant(g, right, left)), left.order)
        return Tensor(g.op(op_type, _constant(g, left, right), right.value), right.order)

    return rule


def add(g: Graph, operation: Any, left: Operand, right: Operand) -> Tensor:
    """Convert keras.ops.add.

    On TensorFlow, Keras adds an array with one long axis to the last axis of `left`, or else to its
    second one, where that has the same length: NumPy's rule may take another axis.
    """
    if isinstance(left, Tensor) and not isinstance(right, Tensor) and left.rank > 1:
        shape = np.shape(right)
        long = [axis - len(shape) for axis, extent in enumerate(shape) if extent > 1]
        if len(long) == 1:
            fitting = [axis for axis in (-1, 1) if left.shape[axis] == shape[long[0]]]
            if fitting and fitting[0] % left.rank != long[0] % left.rank:
                raise NoRule("a bias of another axis than NumPy's rule says")
    return binary("Add")(g, operation, left, right)


def _constant(g: Graph, value: Any, beside: Tensor) -> ir.Value:
    return array(g, np.asarray(value), "constant", beside)


def reduction(op_type: str) -> Rule:
    """Make a rule for a reduction over some axes or all, with or without `keepdims`."""

    def rule(g: Graph, operation: Any, x: Tensor) -> Tensor:
        if getattr(operation, "initial", None) is not None:
            raise NoRule("a value to begin with")
        axes = _axes(operation.axis, x.rank)
        stored = g.integers(sorted(x.axis(axis) for axis in axes), "axes")
        y = g.op(op_type, x.value, stored, keepdims=int(operation.keepdims))
        return Tensor(y, x.order if operation.keepdims else without(x.order, axes))

    return on_floats(rule)


def without(order: tuple[int, ...], axes: Collection[int]) -> tuple[int, ...]:
    """Remove the Keras `axes` from an order, and renumber the others."""
    kept = [axis for axis in order if axis not in axes]
    return tuple(sorted(kept).index(axis) for axis in kept)


def _axes(axis: Any, rank: int) -> list[int]:
    if axis is None:
        return list(range(rank))
    return [each % rank for each in ([axis] if isinstance(axis, int) else axis)]

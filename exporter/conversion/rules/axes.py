"""Operations of keras.ops that rename, add or drop axes, and RepeatVector."""

from __future__ import annotations

import math
from typing import Any

from kexport.conversion.graph import Graph
from kexport.conversion.rules.floats import on_floats
from kexport.conversion.rules.reduce import without
from kexport.conversion.tensor import Tensor, as_keras
from kexport.conversion.unsupported import NoRule


def reshape(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """keras.ops.reshape to a shape in numbers; a batch that stays the batch keeps its name."""
    target = list(operation.newshape)
    if not target or not all(isinstance(dim, int) and dim != 0 for dim in target):
        raise NoRule("a shape that only run time knows")
    known = [dim for dim in x.shape[1:] if dim is not None]
    if (
        target[:1] == [-1]
        and len(known) == x.rank - 1
        and math.prod(known) == math.prod(target[1:])
    ):
        target[0] = 0
    return Tensor(g.reshape(g.in_keras_order(x), target), as_keras(len(target)))


def transpose(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """keras.ops.transpose: no node at all, the axes only get new names."""
    axes = operation.axes or range(x.rank - 1, -1, -1)
    moved = [axis % x.rank for axis in axes]
    return Tensor(x.value, tuple(moved.index(axis) for axis in x.order))


def squeeze(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """keras.ops.squeeze."""
    axes = operation.axis
    if axes is None and None in x.shape:
        raise NoRule("extents that only run time knows")
    if axes is None:
        axes = [axis for axis, extent in enumerate(x.shape) if extent == 1]
    gone = [axis % x.rank for axis in ([axes] if isinstance(axes, int) else axes)]
    if not gone:
        return x
    stored = g.integers(sorted(x.axis(axis) for axis in gone), "axes")
    return Tensor(g.op("Squeeze", x.value, stored), without(x.order, gone))


def expand_dims(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """keras.ops.expand_dims: a new axis is stored where Keras has it, the others as they were."""
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
    """keras.ops.matmul of two tensors that have at least two axes each."""
    if not (isinstance(left, Tensor) and isinstance(right, Tensor)):
        raise NoRule("a matrix that is no tensor of the graph")
    if min(left.rank, right.rank) < 2:
        raise NoRule("a vector")
    y = g.op("MatMul", g.in_keras_order(left), g.in_keras_order(right))
    return Tensor(y, as_keras(max(left.rank, right.rank)))


def repeat_vector(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """RepeatVector: (batch, features) to (batch, n, features)."""
    row = g.op("Unsqueeze", g.in_keras_order(x), g.integers([1], "axes"))
    return Tensor(g.op("Expand", row, g.integers([1, layer.n, 1], "shape")), as_keras(3))

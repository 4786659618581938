"""Rules for layers that only move, crop or pad elements."""

from __future__ import annotations

import math
from typing import Any

from kexport.conversion.builder import Graph
from kexport.conversion.tensor import Tensor, as_keras


def flatten(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert Flatten; channels_first inputs are flattened as channels_last, as in Keras."""
    if layer.data_format == "channels_first" and x.rank > 2:
        moved = (0, *range(2, x.rank), 1)
        value = g.stored(x, moved)
    else:
        value = g.in_keras_order(x)
    return Tensor(g.op("Flatten", value, axis=1), as_keras(2))


def reshape(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert Reshape to a fixed shape after the batch."""
    target = list(layer.target_shape)
    known = [dim for dim in x.shape[1:] if dim is not None]
    if -1 in target and len(known) == x.rank - 1:
        rest = math.prod(dim for dim in target if dim != -1)
        target[target.index(-1)] = math.prod(known) // rest
    y = g.reshape(g.in_keras_order(x), [0, *target])
    return Tensor(y, as_keras(len(target) + 1))


def permute(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert Permute without a node: only the order of the axes changes."""
    moved = (0, *layer.dims)
    return Tensor(x.value, tuple(moved.index(axis) for axis in x.order))


def zero_padding(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert ZeroPadding1D, 2D, 3D."""
    before, after = _margins(layer, layer.padding, x)
    pads = g.integers([*before, *after], "pads")
    return Tensor(g.op("Pad", x.value, pads, g.floats(0.0, "zero", x.value)), x.order)


def cropping(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert Cropping1D, 2D, 3D."""
    before, after = _margins(layer, layer.cropping, x)
    axes = [axis for axis in range(x.rank) if before[axis] or after[axis]]
    if not axes:
        return x
    far = 2**31 - 1
    y = g.op(
        "Slice",
        x.value,
        g.integers([before[axis] for axis in axes], "starts"),
        g.integers([-after[axis] if after[axis] else far for axis in axes], "ends"),
        g.integers(axes, "axes"),
    )
    return Tensor(y, x.order)


def _margins(layer: Any, margins: Any, x: Tensor) -> tuple[list[int], list[int]]:
    """Return the margins before and after each stored axis, from Keras' pairs per spatial axis."""
    pairs = [margins] if x.rank == 3 else list(margins)
    data_format = getattr(layer, "data_format", None) or "channels_last"
    first = 2 if data_format == "channels_first" else 1
    before, after = [0] * x.rank, [0] * x.rank
    for offset, (low, high) in enumerate(pairs):
        stored = x.axis(first + offset)
        before[stored], after[stored] = int(low), int(high)
    return before, after

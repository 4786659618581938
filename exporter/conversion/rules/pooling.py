"""Rules for pooling: over windows, over whole images, and to a given number of windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.conversion.builder import Graph
from kexport.conversion.padding import windowed
from kexport.conversion.rules.convolution import channel_axis
from kexport.conversion.tensor import Tensor, as_keras, channels_second, shape_of
from kexport.conversion.unsupported import NoRule


def max_pool(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert MaxPooling1D, MaxPooling2D, MaxPooling3D."""
    return _pool(g, layer, x, "MaxPool")


def average_pool(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert AveragePooling1D, 2D, 3D; padding does not count, as in TensorFlow."""
    return _pool(g, layer, x, "AveragePool", count_include_pad=0)


def global_average_pool(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert GlobalAveragePooling2D, 3D."""
    return _global(g, layer, x, "GlobalAveragePool")


def masked_average_pool(g: Graph, layer: Any, x: Tensor, mask: Any = None) -> Tensor:
    """Convert GlobalAveragePooling1D: the mean of all steps, or of those that the mask counts."""
    if mask is None:
        return _global(g, layer, x, "GlobalAveragePool")
    if not isinstance(mask, Tensor) or mask.rank != 2 or x.value.dtype is None:
        raise NoRule("a mask that is not [batch, time]")
    channel = channel_axis(layer) % 3
    value, steps = g.in_keras_order(x), g.integers([3 - channel], "steps")
    bools = g.op("Cast", g.in_keras_order(mask), to=ir.DataType.BOOL)
    counts = g.op("Unsqueeze", bools, g.integers([channel], "channel"))
    kept = g.op("Where", counts, value, g.floats(0.0, "zero", value))
    sums = [
        g.op("ReduceSum", y, steps, keepdims=int(layer.keepdims))
        for y in (kept, g.op("Cast", counts, to=x.value.dtype))
    ]
    return Tensor(g.op("Div", *sums), as_keras(3 if layer.keepdims else 2))


def global_max_pool(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert GlobalMaxPooling1D, 2D, 3D."""
    return _global(g, layer, x, "GlobalMaxPool")


def _pool(g: Graph, layer: Any, x: Tensor, op_type: str, **attributes: Any) -> Tensor:
    order = channels_second(x.rank, channel_axis(layer))
    ones = [1] * len(layer.pool_size)
    value, padding = windowed(
        g, g.stored(x, order), layer.padding, layer.pool_size, layer.strides, ones
    )
    y = g.op(
        op_type,
        value,
        kernel_shape=list(layer.pool_size),
        strides=list(layer.strides),
        **padding,
        **attributes,
    )
    return Tensor(y, order)


def _global(g: Graph, layer: Any, x: Tensor, op_type: str) -> Tensor:
    order = channels_second(x.rank, channel_axis(layer))
    y = g.op(op_type, g.stored(x, order))
    if layer.keepdims:
        return Tensor(y, order)
    return Tensor(g.op("Flatten", y, axis=1), as_keras(2))


def adaptive_pool(op_type: str) -> Callable[[Graph, Any, Tensor], Tensor]:
    """Make a rule for AdaptiveAveragePooling or AdaptiveMaxPooling of rank 1 to 3.

    Window i of `size` on an axis is floor(i * extent / size) to ceil((i + 1) * extent / size).
    Where all extents divide evenly that is ordinary pooling. Otherwise each axis in turn is pooled
    with stride 1 and each window length that occurs, one or two, and the windows are gathered.
    """

    def rule(g: Graph, layer: Any, x: Tensor) -> Tensor:
        order = channels_second(x.rank, channel_axis(layer))
        value = g.stored(x, order)
        extents = [extent for extent in shape_of(value)[2:] if extent is not None]
        if len(extents) != x.rank - 2:
            raise NoRule("open extents")
        sizes = [int(size) for size in layer.output_size]
        pairs = list(zip(extents, sizes, strict=True))
        if all(extent % size == 0 for extent, size in pairs):
            window = [extent // size for extent, size in pairs]
            return Tensor(g.op(op_type, value, kernel_shape=window, strides=window), order)
        for axis, (extent, size) in enumerate(pairs):
            if extent != size:
                value = _along(g, op_type, value, axis, extent, size)
        return Tensor(value, order)

    return rule


def _along(g: Graph, op_type: str, x: ir.Value, axis: int, extent: int, size: int) -> ir.Value:
    """Pool one axis to `size` windows."""
    starts, ends = _windows(extent, size)
    lengths = ends - starts
    pools, places, count = [], np.zeros(size, np.int64), 0
    for length in np.unique(lengths).tolist():
        window = [1] * (len(shape_of(x)) - 2)
        window[axis] = length
        pools.append(g.op(op_type, x, kernel_shape=window))
        places[lengths == length] = starts[lengths == length] + count
        count += extent - length + 1
    dense = pools[0] if len(pools) == 1 else g.op("Concat", *pools, axis=2 + axis)
    return g.op("Gather", dense, g.integers(places.tolist(), "windows"), axis=2 + axis)


def _windows(extent: int, size: int) -> tuple[Array, Array]:
    """Return the starts and the ends of the windows along an axis."""
    index = np.arange(size, dtype=np.int64)
    return index * extent // size, -(-(index + 1) * extent // size)

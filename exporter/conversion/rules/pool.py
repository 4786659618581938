"""Pooling of all kinds and ranks."""

from __future__ import annotations

from typing import Any

from kexport.conversion.graph import Graph
from kexport.conversion.rules.conv import channel_axis
from kexport.conversion.tensor import Tensor, as_keras, channels_second
from kexport.conversion.window import padding_of


def max_pool(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """MaxPooling1D, MaxPooling2D, MaxPooling3D."""
    return _pool(g, layer, x, "MaxPool")


def average_pool(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """AveragePooling1D, 2D, 3D; padding does not count, as in TensorFlow."""
    return _pool(g, layer, x, "AveragePool", count_include_pad=0)


def global_average_pool(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """GlobalAveragePooling1D, 2D, 3D."""
    return _global(g, layer, x, "GlobalAveragePool")


def global_max_pool(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """GlobalMaxPooling1D, 2D, 3D."""
    return _global(g, layer, x, "GlobalMaxPool")


def _pool(g: Graph, layer: Any, x: Tensor, op_type: str, **attributes: Any) -> Tensor:
    order = channels_second(x.rank, channel_axis(layer))
    value = g.stored(x, order)
    ones = [1] * len(layer.pool_size)
    y = g.op(
        op_type,
        value,
        kernel_shape=list(layer.pool_size),
        strides=list(layer.strides),
        **padding_of(value, layer.padding, layer.pool_size, layer.strides, ones),
        **attributes,
    )
    return Tensor(y, order)


def _global(g: Graph, layer: Any, x: Tensor, op_type: str) -> Tensor:
    order = channels_second(x.rank, channel_axis(layer))
    y = g.op(op_type, g.stored(x, order))
    if layer.keepdims:
        return Tensor(y, order)
    return Tensor(g.op("Flatten", y, axis=1), as_keras(2))

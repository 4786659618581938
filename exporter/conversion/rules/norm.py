"""Normalisation layers, at inference."""

from __future__ import annotations

from typing import Any

import numpy as np

from kexport.conversion.graph import Graph
from kexport.conversion.rules.broadcast import parameter
from kexport.conversion.tensor import Tensor, as_keras, channels_second


def batch_normalization(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """BatchNormalization with its moving statistics (Ioffe and Szegedy, 2015, algorithm 2)."""
    order = channels_second(x.rank, layer.axis)
    channels = tuple(layer.moving_mean.shape)
    scale = (
        g.weight(layer.gamma, "gamma")
        if layer.scale
        else g.constant(np.ones(channels, np.float32), "gamma")
    )
    shift = (
        g.weight(layer.beta, "beta")
        if layer.center
        else g.constant(np.zeros(channels, np.float32), "beta")
    )
    y = g.op(
        "BatchNormalization",
        g.stored(x, order),
        scale,
        shift,
        g.weight(layer.moving_mean, "moving_mean"),
        g.weight(layer.moving_variance, "moving_variance"),
        epsilon=float(layer.epsilon),
    )
    return Tensor(y, order)


def layer_normalization(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """LayerNormalization (Ba et al., 2016): one node over the last axes, else written out."""
    axes = sorted(axis % x.rank for axis in _as_list(layer.axis))
    trailing = list(range(x.rank - len(axes), x.rank))
    if axes != trailing:
        return _normalized_over(g, layer, x, axes)
    shape = [x.shape[axis] for axis in axes]
    scale = (
        g.weight(layer.gamma, "gamma")
        if layer.scale
        else g.constant(np.ones(shape, np.float32), "gamma")
    )
    shift = g.weight(layer.beta, "beta") if layer.center else None
    y = g.op(
        "LayerNormalization",
        g.in_keras_order(x),
        scale,
        shift,
        axis=-len(axes),
        epsilon=float(layer.epsilon),
    )
    return Tensor(y, as_keras(x.rank))


def _normalized_over(g: Graph, layer: Any, x: Tensor, axes: list[int]) -> Tensor:
    value = x.value
    stored = g.integers([x.axis(axis) for axis in axes], "axes")
    centred = g.op("Sub", value, g.op("ReduceMean", value, stored))
    variance = g.op("ReduceMean", g.op("Mul", centred, centred), stored)
    spread = g.op("Sqrt", g.op("Add", variance, g.floats(float(layer.epsilon), "epsilon", value)))
    y = g.op("Div", centred, spread)
    if layer.scale:
        y = g.op("Mul", y, parameter(g, layer.gamma, "gamma", x, axes))
    if layer.center:
        y = g.op("Add", y, parameter(g, layer.beta, "beta", x, axes))
    return Tensor(y, x.order)


def _as_list(axis: int | list[int] | tuple[int, ...]) -> list[int]:
    return [axis] if isinstance(axis, int) else list(axis)

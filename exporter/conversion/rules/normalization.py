"""Rules for normalization layers, and for Dot, which may normalize its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.rules.broadcast import parameter
from kexport.conversion.tensor import Tensor, as_keras, channels_second, shape_of
from kexport.conversion.unsupported import NoRule

SHORTEST = 1e-12
"""Least length that UnitNormalization divides by, as in its call."""


def group_normalization(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert GroupNormalization (Wu and He, 2018) to an InstanceNormalization over the groups.

    Where every channel is a group of its own, one node does all. Otherwise the groups are reshaped
    to channels first, and the scale and shift of each channel come after it.
    """
    x = Tensor(g.stored(x, order := channels_second(x.rank, layer.axis)), order)
    epsilon, groups = float(layer.epsilon), int(layer.groups)
    shape = shape_of(x.value)
    if x.rank > 2 and groups == shape[1]:
        scale = g.weight(layer.gamma, "gamma") if layer.scale else _filled(g, 1.0, groups, "gamma")
        shift = g.weight(layer.beta, "beta") if layer.center else _filled(g, 0.0, groups, "beta")
        y = g.op("InstanceNormalization", x.value, scale, shift, epsilon=epsilon)
        return Tensor(y, order)
    y = g.op(
        "InstanceNormalization",
        g.reshape(x.value, [0, groups, -1]),
        _filled(g, 1.0, groups, "one"),
        _filled(g, 0.0, groups, "zero"),
        epsilon=epsilon,
    )
    if None in shape[1:]:
        y = g.op("Reshape", y, g.op("Shape", x.value))
    else:
        y = g.reshape(y, [0, *(extent or 0 for extent in shape[1:])])
    if layer.scale:
        y = g.op("Mul", y, parameter(g, layer.gamma, "gamma", x, [layer.axis]))
    if layer.center:
        y = g.op("Add", y, parameter(g, layer.beta, "beta", x, [layer.axis]))
    return Tensor(y, order)


def _filled(g: Graph, value: float, count: int, leaf: str) -> Any:
    return g.constant(np.full(count, value, np.float32), leaf)


def unit_normalization(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert UnitNormalization: x divided by its Euclidean length along the axes."""
    axes = [layer.axis] if isinstance(layer.axis, int) else layer.axis
    return _unit(g, x, axes, SHORTEST)


def rms_normalization(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert RMSNormalization (Zhang and Sennrich, 2019): x / sqrt(mean(x^2) + epsilon) * scale.

    Keras broadcasts the scale by NumPy's rule, which agrees with the axes only if these are the
    last ones.
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
    """Convert Dot of tensors of rank 2 and 3, with or without `normalize`."""
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
    """Return the left matrix as (batch, kept, summed)."""
    if x.rank == 2:
        return g.op("Unsqueeze", g.in_keras_order(x), g.integers([1], "axes"))
    return g.stored(x, (0, 3 - axis, axis))


def _columns(g: Graph, x: Tensor, axis: int) -> ir.Value:
    """Return the right matrix as (batch, summed, kept)."""
    if x.rank == 2:
        return g.op("Unsqueeze", g.in_keras_order(x), g.integers([2], "axes"))
    return g.stored(x, (0, axis, 3 - axis))


def _unit(g: Graph, x: Tensor, axes: Sequence[int], shortest: float) -> Tensor:
    """Emit x / max(length, shortest)."""
    stored = g.integers([x.axis(axis) for axis in axes], "axes")
    length = g.op("ReduceL2", x.value, stored)
    floor = g.floats(shortest, "shortest", x.value)
    return Tensor(g.op("Div", x.value, g.op("Max", length, floor)), x.order)


def batch_normalization(g: Graph, layer: Any, x: Tensor, mask: Any = None) -> Tensor:
    """Convert BatchNormalization with its moving statistics (Ioffe and Szegedy, 2015).

    The mask counts in training only.
    """
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
    """Convert LayerNormalization (Ba et al., 2016): one node where the axes are the last ones."""
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
    """Emit a LayerNormalization over any axes as elementary operators."""
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

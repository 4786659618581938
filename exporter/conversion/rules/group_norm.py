"""Normalisation of channels in groups."""

from __future__ import annotations

from typing import Any

import numpy as np

from kexport.conversion.graph import Graph
from kexport.conversion.rules.broadcast import parameter
from kexport.conversion.tensor import Tensor, channels_second, shape_of


def group_normalization(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """GroupNormalization (Wu and He, 2018): each group is one channel of an InstanceNormalization.

    Where every channel is a group of its own that is all; else the groups are laid out as channels
    first, and the scale and shift of each channel follow.
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

"""The rounding error of the mean in a normalization, which all that it normalizes has in common.

(x - mean) / deviation with an error e of the mean is off by e / deviation everywhere at once. Where
x is nearly constant the deviation is small, and layers after it add up as many equal errors as
there are numbers. Errors that are drawn for each number by itself cancel there.

A mean of n numbers is off by about sqrt(n) units in the last place of the mean of their sizes (N.
J. Higham and T. Mary, "A New Approach to Probabilistic Rounding Error Analysis", SIAM Journal on
Scientific Computing 41, 2019). Engines add in float32, whatever they store.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras import layers, ops

from kexport.parity.units import UNITS, Draw


def moved_by_mean(layer: Any, x: Any, draw: Draw) -> Any:
    """Return the change of a normalization's result if its means are off.

    Args:
        layer: a LayerNormalization or GroupNormalization that is built.
        x: what it reads.
        draw: gives the error of each mean, relative to that of a long sum.

    Returns:
        A float32 tensor that broadcasts to the result.
    """
    x = ops.cast(x, "float32")
    rank = len(x.shape)
    if isinstance(layer, layers.LayerNormalization):
        places = {axis % rank for axis in layer.axis}
        shape = [size if place in places else 1 for place, size in enumerate(x.shape)]
        return _shift(layer, x, layer.axis, draw) * _gain(layer, shape)
    x = ops.moveaxis(x, layer.axis, -1)
    count, channels = x.shape[0], x.shape[-1]
    grouped = ops.reshape(x, (count, -1, layer.groups, channels // layer.groups))
    shift = _shift(layer, grouped, [1, 3], draw) * _gain(layer, (1, 1, *grouped.shape[2:]))
    return ops.moveaxis(ops.reshape(shift, (count, *[1] * (rank - 2), channels)), -1, layer.axis)


def _shift(layer: Any, x: Any, axes: Sequence[int], draw: Draw) -> Any:
    """Return the error of the mean over the deviation, with the reduced axes kept as 1."""
    deviation = ops.sqrt(ops.var(x, axes, keepdims=True) + layer.epsilon)
    size = ops.mean(ops.abs(x), axes, keepdims=True)
    count = math.prod(x.shape[axis] for axis in axes)
    return draw(size.shape) * (UNITS["fp32"] * math.sqrt(count)) * size / deviation


def _gain(layer: Any, shape: Sequence[int]) -> Any:
    gamma = layer.gamma
    return ops.ones(shape) if gamma is None else ops.reshape(ops.cast(gamma, "float32"), shape)

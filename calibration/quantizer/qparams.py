"""The integers that stand for real numbers: scale, zero point and type."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from kexport.arrays import Array
from kexport.calibration.statistics.histogram import Range

Dtype = Literal["uint8", "int8"]

LEVELS = 127
"""The largest integer of a symmetric grid: -128 has no counterpart and stays unused."""

SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class QParams:
    """x = (integer - zero_point) * scale, as ONNX' QuantizeLinear and DequantizeLinear have it.

    `scale` is float32 [], or [C] with one number for each index of `axis`; `zero_point` is of the
    same shape, and of `dtype`.
    """

    scale: Array
    zero_point: Array
    dtype: Dtype
    axis: int | None = None


def affine(extent: Range) -> QParams:
    """The uint8 grid whose 256 levels cover a range; 0 is one of them, the first where low is 0."""
    scale = _scale((extent.high - extent.low) / 255)
    zero_point = np.clip(np.rint(-extent.low / float(scale)), 0, 255)
    return QParams(scale, zero_point.astype(np.uint8), "uint8")


def symmetric(extent: Range) -> QParams:
    """The int8 grid of -127 to 127 steps around 0 that covers a range."""
    scale = _scale(max(-extent.low, extent.high) / LEVELS)
    return QParams(scale, np.zeros((), np.int8), "int8")


def of_weights(
    weights: Array, axis: int, levels: int = LEVELS, least: Array | float = 0.0
) -> QParams:
    """A symmetric int8 grid for each index of `axis`, up to its own largest magnitude.

    Args:
        weights: float, of any shape.
        axis: that of the output channels.
        levels: the integer of the largest magnitude.
        least: the smallest scale that may be; one number, or one a channel.
    """
    others = tuple(other for other in range(weights.ndim) if other != axis)
    largest = np.abs(weights.astype(np.float64)).max(axis=others, initial=0.0)
    scale = _scale(np.maximum(largest / levels, least))
    return QParams(scale, np.zeros(scale.shape, np.int8), "int8", axis)


def in_float16(grid: QParams) -> QParams:
    """The grid with scales that float16 holds exactly: the next larger ones, so that all fits."""
    with np.errstate(over="ignore"):
        scale = np.minimum(grid.scale, np.finfo(np.float16).max).astype(np.float16)
    above = np.nextafter(scale, np.float16(np.inf))
    scale = np.where(scale.astype(np.float32) < grid.scale, above, scale)
    return replace(grid, scale=np.asarray(scale.astype(np.float32)))


def quantized(array: Array, grid: QParams) -> Array:
    """The integers of `array` on the grid: rounded half to even in float32, and saturated."""
    scale, zero_point = (_spread(numbers, grid, array.ndim) for numbers in _numbers(grid))
    ends = np.iinfo(grid.dtype)
    levels = np.rint(array.astype(np.float32) / scale) + zero_point.astype(np.float32)
    return np.asarray(np.clip(levels, ends.min, ends.max).astype(grid.dtype))


def dequantized(integers: Array, grid: QParams) -> Array:
    """The float32 numbers that integers on the grid stand for."""
    scale, zero_point = (_spread(numbers, grid, integers.ndim) for numbers in _numbers(grid))
    steps = integers.astype(np.int32) - zero_point.astype(np.int32)
    return np.asarray(steps.astype(np.float32) * scale)


@dataclass(frozen=True, slots=True)
class QuantizedWeights:
    """int8 weights, in the shape of a node's own, and their quantization parameters."""

    integers: Array
    grid: QParams

    @property
    def numbers(self) -> Array:
        """What they stand for, float32."""
        return dequantized(self.integers, self.grid)


def _scale(wanted: Any) -> Array:
    """`wanted` as float32; 1 where it is nothing, since a scale divides."""
    scale = np.asarray(wanted, np.float32)
    return np.where(scale < SMALLEST, np.float32(1), scale)


def _numbers(grid: QParams) -> tuple[Array, Array]:
    return grid.scale, grid.zero_point


def _spread(numbers: Array, grid: QParams, rank: int) -> Array:
    """`numbers` in a shape that broadcasts over arrays of `rank` axes."""
    if grid.axis is None:
        return numbers
    return numbers.reshape([-1 if axis == grid.axis else 1 for axis in range(rank)])

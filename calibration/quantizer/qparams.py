"""Quantization parameters: scale, zero point and type, and the arithmetic with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from kexport.arrays import Array
from kexport.calibration.statistics.histogram import Range

Dtype = Literal["uint8", "int8"]

INT8_MAX = 127
"""The largest integer of symmetric quantization: -128 has no counterpart and stays unused."""

MIN_SCALE = float(np.finfo(np.float32).tiny)
"""The smallest normal float32: a division by less may overflow."""


@dataclass(frozen=True, slots=True)
class QParams:
    """Parameters of x = (integer - zero_point) * scale, as in ONNX' QuantizeLinear.

    `scale` is float32 [], or [C] with one scale for each index of `axis`; `zero_point` has the same
    shape and the type `dtype`.
    """

    scale: Array
    zero_point: Array
    dtype: Dtype
    axis: int | None = None


def asymmetric_qparams(extent: Range) -> QParams:
    """Compute uint8 parameters whose 256 levels cover a range and include 0.

    The zero point is 0 where the range starts at 0.
    """
    scale = _valid_scale((extent.high - extent.low) / 255)
    zero_point = np.clip(np.rint(-extent.low / float(scale)), 0, 255)
    return QParams(scale, zero_point.astype(np.uint8), "uint8")


def symmetric_qparams(extent: Range) -> QParams:
    """Compute int8 parameters with a zero point of 0 whose levels -127 to 127 cover a range."""
    scale = _valid_scale(max(-extent.low, extent.high) / INT8_MAX)
    return QParams(scale, np.zeros((), np.int8), "int8")


def weight_qparams(
    weights: Array, axis: int, largest: int = INT8_MAX, min_scale: Array | float = 0.0
) -> QParams:
    """Compute symmetric int8 parameters for each index of `axis`, from its largest magnitude.

    Args:
        weights: float weights of any shape.
        axis: the axis of the output channels.
        largest: the integer that stands for the largest magnitude.
        min_scale: a lower bound of the scales; one number, or one for each channel.
    """
    others = tuple(other for other in range(weights.ndim) if other != axis)
    magnitude = np.abs(weights.astype(np.float64)).max(axis=others, initial=0.0)
    scale = _valid_scale(np.maximum(magnitude / largest, min_scale))
    return QParams(scale, np.zeros(scale.shape, np.int8), "int8", axis)


def with_float16_scales(qparams: QParams) -> QParams:
    """Round the scales up to the next number of float16, so that the range is still covered."""
    with np.errstate(over="ignore"):
        scale = np.minimum(qparams.scale, np.finfo(np.float16).max).astype(np.float16)
    above = np.nextafter(scale, np.float16(np.inf))
    scale = np.where(scale.astype(np.float32) < qparams.scale, above, scale)
    return replace(qparams, scale=np.asarray(scale.astype(np.float32)))


def quantize_array(array: Array, qparams: QParams) -> Array:
    """Quantize an array: rounded half to even in float32, and saturated."""
    scale, zero_point = _broadcast(qparams, array.ndim)
    ends = np.iinfo(qparams.dtype)
    levels = np.rint(array.astype(np.float32) / scale) + zero_point.astype(np.float32)
    return np.asarray(np.clip(levels, ends.min, ends.max).astype(qparams.dtype))


def dequantize_array(integers: Array, qparams: QParams) -> Array:
    """Compute the float32 values that quantized integers represent."""
    scale, zero_point = _broadcast(qparams, integers.ndim)
    steps = integers.astype(np.int32) - zero_point.astype(np.int32)
    return np.asarray(steps.astype(np.float32) * scale)


@dataclass(frozen=True, slots=True)
class QuantizedWeights:
    """int8 weights in the shape of the node's own, and their quantization parameters."""

    integers: Array
    qparams: QParams

    @property
    def dequantized(self) -> Array:
        """The float32 values that the integers represent."""
        return dequantize_array(self.integers, self.qparams)


def _valid_scale(scale: Any) -> Array:
    """Convert a scale to float32; 1 where it is too small to divide by."""
    converted = np.asarray(scale, np.float32)
    return np.where(converted < MIN_SCALE, np.float32(1), converted)


def _broadcast(qparams: QParams, rank: int) -> tuple[Array, Array]:
    """Reshape scale and zero point to broadcast over arrays of `rank` axes."""
    if qparams.axis is None:
        return qparams.scale, qparams.zero_point
    shape = [-1 if axis == qparams.axis else 1 for axis in range(rank)]
    return qparams.scale.reshape(shape), qparams.zero_point.reshape(shape)

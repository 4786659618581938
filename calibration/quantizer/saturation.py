"""Saturation of `vpmaddubsw`: weights whose products fit the 16-bit sums of x86 without VNNI.

`vpmaddubsw` multiplies uint8 by int8, adds neighbouring products in int16 and saturates
(onnxruntime/core/mlas/lib/x86_64/QgemmU8S8KernelAvx2.asm). ONNX Runtime's own remedy is
`reduce_range`, weights of 7 bits, which costs more accuracy than a limit on pairs.
"""

from __future__ import annotations

import numpy as np

from kexport.arrays import Array
from kexport.calibration.quantizer.qparams import INT8_MAX, QParams, weight_qparams

MAX_PAIR_SUM = 128
"""The largest sum of two neighbouring weights of one sign: 255 * 128 is the last multiple of 255 in
int16."""

SCALE_TRIALS = 17
"""Scales tried for a channel, from that of its largest weight to the one with which no pair exceeds
the limit."""

CHUNK = 1 << 20
"""Weights processed at a time, to bound the memory of intermediate arrays."""


def saturation_free_weights(
    weights: Array, axis: int, min_scale: Array | float = 0.0
) -> tuple[Array, QParams]:
    """Quantize weights to int8 per output channel, with no pair above `MAX_PAIR_SUM`.

    Pairs are neighbours in the order in which kernels multiply: the pixels of the window, and
    within each the input channels; the first with the second, the third with the fourth, and so on.
    A channel gets the scale with the smallest expected squared error; both weights of a pair that
    is still too large are reduced by half of the excess.

    Args:
        weights: float, [outputs, inputs, ...] of a Conv or a matrix.
        axis: the axis of the output channels: 0 or, in a matrix, 1.
        min_scale: a lower bound of the scales; one number, or one for each channel.

    Returns:
        The integers in the shape of `weights`, and their quantization parameters.
    """
    wanted = to_rows(weights, axis)
    scale = weight_qparams(weights, axis, INT8_MAX, min_scale).scale.copy()
    integers = np.empty(wanted.shape, np.int8)
    step = max(1, CHUNK // max(1, wanted.shape[1]))
    for start in range(0, len(wanted), step):
        part = slice(start, start + step)
        integers[part], scale[part] = _quantize_rows(wanted[part].astype(np.float32), scale[part])
    zero_point = np.zeros(scale.shape, np.int8)
    return from_rows(integers, weights.shape, axis), QParams(scale, zero_point, "int8", axis)


def _quantize_rows(rows: Array, finest: Array) -> tuple[Array, Array]:
    """Quantize float32 rows [O, K]; return the integers, and scales [O] of at least `finest`.

    The expected error of a scale s is s^2 / 12 for each weight that is rounded, and half of the
    square by which a pair exceeds `MAX_PAIR_SUM` steps.
    """
    sums = _pair_sums(rows)
    coarsest = np.maximum(sums.max(axis=1, initial=0) / (MAX_PAIR_SUM - 1), finest)
    chosen, least = finest.copy(), np.full(len(rows), np.inf)
    for part in np.linspace(0, 1, SCALE_TRIALS, dtype=np.float32):
        scale = finest + part * (coarsest - finest)
        excess = np.maximum(sums - MAX_PAIR_SUM * scale[:, np.newaxis], 0)
        error = rows.shape[1] * scale**2 / 12 + np.einsum("op,op->o", excess, excess) / 2
        better = error < least
        chosen[better], least[better] = scale[better], error[better]
    levels = np.rint(rows / chosen[:, np.newaxis])
    return limit_pair_sums(np.clip(levels, -INT8_MAX, INT8_MAX).astype(np.int8)), chosen


def limit_pair_sums(integers: Array) -> Array:
    """Reduce the pairs of one sign in int8 rows [O, K] whose sum exceeds `MAX_PAIR_SUM` to it."""
    pairs = _as_pairs(integers.astype(np.int16))
    for sign in (1, -1):
        excess = np.maximum((pairs * sign).clip(0).sum(axis=2) - MAX_PAIR_SUM, 0)
        pairs[..., 0] -= sign * (excess - excess // 2)
        pairs[..., 1] -= sign * (excess // 2)
    return np.asarray(pairs.reshape(len(pairs), -1)[:, : integers.shape[1]].astype(np.int8))


def _pair_sums(rows: Array) -> Array:
    """Compute |a + b| of each pair of one sign, and 0 for pairs of mixed signs; [O, K / 2]."""
    pairs = _as_pairs(rows)
    first, second = pairs[..., 0], pairs[..., 1]
    together = np.abs(first + second)
    return np.asarray(np.where(first * second > 0, together, 0))


def _as_pairs(rows: Array) -> Array:
    """Reshape [O, K] to [O, K / 2, 2]; an odd K is padded with a zero."""
    padded = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2)))
    return padded.reshape(len(rows), -1, 2)


def to_rows(weights: Array, axis: int) -> Array:
    """Reshape weights to a row for each output channel, in the order in which kernels multiply."""
    first = np.moveaxis(weights, axis, 0)
    return np.moveaxis(first, 1, -1).reshape(len(first), -1)


def from_rows(integers: Array, shape: tuple[int, ...], axis: int) -> Array:
    """Reshape rows back to weights of a shape: the inverse of `to_rows`."""
    first = np.moveaxis(np.empty(shape, np.int8), axis, 0).shape
    window = (first[0], *first[2:], first[1])
    return np.ascontiguousarray(np.moveaxis(np.moveaxis(integers.reshape(window), -1, 1), 0, axis))

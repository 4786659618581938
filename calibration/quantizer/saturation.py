"""Weights whose products fit where an engine adds two of them in 16 bits."""

from __future__ import annotations

import numpy as np

from kexport.arrays import Array
from kexport.calibration.quantizer.qparams import LEVELS, QParams, of_weights

MOST = 128
"""What two neighbours of one sign may add up to: 255 * 128 is the last multiple of 255 in int16.

Without VNNI, x86 multiplies uint8 by int8 with `vpmaddubsw`, which adds neighbouring products in
int16 and saturates (onnxruntime/core/mlas/lib/x86_64/QgemmU8S8KernelAvx2.asm).
"""

TRIALS = 17
"""How many scales are tried for a channel, between that of its largest weight and the one with
which no pair is too large."""

AT_ONCE = 1 << 20
"""Weights that are worked on at a time."""


def of_pairs(weights: Array, axis: int, least: Array | float = 0.0) -> tuple[Array, QParams]:
    """int8 weights with a grid for each output channel, and no pair of them over `MOST`.

    Neighbours are those in the order in which kernels multiply: pixels of the window, and within
    each the input channels, the first with the second, the third with the fourth, and so on. A
    channel gets the scale with the smallest squared error; pairs that are too large with it are
    both shortened by half of the excess.

    Args:
        weights: float, [outputs, inputs, ...] of a Conv or a matrix.
        axis: that of the output channels, 0 or, in a matrix, 1.
        least: the smallest scale that may be; one number, or one a channel.

    Returns:
        The integers in the shape of `weights`, and their grid.
    """
    wanted = rows(weights, axis)
    scale = of_weights(weights, axis, LEVELS, least).scale.copy()
    integers = np.empty(wanted.shape, np.int8)
    step = max(1, AT_ONCE // max(1, wanted.shape[1]))
    for start in range(0, len(wanted), step):
        part = slice(start, start + step)
        integers[part], scale[part] = _best(wanted[part].astype(np.float32), scale[part])
    zero_point = np.zeros(scale.shape, np.int8)
    return restored(integers, weights.shape, axis), QParams(scale, zero_point, "int8", axis)


def _best(rows: Array, finest: Array) -> tuple[Array, Array]:
    """The best integers of float32 `rows` [O, K], and their scales [O], none below `finest`.

    A scale s is expected to cost s^2 / 12 a weight for rounding, and half of the square by which a
    pair goes beyond `MOST` steps.
    """
    sums = _sums(rows)
    widest = np.maximum(sums.max(axis=1, initial=0) / (MOST - 1), finest)
    chosen, least = finest.copy(), np.full(len(rows), np.inf)
    for part in np.linspace(0, 1, TRIALS, dtype=np.float32):
        scale = finest + part * (widest - finest)
        excess = np.maximum(sums - MOST * scale[:, np.newaxis], 0)
        cost = rows.shape[1] * scale**2 / 12 + np.einsum("op,op->o", excess, excess) / 2
        better = cost < least
        chosen[better], least[better] = scale[better], cost[better]
    levels = np.rint(rows / chosen[:, np.newaxis])
    return shortened(np.clip(levels, -LEVELS, LEVELS).astype(np.int8)), chosen


def shortened(integers: Array) -> Array:
    """int8 [O, K]; pairs of one sign that add up to more than `MOST` are brought down to it."""
    pairs = _pairs(integers.astype(np.int16))
    for sign in (1, -1):
        excess = np.maximum((pairs * sign).clip(0).sum(axis=2) - MOST, 0)
        pairs[..., 0] -= sign * (excess - excess // 2)
        pairs[..., 1] -= sign * (excess // 2)
    return np.asarray(pairs.reshape(len(pairs), -1)[:, : integers.shape[1]].astype(np.int8))


def _sums(rows: Array) -> Array:
    """What the weights of each pair that are of one sign add up to, the larger one; [O, K / 2]."""
    pairs = _pairs(rows)
    first, second = pairs[..., 0], pairs[..., 1]
    together = np.abs(first + second)
    return np.asarray(np.where(first * second > 0, together, 0))


def _pairs(rows: Array) -> Array:
    """[O, K] as [O, K / 2, 2], a zero added where K is odd."""
    padded = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2)))
    return padded.reshape(len(rows), -1, 2)


def rows(weights: Array, axis: int) -> Array:
    """One row for each output channel, in the order in which kernels multiply."""
    first = np.moveaxis(weights, axis, 0)
    return np.moveaxis(first, 1, -1).reshape(len(first), -1)


def restored(integers: Array, shape: tuple[int, ...], axis: int) -> Array:
    """Rows back in the shape that `rows` took."""
    first = np.moveaxis(np.empty(shape, np.int8), axis, 0).shape
    window = (first[0], *first[2:], first[1])
    return np.ascontiguousarray(np.moveaxis(np.moveaxis(integers.reshape(window), -1, 1), 0, axis))

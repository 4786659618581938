"""Rounding of weights for the inputs that they meet, and not each to its nearest integer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.quantizer.qparams import LEVELS
from kexport.graph.edit import attribute


def columns(node: ir.Node, parts: Sequence[Array], shape: Sequence[int], most: int) -> Array:
    """Inputs of a Conv or Gemm for some places of its output, float32 [groups, places, K].

    K runs over the window's pixels and within each over the input channels of a group, as
    `pairs.rows` has the weights ("im2col", K. Chellapilla et al., 2006).

    Args:
        node: without `auto_pad`; a Gemm without `transA`.
        parts: the input, batch by batch, [N, C, H, W] or [N, C]; none is larger than the first.
        shape: of the weights.
        most: how many places are taken at most, as many from each batch, at regular distances.
    """
    each = max(1, most // len(parts))
    take = _of_conv if node.op_type == "Conv" else _of_gemm
    found, filled = np.empty((0, 0, 0)), 0
    for part in parts:
        rows = take(node, part, shape, each)
        if not filled:
            whole = len(rows), len(parts) * rows.shape[1], rows.shape[2]
            found = np.empty_like(rows, shape=whole)
        found[:, filled : filled + rows.shape[1]] = rows
        filled += rows.shape[1]
    return found[:, :filled]


def _of_gemm(node: ir.Node, part: Array, shape: Sequence[int], most: int) -> Array:
    return part[_regular(len(part), most)][np.newaxis]


def _of_conv(node: ir.Node, part: Array, shape: Sequence[int], most: int) -> Array:
    groups, (height, width) = int(attribute(node, "group", 1)), shape[2:]
    steps = attribute(node, "strides", [1, 1])
    apart = attribute(node, "dilations", [1, 1])
    top, left, bottom, right = attribute(node, "pads", [0, 0, 0, 0])
    count, channels, high, wide = part.shape
    rows = (high + top + bottom - apart[0] * (height - 1) - 1) // steps[0] + 1
    across = (wide + left + right - apart[1] * (width - 1) - 1) // steps[1] + 1
    picture, place = np.divmod(_regular(count * rows * across, most), rows * across)
    row, column = np.divmod(place, across)
    found = np.empty((len(place), height * width, channels), part.dtype)
    for index, (y, x) in enumerate(np.ndindex(height, width)):
        down, over = row * steps[0] + y * apart[0] - top, column * steps[1] + x * apart[1] - left
        inside = (down >= 0) & (down < high) & (over >= 0) & (over < wide)
        seen = part[picture, :, down.clip(0, high - 1), over.clip(0, wide - 1)]
        found[:, index] = seen if inside.all() else seen * inside[:, np.newaxis]
    grouped = found.reshape(len(place), height * width, groups, channels // groups)
    return np.moveaxis(grouped, 2, 0).reshape(groups, len(place), -1)


def _regular(count: int, most: int) -> Array:
    """Up to `most` of the first `count` numbers, evenly spread."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.intp)


BLOCK = 64
"""Weights that are rounded before their errors reach all others at once."""

STRIP = 256
"""Columns that are factored at a time."""

DAMPING = 0.1
"""What every input counts beyond what was seen of it, as a share of their mean power."""


def spread(rows: Array) -> Array:
    """The covariance of inputs [G, R, K], R observations of each group; in their type, [G, K, K].

    Their means are nought.
    """
    found = np.matmul(rows.transpose(0, 2, 1), rows)
    found /= max(1, rows.shape[1])
    return np.asarray(found)


def round_for_inputs(weights: Array, power: Array, most: int | None = None) -> Array:
    """Integers for `weights` whose product with the inputs errs little, last column to first.

    With e the error of a row of weights, e power e^T is the mean square of what it does to the
    output. Each weight is rounded to where the errors behind it are best made up for: the nearest
    plane algorithm of L. Babai, 1986, which is what GPTQ computes (E. Frantar et al., "GPTQ:
    Accurate Post-Training Quantization for Generative Pre-trained Transformers", 2022; J. Chen et
    al., "The Geometry of LLM Quantization", 2025).

    Args:
        weights: in steps of their grids, [G, O, K]: O rows in each of G groups.
        power: of the inputs of each group, as `spread` has it, [G, K, K].
        most: what neighbours of one sign, the first with the second and so on, may add up to.

    Returns:
        int8 [G, O, K], from -127 to 127.
    """
    count = weights.shape[2]
    lower = _cholesky(power)
    wanted = np.ascontiguousarray(weights.transpose(0, 2, 1), power.dtype)  # a column lies together
    found, errors = np.zeros(wanted.shape, np.int8), np.zeros_like(wanted)
    for end in range(count, 0, -BLOCK):
        start = max(0, end - BLOCK)
        behind = np.matmul(lower[:, end:, start:end].transpose(0, 2, 1), errors[:, end:])
        for k in range(end - 1, start - 1, -1):
            made_up = behind[:, k - start] / lower[:, k, k, np.newaxis]
            level = np.clip(np.rint(wanted[:, k] + made_up), -LEVELS, LEVELS)
            if most is not None and k % 2 == 0 and k + 1 < count:
                level = _beside(level, found[:, k + 1].astype(level.dtype), most)
            found[:, k] = level
            errors[:, k] = error = wanted[:, k] - level
            behind[:, : k - start] += lower[:, k, start:k, np.newaxis] * error[:, np.newaxis]
    return np.ascontiguousarray(found.transpose(0, 2, 1))


def _cholesky(power: Array) -> Array:
    """The lower factor of the damped `power` [G, K, K], in the lower triangle of the result.

    It is the identity where nothing was seen. Strip by strip, so that there is one matrix of that
    size beside `power`, and not the three of `numpy.linalg.cholesky`.
    """
    factor = power.copy()
    diagonal = np.einsum("gkk->gk", factor)
    mean = diagonal.mean(axis=1, keepdims=True)
    diagonal += np.where(mean > 0, DAMPING * mean, 1.0)
    for start in range(0, power.shape[1], STRIP):
        strip = factor[:, start:, start : start + STRIP]
        width = strip.shape[2]
        left = factor[:, start:, :start]
        strip -= np.matmul(left, left[:, :width].transpose(0, 2, 1))
        strip[:, :width] = top = np.linalg.cholesky(strip[:, :width])
        if strip.shape[1] > width:
            strip[:, width:] = np.matmul(strip[:, width:], np.linalg.inv(top).transpose(0, 2, 1))
    return factor


def _beside(level: Array, neighbour: Array, most: int) -> Array:
    """The nearest to `level` that adds up with its `neighbour` to no more than `most`."""
    upper = np.where(neighbour > 0, most - neighbour, LEVELS)
    lower = np.where(neighbour < 0, -most - neighbour, -LEVELS)
    return np.asarray(np.clip(level, lower, upper))

"""GPTQ: round the weights of a layer so that the error of its output is small."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.quantizer.qparams import INT8_MAX
from kexport.graph.edit import attribute

BLOCK = 64
"""Columns that are rounded before their errors are propagated to all others in one matrix product
("lazy batch updates" in GPTQ, whose own block is 128)."""

CHOLESKY_BLOCK = 256
"""Columns of the Hessian that are factored at a time."""

DAMPING = 0.1
"""GPTQ damping (`percdamp`): added to the Hessian's diagonal, relative to its mean. GPTQ's own
default is 0.01."""


def im2col(node: ir.Node, batches: Sequence[Array], shape: Sequence[int], limit: int) -> Array:
    """Unfold the inputs of a Conv or Gemm for some output positions, [groups, K, positions].

    K runs over the pixels of the window and within each over the input channels of a group, like
    the weights in `saturation.to_rows` (K. Chellapilla et al., 2006).

    Args:
        node: a Conv without `auto_pad`, or a Gemm without `transA`.
        batches: the input, batch by batch, float32 [N, C, H, W] or [N, C]; none is larger than the
            first.
        shape: the shape of the weights.
        limit: the largest number of positions: the same from each batch, evenly spaced.
    """
    each = max(1, limit // len(batches))
    take = _unfold_conv if node.op_type == "Conv" else _unfold_gemm
    found, filled = np.empty((0, 0, 0)), 0
    for batch in batches:
        columns = take(node, batch, shape, each)
        groups, width, count = columns.shape
        if not filled:
            found = np.empty((groups, width, len(batches) * count), columns.dtype)
        found[:, :, filled : filled + count] = columns
        filled += count
    return found[:, :, :filled]


def _unfold_gemm(node: ir.Node, batch: Array, shape: Sequence[int], limit: int) -> Array:
    return batch[_evenly_spaced(len(batch), limit)].T[np.newaxis]


def _unfold_conv(node: ir.Node, batch: Array, shape: Sequence[int], limit: int) -> Array:
    groups, (height, width) = int(attribute(node, "group", 1)), shape[2:]
    strides = attribute(node, "strides", [1, 1])
    dilations = attribute(node, "dilations", [1, 1])
    top, left, bottom, right = attribute(node, "pads", [0, 0, 0, 0])
    count, channels, high, wide = batch.shape
    rows = (high + top + bottom - dilations[0] * (height - 1) - 1) // strides[0] + 1
    columns = (wide + left + right - dilations[1] * (width - 1) - 1) // strides[1] + 1
    image, position = np.divmod(_evenly_spaced(count * rows * columns, limit), rows * columns)
    row, column = np.divmod(position, columns)
    ends = np.searchsorted(image, np.arange(count + 1))
    planes = batch.reshape(count, channels, high * wide)
    found = np.empty((height * width, channels, len(position)), batch.dtype)
    for index, (y, x) in enumerate(np.ndindex(height, width)):
        down = row * strides[0] + y * dilations[0] - top
        over = column * strides[1] + x * dilations[1] - left
        inside = (down >= 0) & (down < high) & (over >= 0) & (over < wide)
        pixel = down.clip(0, high - 1) * wide + over.clip(0, wide - 1)
        for plane, start, end in zip(planes, ends, ends[1:], strict=False):
            np.take(plane, pixel[start:end], axis=1, out=found[index, :, start:end], mode="clip")
        if not inside.all():
            found[index] *= inside
    grouped = found.reshape(height * width, groups, channels // groups, len(position))
    return np.moveaxis(grouped, 1, 0).reshape(groups, -1, len(position))


def _evenly_spaced(count: int, limit: int) -> Array:
    """Return up to `limit` of the indices below `count`, evenly spaced."""
    return np.linspace(0, count - 1, min(count, limit)).astype(np.intp)


def hessian_of(inputs: Array) -> Array:
    """Compute X X^T / R of inputs [G, K, R] with zero mean, in their type, [G, K, K].

    It is the Hessian of the squared output error with respect to the weights, up to a factor.
    """
    found = np.matmul(inputs, inputs.transpose(0, 2, 1))
    found /= max(1, inputs.shape[2])
    return np.asarray(found)


def gptq_round(weights: Array, hessian: Array, max_pair_sum: int | None = None) -> Array:
    """Round `weights` to integers with a small error of the layer's output, last column first.

    An error e of a row of weights has the mean squared output error e H e^T. Each weight is rounded
    to the integer that best compensates the errors of the columns after it: Babai's nearest plane
    algorithm (1986), which is what GPTQ computes (E. Frantar et al., "GPTQ: Accurate Post-Training
    Quantization for Generative Pre-trained Transformers", 2022; J. Chen et al., "The Geometry of
    LLM Quantization", 2025).

    Args:
        weights: in steps of their scales, [G, O, K]: O rows in each of G groups.
        hessian: the Hessian of each group, as `hessian_of` computes it, [G, K, K].
        max_pair_sum: the largest sum of two neighbours of one sign, the first with the second and
            so on.

    Returns:
        int8 [G, O, K], from -127 to 127.
    """
    count = weights.shape[2]
    lower = _damped_cholesky(hessian)
    # one column of all rows is contiguous
    wanted = np.ascontiguousarray(weights.transpose(0, 2, 1), hessian.dtype)
    found, errors = np.zeros(wanted.shape, np.int8), np.zeros_like(wanted)
    for end in range(count, 0, -BLOCK):
        start = max(0, end - BLOCK)
        propagated = np.matmul(lower[:, end:, start:end].transpose(0, 2, 1), errors[:, end:])
        for k in range(end - 1, start - 1, -1):
            compensation = propagated[:, k - start] / lower[:, k, k, np.newaxis]
            level = np.clip(np.rint(wanted[:, k] + compensation), -INT8_MAX, INT8_MAX)
            if max_pair_sum is not None and k % 2 == 0 and k + 1 < count:
                neighbour = found[:, k + 1].astype(level.dtype)
                level = _limit_pair_sum(level, neighbour, max_pair_sum)
            found[:, k] = level
            errors[:, k] = error = wanted[:, k] - level
            propagated[:, : k - start] += lower[:, k, start:k, np.newaxis] * error[:, np.newaxis]
    return np.ascontiguousarray(found.transpose(0, 2, 1))


def _damped_cholesky(hessian: Array) -> Array:
    """Compute the lower Cholesky factor of the damped Hessian [G, K, K], in the lower triangle.

    It is the identity where all inputs are zero. The factorization is blocked, so that it needs one
    matrix of that size beside the Hessian, and not the three of `numpy.linalg.cholesky`.
    """
    factor = hessian.copy()
    diagonal = np.einsum("gkk->gk", factor)
    mean = diagonal.mean(axis=1, keepdims=True)
    diagonal += np.where(mean > 0, DAMPING * mean, 1.0)
    for start in range(0, hessian.shape[1], CHOLESKY_BLOCK):
        strip = factor[:, start:, start : start + CHOLESKY_BLOCK]
        width = strip.shape[2]
        left = factor[:, start:, :start]
        strip -= np.matmul(left, left[:, :width].transpose(0, 2, 1))
        strip[:, :width] = top = np.linalg.cholesky(strip[:, :width])
        if strip.shape[1] > width:
            strip[:, width:] = np.matmul(strip[:, width:], np.linalg.inv(top).transpose(0, 2, 1))
    return factor


def _limit_pair_sum(level: Array, neighbour: Array, max_pair_sum: int) -> Array:
    """Clip `level` so that its sum with a `neighbour` of the same sign is within the limit."""
    upper = np.where(neighbour > 0, max_pair_sum - neighbour, INT8_MAX)
    lower = np.where(neighbour < 0, -max_pair_sum - neighbour, -INT8_MAX)
    return np.asarray(np.clip(level, lower, upper))

"""Rounding of weights for the inputs that they meet, and not each to its nearest integer."""

from __future__ import annotations

from typing import Any

import numpy as np

from kexport.calibration.grid import LEVELS

Array = np.ndarray[Any, Any]

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

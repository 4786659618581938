"""Weights fitted anew to what a layer reads once the layers before it are quantised."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

OBSERVATIONS = 8
"""How many observations there should be for each weight of an output: fewer say more about
themselves than about the inputs, and refitting was seldom found to help."""

DAMPINGS = (0.001, 0.01, 0.1, 1.0)
"""What is tried as the share of their mean power that every input counts beyond what was seen."""


def refitted(weights: Array, wanted: Array, met: Array) -> Array:
    """The weights whose product with the inputs `met` is nearest to `weights` times `wanted`.

    With X the inputs in the float graph and X' those in the quantised one, both less their means,
    W + W (X - X') X'^T (X' X'^T + d I)^-1 has the least |W X - W' X'|^2 + d |W - W'|^2 (ridge
    regression, A. Hoerl and R. Kennard, 1970). It is the filter of N. Wiener, 1949, for the noise
    of all quantisers before, and the asymmetric aim of GPTAQ (Y. Li et al., 2025). The damping d
    is the one with which each half of the observations tells most of the other.

    Args:
        weights: [G, O, K]: O rows in each of G groups.
        wanted: observations of each group's inputs in the float graph, [G, R, K]; of mean nought.
        met: the same observations in the quantised graph, [G, R, K]; of mean nought.

    Returns:
        float64 [G, O, K]; `weights` where no damping helps.
    """
    given = weights.astype(np.float64)
    errors = wanted - met
    halves = [(met[:, part], errors[:, part]) for part in np.array_split(range(met.shape[1]), 2)]
    left = dict.fromkeys(DAMPINGS, 0.0)
    for learned, tested in (halves, halves[::-1]):
        moments = _moments(*learned)
        missing = np.matmul(tested[1], given.transpose(0, 2, 1))
        for damping in DAMPINGS:
            change = _change(given, *moments, damping)
            rest = missing - np.matmul(tested[0], change.transpose(0, 2, 1))
            left[damping] += float(np.vdot(rest, rest))
    best = min(DAMPINGS, key=left.__getitem__)
    plain = np.matmul(errors, given.transpose(0, 2, 1))
    if not left[best] < float(np.vdot(plain, plain)):
        return given
    return given + _change(given, *_moments(met, errors), best)


def _moments(inputs: Array, errors: Array) -> tuple[Array, Array]:
    """Of each group: the power of its inputs, and errors times inputs; float64 [G, K, K] each."""
    across = inputs.transpose(0, 2, 1)
    power, shared = np.matmul(across, inputs), np.matmul(errors.transpose(0, 2, 1), inputs)
    return power.astype(np.float64), shared.astype(np.float64)


def _change(weights: Array, power: Array, shared: Array, damping: float) -> Array:
    damped = power.copy()
    diagonal = np.einsum("gkk->gk", damped)
    mean = diagonal.mean(axis=1, keepdims=True)
    diagonal += np.where(mean > 0, damping * mean, 1.0)
    solved = np.linalg.solve(damped, np.matmul(weights, shared).transpose(0, 2, 1))
    return np.asarray(solved.transpose(0, 2, 1))

"""Parity metrics: how far the outputs of two models differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .top_k import ranking_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


SMALLEST = 2.0**-100
"""Probabilities below it count as equal. Engines compute a float32 softmax with exponentials that
underflow at different values near 2^-126: one returns 2e-38 where another returns 0."""


@dataclass(frozen=True)
class Difference:
    """One measured quantity: `max_abs`, `spread_error` and, for class scores, `top1_agreement`."""

    name: str
    max_abs: float
    error: float
    top1_agreement: float | None


def max_abs(candidate: NDArray[Any], reference: NDArray[Any]) -> float:
    """Return the largest absolute difference, in float64.

    Infinite if the shapes differ or a value is not finite.
    """
    if candidate.shape != reference.shape:
        return float("inf")
    if not reference.size:
        return 0.0
    with np.errstate(all="ignore"):
        gap = np.abs(candidate.astype(np.float64) - reference.astype(np.float64)).max()
    return float(gap) if np.isfinite(gap) else float("inf")


def spread(reference: NDArray[Any]) -> float:
    """Return the standard deviation over all elements, in float64; 0 for constant or no elements.

    Rounding of the mean would give a constant array a tiny deviation.
    """
    if not reference.size or reference.min() == reference.max():
        return 0.0
    return float(reference.astype(np.float64).std())


def unit(reference: NDArray[Any]) -> float:
    """Return what errors of an output are measured in: its spread.

    A constant has none: then its magnitude, and 1 for zeros.
    """
    found = spread(reference)
    if found or not reference.size:
        return found or 1.0
    return abs(float(reference.flat[0])) or 1.0


def spread_error(candidate: NDArray[Any], reference: NDArray[Any]) -> float:
    """Return max |candidate - reference| / unit(reference) over all images and elements.

    Relative to the spread of the reference, an error means the same for scores near 0.001 as for
    features near 100. In float64; infinite where `max_abs` is.
    """
    gap = max_abs(candidate, reference)
    return gap / unit(reference) if gap and np.isfinite(gap) else gap


def logits_of(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Recover the input of a softmax, up to a constant per row, from its output.

    The result is log p minus its mean over the last axis, which is exactly 0 where all are equal. p
    is first clipped at `SMALLEST`.
    """
    logs = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))
    logs -= logs[..., :1].copy()
    centred: NDArray[np.float64] = logs - logs.mean(axis=-1, keepdims=True)
    return centred


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return exp(x) / sum(exp(x)) over the last axis, in float64; large logits do not overflow."""
    wide = logits.astype(np.float64)
    powers = np.exp(wide - wide.max(axis=-1, keepdims=True))
    scores: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return scores


def top1_agreement(candidate: NDArray[Any], reference: NDArray[Any]) -> float:
    """Return the share of rows with the same argmax; 0 if the shapes differ."""
    if candidate.shape != reference.shape:
        return 0.0
    return float(np.mean(candidate.argmax(axis=-1) == reference.argmax(axis=-1)))


def differences(
    kinds: Mapping[str, str],
    candidate: Mapping[str, NDArray[Any]],
    reference: Mapping[str, NDArray[Any]],
) -> tuple[Difference, ...]:
    """Measure every output named in `kinds` (name -> kind as in the manifest), in that order.

    An output of kind `probabilities` is measured twice: as it is, and through `logits_of` under the
    name `logits`, because a softmax compresses differences and so hides errors. The second row is
    omitted if the last axis has one element, and named `<output>.logits` if `logits` is taken. An
    output of kind `indices` is measured by `ranking_error`; its reference is the scores of all
    classes.
    """
    rows: dict[str, Difference] = {}
    for name, kind in kinds.items():
        ours, theirs = candidate[name], reference[name]
        if kind == "indices":
            rows[name] = _ranking(name, ours, theirs)
            continue
        ranked = kind in ("probabilities", "logits") and theirs.ndim > 0 and theirs.shape[-1] > 1
        rows[name] = _difference(name, ours, theirs, ranked)
        if kind == "probabilities" and ranked:
            free = "logits" not in kinds and "logits" not in rows
            inner = "logits" if free else f"{name}.logits"
            rows[inner] = _difference(inner, logits_of(ours), logits_of(theirs), ranked)
    return tuple(rows.values())


def _ranking(name: str, indices: NDArray[Any], scores: NDArray[Any]) -> Difference:
    gap = ranking_error(indices, scores)
    error = gap / unit(scores) if gap and np.isfinite(gap) else gap
    same = indices[:, 0] == scores.argmax(axis=-1) if np.isfinite(gap) else np.zeros(1)
    return Difference(name, gap, error, float(np.mean(same)))


def _difference(
    name: str, candidate: NDArray[Any], reference: NDArray[Any], ranked: bool
) -> Difference:
    return Difference(
        name,
        max_abs(candidate, reference),
        spread_error(candidate, reference),
        top1_agreement(candidate, reference) if ranked else None,
    )

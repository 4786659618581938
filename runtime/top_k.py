"""Comparison of a model's top-K classes with the scores that Keras gives all classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .manifest import OutputSpec

    Arrays = Mapping[str, NDArray[Any]]


def expand_top_k(
    outputs: Sequence[OutputSpec], given: Arrays, golden: Arrays
) -> tuple[dict[str, str], dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Return the arguments of `compare.differences`: kinds, the model's outputs, and the reference.

    Under the name of the `scores`, `golden` holds the scores of all classes, [N, classes]. The
    model's scores [N, K] are written into a copy of these, at the classes that the model picked,
    and the copy is compared with the original as probabilities or logits. The reference of the
    `indices` is the golden scores. Other outputs are returned unchanged.
    """
    kinds = {spec.name: spec.kind for spec in outputs}
    candidate, reference = dict(given), dict(golden)
    scores = next((spec for spec in outputs if spec.kind == "scores"), None)
    indices = next((spec for spec in outputs if spec.kind == "indices"), None)
    if scores is None or indices is None:
        return kinds, candidate, reference
    every = golden[scores.name]
    picked = given[indices.name]
    kinds[scores.name] = scores.of or "tensor"
    candidate[scores.name] = _put(every, picked, given[scores.name])
    reference[indices.name] = every
    return kinds, candidate, reference


def ranking_error(picked: NDArray[Any], scores: NDArray[Any]) -> float:
    """Return the ranking error of K classes, [N, K], by the `scores` of all, [N, classes].

    This is the largest difference between the score of the class at a rank and the score that
    belongs at that rank: 0 for the same classes in the same order, and small if classes with nearly
    equal scores are swapped. Infinite for an index that is repeated or is not a class.
    """
    if not _are_classes(picked, scores):
        return float("inf")
    wide = scores.astype(np.float64)
    best = -np.sort(-wide, axis=-1)[:, : picked.shape[1]]
    gap = np.abs(best - np.take_along_axis(wide, picked, axis=-1)).max()
    return float(gap) if np.isfinite(gap) else float("inf")


def _are_classes(picked: NDArray[Any], scores: NDArray[Any]) -> bool:
    if picked.ndim != 2 or scores.ndim != 2 or len(picked) != len(scores) or not picked.size:
        return False
    if picked.min() < 0 or picked.max() >= scores.shape[1]:
        return False
    return all(len(np.unique(row)) == len(row) for row in picked)


def _put(every: NDArray[Any], picked: NDArray[Any], scores: NDArray[Any]) -> NDArray[Any]:
    if not _are_classes(picked, every) or scores.shape != picked.shape:
        return scores
    whole = every.astype(np.float64)
    np.put_along_axis(whole, picked, scores.astype(np.float64), axis=-1)
    return whole

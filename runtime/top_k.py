"""The best classes that a model gives, beside what Keras scored all classes with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .manifest import OutputSpec

    Arrays = Mapping[str, NDArray[Any]]


def unranked(
    outputs: Sequence[OutputSpec], given: Arrays, golden: Arrays
) -> tuple[dict[str, str], dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Return what `compare.differences` takes: kinds, what the model gave, and the reference.

    `golden` holds under the name of the `scores` those of all classes, [N, classes]. Into a copy of
    it the scores [N, K] are put that the model gave for its classes, and the two are compared as
    what they are of, probabilities or logits. The `indices` are judged by the golden scores. Other
    outputs are left as they are.
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


def misplacement(picked: NDArray[Any], scores: NDArray[Any]) -> float:
    """How far wrong the ranking of K classes is, [N, K], by the `scores` of all, [N, classes].

    The largest distance between the score of the class in a place and the score that belongs there:
    0 where the same classes come in the same order, and little where classes changed places that
    score nearly the same. Infinite for a class that comes twice or is not there.
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

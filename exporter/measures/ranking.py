"""Measures of scores that need no threshold: area under the ROC curve, average precision."""

from __future__ import annotations

import numpy as np

from kexport.arrays import Array


def area_under_roc(scores: Array, positive: Array) -> float:
    """Compute how often a positive sample has a larger score than a negative one.

    Equal scores count half (the statistic of Mann and Whitney; J. Hanley and B. McNeil, "The
    meaning and use of the area under a ROC curve", Radiology 143, 1982).

    Args:
        scores: [N].
        positive: bool [N]; at least one is true and one false.
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # from 1; equal scores share a rank
    yes = int(np.count_nonzero(positive))
    no = len(scores) - yes
    return float((ranks[positive].sum() - yes * (yes + 1) / 2) / (yes * no))


def average_precision(scores: Array, positive: Array) -> float:
    """Compute the sum of precision times gain in recall over all thresholds, without interpolation.

    Equal scores are passed at once. (C. Manning, P. Raghavan and H. Schuetze, "Introduction to
    Information Retrieval", 2008, section 8.4.)

    Args:
        scores: [N].
        positive: bool [N]; at least one is true.
    """
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(positive[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    precision, recall = right[last] / (last + 1), right[last] / right[-1]
    return float(np.sum(precision * np.diff(recall, prepend=0.0)))

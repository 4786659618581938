"""Predicted change rate: the share of images whose class the noise of the scores will change.

A count of a few dozen images moves in steps of several per cent, so it can neither rank two repairs
nor tell 1 % from 3 %. The prediction uses how far each image is from a change, and so is smooth in
the noise.
"""

from __future__ import annotations

import math

import numpy as np

from kexport.arrays import Array

NODES, FARTHEST = 64, 5.0
"""Midpoints of the integral over the noise, and its end in standard deviations."""

MIN_BANDWIDTH = 1e-12
"""In place of a bandwidth of 0, relative to the largest margin."""


def margins_of(scores: Array, rivals: Array | None = None) -> Array:
    """Compute how far each row of scores [N, C] is from another best class, float64 [N].

    It is the best score minus the second best, or minus that of the class in `rivals` [N].
    """
    ordered = np.partition(scores.astype(np.float64), -2, axis=1)
    if rivals is None:
        return np.asarray(ordered[:, -1] - ordered[:, -2])
    return np.asarray(ordered[:, -1] - scores[np.arange(len(scores)), rivals])


def change_probabilities(margins: Array, noise: Array) -> Array:
    """Compute the probability that noise exceeds the margin of each image, float64 [N].

    `noise` [N, C] is the difference of the scores. The noise of the difference of two classes is
    normal with twice the variance of an image's noise over its classes. Few images show few small
    margins, so their distribution is smoothed by a Gaussian kernel, reflected at 0 (Silverman,
    "Density Estimation for Statistics and Data Analysis", 1986, section 2.10). Its bandwidth is
    half of the margin of rank sqrt(N), so that it follows the density near 0, where changes happen
    (nearest neighbours: Loftsgaarden and Quesenberry, 1965). The probability of a change is then
    nearly proportional to the noise where the noise is small.
    """
    deviation = math.sqrt(2.0) * noise.astype(np.float64).std(axis=1, ddof=1)
    nearest = float(np.sort(margins)[math.isqrt(len(margins) - 1)])
    bandwidth = max(nearest / 2, MIN_BANDWIDTH * max(float(np.max(margins)), 1.0))
    step = FARTHEST / NODES
    nodes = (np.arange(NODES) + 0.5) * step
    density = np.exp(-nodes * nodes / 2) * step / math.sqrt(2 * math.pi)
    reach = deviation[:, np.newaxis] * nodes
    margin = margins[:, np.newaxis]
    within = _normal((reach - margin) / bandwidth) - _normal((-reach - margin) / bandwidth)
    return np.asarray(within @ density)


def predicted_change_rate(reference: Array, candidate: Array) -> float:
    """Predict the share of images whose best class differs between scores [N, C]."""
    margins = margins_of(reference)
    return float(change_probabilities(margins, candidate - reference).mean())


def predicted_top1_drop(reference: Array, candidate: Array, labels: Array) -> float:
    """Predict the loss of top-1 accuracy: right answers that change, minus wrong ones mended."""
    noise, right = candidate - reference, reference.argmax(axis=1) == labels
    lost = change_probabilities(margins_of(reference), noise)[right].sum()
    gained = change_probabilities(margins_of(reference, labels), noise)[~right].sum()
    return float(lost - gained) / len(labels)


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _normal(x: Array) -> Array:
    """Compute the distribution function of the standard normal distribution."""
    return np.asarray(0.5 * (1 + _erf(x / math.sqrt(2.0))))

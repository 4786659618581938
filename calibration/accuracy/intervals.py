"""Confidence intervals of shares and of paired differences, from counts of images.

Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the
binomial", Biometrika 26, 1934: the limits of a share are quantiles of beta distributions, and the
interval covers the true share with at least the stated confidence, for any number of images.
"""

from __future__ import annotations

import math
from typing import NamedTuple

FRACTIONS = 400
"""Terms of the continued fraction of the incomplete beta function, which needs about the square
root of its larger parameter: enough for 100,000 images."""

TINY = 1e-300
"""In place of zeros in the denominators of the continued fraction (Lentz's method)."""


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    low: float
    high: float


def share_interval(count: float, total: float, confidence: float) -> Interval:
    """Compute the Clopper-Pearson interval of the share `count / total`.

    Args:
        count: how many of the images have the property; need not be a whole number.
        total: the number of images, greater than 0.
        confidence: the smallest probability that the interval covers the true share, such as 0.95.
    """
    tail = (1 - confidence) / 2
    low = 0.0 if count <= 0 else _beta_quantile(tail, count, total - count + 1)
    high = 1.0 if count >= total else _beta_quantile(1 - tail, count + 1, total - count)
    return Interval(low, high)


def difference_interval(lost: float, gained: float, total: float, confidence: float) -> Interval:
    """Compute an interval of the paired difference `(lost - gained) / total`.

    Both shares come from the same images, so they are not independent. Newcombe's square-and-add
    principle ("Improved confidence intervals for the difference between binomial proportions based
    on paired data", Statistics in Medicine 17, 1998, method 10) combines the limits of two shares
    and their correlation; Zou and Donner ("Construction of confidence intervals about effect
    measures: a general approach", Statistics in Medicine 27, 2008) derive it for any limits. Here
    they are the exact limits of the two discordant shares, whose correlation is that of two cells
    of a multinomial distribution. Exact limits make the interval wider than Newcombe's own, which
    are Wilson's.

    Args:
        lost: the images that only the first method has right.
        gained: the images that only the second method has right.
        total: the number of images, greater than 0.
        confidence: of the interval, such as 0.95.
    """
    first, second = lost / total, gained / total
    odds = first * second / ((1 - first) * (1 - second)) if max(first, second) < 1 else 0.0
    correlation = -math.sqrt(odds)
    one, other = (share_interval(count, total, confidence) for count in (lost, gained))
    below = _added(first - one.low, other.high - second, correlation)
    above = _added(one.high - first, second - other.low, correlation)
    drop = first - second
    return Interval(max(drop - below, -1.0), min(drop + above, 1.0))


def _added(one: float, other: float, correlation: float) -> float:
    return math.sqrt(one * one + other * other - 2 * correlation * one * other)


def _beta_quantile(probability: float, a: float, b: float) -> float:
    """Find the quantile of the beta distribution by bisection, to the resolution of float64."""
    low, high = 0.0, 1.0
    while (middle := (low + high) / 2) not in (low, high):
        if incomplete_beta(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return high


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Compute the regularized incomplete beta function I_x(a, b), for x from 0 to 1.

    By its continued fraction (NIST Digital Library of Mathematical Functions, 8.17.22), evaluated
    with Lentz's method as modified by Thompson and Barnett (1986).
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction of the complement converges faster
        return 1 - incomplete_beta(1 - x, b, a)
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta) / a
    value, c, d = 1.0, 1.0, 0.0
    for index in range(FRACTIONS):
        half = index // 2
        if index == 0:
            term = 1.0
        elif index % 2 == 0:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        else:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        d = 1 / _nonzero(1 + term * d)
        c = _nonzero(1 + term / c)
        value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * (value - 1)


def _nonzero(value: float) -> float:
    return value if abs(value) > TINY else TINY

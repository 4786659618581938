"""Confidence intervals: against SciPy, published limits, and their exact coverage."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from kexport.calibration.accuracy.intervals import (
    difference_interval,
    incomplete_beta,
    share_interval,
)


def test_the_incomplete_beta_function_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for a, b, level in zip(*10 ** rng.uniform(-1, 5, (2, 500)), rng.uniform(size=500), strict=True):
        x = float(special.betaincinv(a, b, level))
        assert incomplete_beta(x, a, b) == pytest.approx(special.betainc(a, b, x), abs=1e-9)
    assert (incomplete_beta(0.0, 2, 3), incomplete_beta(1.0, 2, 3)) == (0.0, 1.0)


@pytest.mark.parametrize("confidence", [0.95, 0.975])
@pytest.mark.parametrize(
    ("count", "total"), [(0, 50), (3, 50), (50, 50), (1, 30), (10, 500), (499, 500), (1, 1)]
)
def test_the_interval_of_a_share_is_that_of_scipy(
    count: int, total: int, confidence: float
) -> None:
    wanted = stats.binomtest(count, total).proportion_ci(confidence, "exact")
    assert share_interval(count, total, confidence) == pytest.approx((wanted.low, wanted.high))


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ],
)
def test_the_interval_of_a_share_is_the_published_one(
    count: int, total: int, low: float, high: float
) -> None:
    """R. Newcombe, Statistics in Medicine 17, 1998, 857-872, table I, method 5."""
    found = share_interval(count, total, 0.95)
    assert [round(end, 4) for end in found] == [low, high]


def test_a_paired_difference_without_gains_reaches_no_further_than_the_losses() -> None:
    low, high = difference_interval(3, 0, 50, 0.95)
    assert high == pytest.approx(share_interval(3, 50, 0.95).high)
    assert low < share_interval(3, 50, 0.95).low


def test_a_paired_difference_changes_its_sign_with_the_roles() -> None:
    low, high = difference_interval(7, 1, 21, 0.95)
    assert difference_interval(1, 7, 21, 0.95) == pytest.approx((-high, -low))


@pytest.mark.parametrize("total", [20, 50])
@pytest.mark.parametrize(
    ("lost", "gained"),
    [(0.0, 0.0), (0.01, 0.0), (0.03, 0.01), (0.05, 0.05), (0.1, 0.02), (0.3, 0.1), (0.02, 0.2)],
)
def test_the_paired_interval_covers_the_true_difference(
    lost: float, gained: float, total: int
) -> None:
    """The exact probability, summed over all outcomes of the multinomial distribution."""
    covered = 0.0
    for b, c in itertools.product(range(total + 1), repeat=2):
        rest = total - b - c
        if rest < 0:
            continue
        ways = math.comb(total, b) * math.comb(total - b, c)
        chance = ways * lost**b * gained**c * (1 - lost - gained) ** rest
        if chance < 1e-9:
            continue
        low, high = difference_interval(b, c, total, 0.95)
        covered += chance * (low - 1e-12 <= lost - gained <= high + 1e-12)
    assert covered >= 0.95

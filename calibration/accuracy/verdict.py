"""Verdict on a quantized model: is its accuracy drop within the limit, as far as is known?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from kexport.calibration.accuracy.intervals import Interval
from kexport.measures.resample import CONFIDENCE

Outcome = Literal["passed", "undecided", "refused"]
"""The whole interval lies within the limit; the limit lies between its ends; or the whole interval
lies beyond the limit."""

JUDGEMENTS = 2
"""The models that are judged on the same images: the one entirely in int8, and the one with nodes
in float. Each interval has a confidence of 1 - 0.05 / 2, so that both hold together with 0.95
(Bonferroni's inequality; O. Dunn, "Multiple Comparisons Among Means", 1961)."""

INTERVAL_CONFIDENCE = 1 - (1 - CONFIDENCE) / JUDGEMENTS

MOST_IMAGES = 100_000
"""The largest number of images that is stated as enough to decide."""

ROUNDING = 1e-9
"""Tolerance on the limit for the rounding of shares in float64."""

IntervalOf = Callable[[float], Interval]
"""Computes the interval of the drop for a number of images at the observed rates."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The accuracy drop of a model, what is known about it, and the decision."""

    drop: float
    """The drop on the images that were judged; 0 is no loss."""
    interval: Interval
    """The confidence interval of the drop on all such images."""
    outcome: Outcome
    images_to_decide: int | None = None
    """Where it is undecided: the number of images that would decide if the rates stayed as they
    are; None where more than `MOST_IMAGES` would be needed."""


def judge(drop: float, images: int, interval_of: IntervalOf, max_drop: float) -> Verdict:
    """Decide by the confidence interval of the drop, and count the images that would decide."""
    interval = interval_of(images)
    outcome = outcome_of(interval, max_drop)
    if outcome != "undecided":
        return Verdict(drop, interval, outcome)
    return Verdict(drop, interval, outcome, images_to_decide(images, interval_of, max_drop))


def outcome_of(interval: Interval, max_drop: float) -> Outcome:
    """Compare an interval with the limit."""
    if interval.high <= max_drop + ROUNDING:
        return "passed"
    return "refused" if interval.low > max_drop + ROUNDING else "undecided"


def images_to_decide(images: int, interval_of: IntervalOf, max_drop: float) -> int | None:
    """Find how many images would decide, by doubling their number and bisection."""

    def is_decided(count: int) -> bool:
        return outcome_of(interval_of(count), max_drop) != "undecided"

    low, high = images, 2 * images
    while not is_decided(high):
        if high > MOST_IMAGES:
            return None
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_decided(middle) else (middle, high)
    return high

"""What a quantised model must reach."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from kexport.calibration.metrics import Quality, decibels

Measure = Literal["labels", "agreement", "noise", "nothing"]

NOISE = 5.0
"""How large noise may be, as a share of the scores, for each share of images that may change
their class: 26 dB for one of a hundred. Were the leads of the best classes over the second best
spread evenly up to three times the deviation of the scores, about as many would change."""

ROUNDING = 1e-9
"""How much more than the drop that is allowed counts as rounding of shares."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """The measure that decides, and the largest drop that it allows."""

    measure: Measure
    max_drop: float
    exact: Quality
    """Keras' own."""

    def drop(self, quality: Quality) -> float:
        """How much is lost: 0 is nothing.

        With labels, of Keras' top-1 accuracy; without, the share of images with another best
        class than Keras'; where an output has no classes, the power of the noise as a share of that
        of the signal.
        """
        if self.measure == "labels":
            return (self.exact.top1 or 0.0) - (quality.top1 or 0.0)
        if self.measure == "agreement":
            return 1.0 - (quality.agreement or 0.0)
        return math.pow(10, -quality.sqnr / 10)

    def holds(self, quality: Quality) -> bool:
        """Whether no more is lost than may be; always where nothing can be said."""
        return self.measure == "nothing" or self.drop(quality) <= self.max_drop + ROUNDING

    def ample(self, quality: Quality) -> bool:
        """Whether images that were not judged will hold too.

        Of fifty images none may change its class while three of a hundred others do, above all
        where the fifty are those that the model was trained on. So where agreement decides, the
        noise of the scores must be small beside them as well: `NOISE` times the drop, in amplitude.
        """
        if self.measure != "agreement":
            return self.holds(quality)
        largest = min(NOISE * self.max_drop, 1.0)
        return self.holds(quality) and quality.sqnr >= decibels(1.0, largest**2)

    def entry(self) -> dict[str, Any]:
        """The manifest's entry `quantization.gate`."""
        return {"measure": self.measure, "max_drop": self.max_drop}


def measure_of(*, random: bool, labelled: bool, classes: bool) -> Measure:
    """What to decide by.

    With random weights every class is nearly as likely as the next, and agreement says nothing.
    """
    if labelled:
        return "labels"
    if random:
        return "nothing"
    return "agreement" if classes else "noise"

"""What a quantised model must reach."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from kexport.calibration.quality import Quality

Measure = Literal["labels", "agreement", "noise", "nothing"]

ROUNDING = 1e-9
"""How much more than the drop that is allowed counts as rounding of shares."""


@dataclass(frozen=True, slots=True)
class Passing:
    """The measure that decides, and the largest drop that it allows."""

    measure: Measure
    max_drop: float
    exact: Quality
    """Keras' own."""

    def drop(self, quality: Quality) -> float:
        """How much is lost: 0 is nothing.

        With labels, of Keras' top-1 accuracy; without, the share of pictures with another best
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

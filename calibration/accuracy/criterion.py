"""Accuracy criterion: the largest loss that a quantized model may have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from kexport.calibration.accuracy.evaluator import Evaluator
from kexport.calibration.metrics import Quality, decibels

Measure = Literal["labels", "agreement", "noise", "nothing"]

NOISE_PER_DROP = 5.0
"""The largest noise, as a share of the scores in amplitude, for each share of images that may
change their class: 26 dB for 0.01. Derived for margins between the two best classes that are spread
evenly up to three standard deviations of the scores: about that share of images would change."""

ROUNDING = 1e-9
"""Tolerance on the drop for the rounding of shares in float64."""


class AcceptanceCriterion(Protocol):
    """The decisions that accuracy control needs."""

    def is_met(self, quality: Quality) -> bool:
        """Decide whether a model of this quality may be published."""

    def has_margin(self, quality: Quality) -> bool:
        """Decide whether a model of this quality needs no further nodes in float."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """The measure that decides, and the largest drop of it."""

    measure: Measure
    max_drop: float
    reference: Quality
    """The quality of Keras itself."""

    def drop(self, quality: Quality) -> float:
        """Compute the accuracy drop; 0 is no loss.

        With labels it is the loss of Keras' top-1 accuracy; without, the share of images whose best
        class differs from Keras'; for an output without classes, the power of the noise relative to
        that of the signal.
        """
        if self.measure == "labels":
            return (self.reference.top1 or 0.0) - (quality.top1 or 0.0)
        if self.measure == "agreement":
            return 1.0 - (quality.agreement or 0.0)
        return math.pow(10, -quality.sqnr / 10)

    def is_met(self, quality: Quality) -> bool:
        """Decide whether the drop is within the limit; always met where nothing is measured."""
        return self.measure == "nothing" or self.drop(quality) <= self.max_drop + ROUNDING

    def has_margin(self, quality: Quality) -> bool:
        """Decide whether the criterion is likely to be met on images that were not evaluated too.

        Fifty images may all keep their class while three of a hundred others change theirs, above
        all where the model was trained on the fifty. So where agreement decides, the noise of the
        scores must be small too: at most `NOISE_PER_DROP` times the drop, in amplitude.
        """
        if self.measure != "agreement":
            return self.is_met(quality)
        largest = min(NOISE_PER_DROP * self.max_drop, 1.0)
        return self.is_met(quality) and quality.sqnr >= decibels(1.0, largest**2)

    def entry(self) -> dict[str, Any]:
        """Build the manifest's entry `quantization.gate`."""
        return {"measure": self.measure, "max_drop": self.max_drop}


def criterion_for(evaluator: Evaluator, max_drop: float, *, random: bool) -> Criterion:
    """Build the criterion of an evaluation set; `random` says that the weights are random."""
    labelled, classes = evaluator.labels is not None, evaluator.kind != "numbers"
    measure = choose_measure(random=random, labelled=labelled, classes=classes)
    return Criterion(measure, max_drop, evaluator.evaluate_reference())


def choose_measure(*, random: bool, labelled: bool, classes: bool) -> Measure:
    """Choose the measure that decides.

    With random weights all classes are nearly equally likely, so agreement is meaningless.
    """
    if labelled:
        return "labels"
    if random:
        return "nothing"
    return "agreement" if classes else "noise"

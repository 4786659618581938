"""Accuracy criterion: the largest loss that a quantized model may have, and what is known of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

from kexport.calibration.accuracy.evaluator import Evaluator, Kind
from kexport.calibration.accuracy.intervals import (
    Interval,
    difference_interval,
    share_interval,
)
from kexport.calibration.accuracy.verdict import (
    INTERVAL_CONFIDENCE,
    ROUNDING,
    Verdict,
    judge,
)
from kexport.calibration.metrics import Quality
from kexport.measures.resample import CONFIDENCE

Measure = Literal["labels", "agreement", "noise", "spread", "directions", "nothing"]

SMOOTH = ("noise", "spread", "directions")
"""Measures over so many numbers that they are taken as known."""

OF_NUMBERS: dict[Kind, Measure] = {
    "numbers": "noise",
    "quantities": "spread",
    "vectors": "directions",
}


class AcceptanceCriterion(Protocol):
    """The decisions that accuracy control needs."""

    def is_met(self, quality: Quality) -> bool:
        """Decide whether a model of this quality may be published."""

    def has_margin(self, quality: Quality) -> bool:
        """Decide whether a model of this quality needs no further nodes in float."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """The measure that decides, and the largest drop of it."""

    measure: str
    """A `Measure`, or the name of a task's measure."""
    max_drop: float
    reference: Quality
    """The quality of Keras itself."""

    def verdict(self, quality: Quality) -> Verdict | None:
        """Judge a model; None where nothing is measured.

        With labels the drop is the loss of Keras' top-1 accuracy; without, the share of images
        whose best class differs from Keras'. Its confidence interval decides. For an output without
        classes it is the power of the noise relative to that of the signal; for quantities
        relative to their variance, and for vectors that of the directions likewise.
        """
        if self.measure == "nothing":
            return None
        if self.measure in SMOOTH:
            drop = noise_of(quality)
            return judge(drop, 1, lambda images: Interval(drop, drop), self.max_drop)
        interval_of = partial(_interval_at, quality, labelled=self.measure == "labels")
        drop = (quality.lost - quality.gained) / quality.images
        return judge(drop, quality.images, interval_of, self.max_drop)

    def is_met(self, quality: Quality) -> bool:
        """Decide whether the model may be published: unless its drop is known to exceed the limit.

        A small number of images cannot show that a model is within the limit, but three of fifty
        that change class are no proof that it is not.
        """
        verdict = self.verdict(quality)
        return verdict is None or verdict.outcome != "refused"

    def predicted_drop(self, quality: Quality) -> float:
        """Predict the drop from margins and noise; 0 where nothing is measured."""
        if self.measure == "nothing":
            return 0.0
        return noise_of(quality) if self.measure in SMOOTH else quality.predicted_drop or 0.0

    def has_margin(self, quality: Quality) -> bool:
        """Decide whether the predicted drop is within the limit, and the counted one may be.

        Repairs and nodes in float are searched until this holds, because a prediction changes with
        the smallest improvement, and a count of few images does not.
        """
        return self.is_met(quality) and self.predicted_drop(quality) <= self.max_drop + ROUNDING

    def entry(self, quality: Quality) -> dict[str, Any]:
        """Build the manifest's entry `quantization.gate` for the published model."""
        verdict = self.verdict(quality)
        found = {"measure": self.measure, "max_drop": self.max_drop}
        if verdict is None:
            return {**found, "outcome": None}
        return {
            **found,
            "outcome": verdict.outcome,
            "drop": verdict.drop,
            "interval": list(verdict.interval),
            "confidence": CONFIDENCE,
            "images_to_decide": verdict.images_to_decide,
            "predicted_drop": self.predicted_drop(quality),
        }


def noise_of(quality: Quality) -> float:
    """Compute the power of the noise relative to that of the signal."""
    return math.pow(10, -quality.sqnr / 10)


def objective(quality: Quality) -> tuple[float, float]:
    """Compute what repairs and nodes in float minimize: the predicted change rate, then the noise.

    Without classes it is the noise alone.
    """
    noise = -quality.sqnr
    return (noise, noise) if quality.change_rate is None else (quality.change_rate, noise)


def _interval_at(quality: Quality, images: float, *, labelled: bool) -> Interval:
    """Compute the interval of the drop for a number of images at the rates of `quality`."""
    scale = images / quality.images
    lost, gained = quality.lost * scale, quality.gained * scale
    if labelled:
        return difference_interval(lost, gained, images, INTERVAL_CONFIDENCE)
    return share_interval(lost, images, INTERVAL_CONFIDENCE)


def criterion_for(evaluator: Evaluator, max_drop: float, *, random: bool) -> Criterion:
    """Build the criterion of an evaluation set; `random` says that the weights are random."""
    measure = choose_measure(evaluator.kind, random=random, labelled=evaluator.labels is not None)
    return Criterion(measure, max_drop, evaluator.evaluate_reference())


def choose_measure(kind: Kind, *, random: bool, labelled: bool) -> Measure:
    """Choose the measure that decides.

    With random weights all classes are nearly equally likely, so agreement is meaningless.
    """
    if labelled:
        return "labels"
    if random:
        return "nothing"
    return OF_NUMBERS.get(kind, "agreement")

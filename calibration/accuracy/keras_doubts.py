"""Doubts about Keras itself on labelled images: is it right as often as it should be?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from kexport.arrays import Array
from kexport.calibration.accuracy.intervals import Interval, share_interval
from kexport.measures.resample import CONFIDENCE

TOO_SURE = 0.15
"""By how much the mean score of the best class may exceed the whole interval of the accuracy.
Networks are too sure of themselves by up to 0.1 or so on images like those they were trained on
(C. Guo et al., "On Calibration of Modern Neural Networks", 2017, table 1)."""

Doubt = Literal["chance", "too sure"]


@dataclass(frozen=True, slots=True)
class KerasAccuracy:
    """How often Keras is right on labelled images, and what is strange about that."""

    images: int
    right: int
    interval: Interval
    """The confidence interval of the accuracy, by Clopper and Pearson."""
    by_chance: float
    """The accuracy of the same predictions on shuffled labels (J. Cohen, "A coefficient of
    agreement for nominal scales", 1960)."""
    sureness: float
    """The mean probability of the best class."""

    @property
    def top1(self) -> float:
        """The share of images on which Keras is right."""
        return self.right / self.images

    @property
    def doubt(self) -> Doubt | None:
        """What is strange: no better than chance, or much less right than Keras is sure."""
        if self.interval.low <= self.by_chance:
            return "chance"
        return "too sure" if self.sureness - self.interval.high > TOO_SURE else None


def measure(probabilities: Array, labels: Array) -> KerasAccuracy:
    """Measure the accuracy of predictions.

    Args:
        probabilities: [N, classes], rows with the sum 1.
        labels: the right class of each row.
    """
    classes, count = probabilities.shape[1], len(labels)
    predicted = probabilities.argmax(axis=1)
    right = int(np.count_nonzero(predicted == labels))
    shares = (np.bincount(each, minlength=classes) / count for each in (predicted, labels))
    return KerasAccuracy(
        count,
        right,
        share_interval(right, count, CONFIDENCE),
        float(np.prod(list(shares), axis=0).sum()),
        float(probabilities.max(axis=1).mean()),
    )

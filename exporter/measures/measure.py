"""What a measure of a task computes from answers, and from weights of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from kexport.arrays import Array
from kexport.measures.resample import draw_weights, interval_of


class Measure(Protocol):
    """Compares the answers of a task with what is right.

    What is kept of an answer is small, so that answers such as masks need not stay in memory.
    """

    @property
    def name(self) -> str:
        """The name of the deciding measure, a key of `names.TITLES`."""

    @property
    def unseen(self) -> int:
        """The number of kinds of images that may be unseen (`resample`).

        Weights may have as many columns more than there are images, for one image of each kind.
        """

    @property
    def draws(self) -> int:
        """The number of weights that are drawn for a confidence interval."""

    def keep(self, answer: Any, row: int) -> Any:
        """Return what is needed of the answer for the image at place `row` of the examples."""

    def values(self, kept: Sequence[Any], weights: Array) -> Array:
        """Compute the deciding measure [draws] for weights [draws, images or more]."""

    def drops(self, keras: Sequence[Any], other: Sequence[Any], weights: Array) -> Array:
        """Compute what the others lose of Keras [draws] for weights [draws, images or more]."""

    def summary(self, kept: Sequence[Any]) -> dict[str, float]:
        """Compute all measures of the task, the deciding one first."""

    def predicted_drop(self, keras: Sequence[Any], other: Sequence[Any]) -> float | None:
        """Predict the loss by what moves smoothly, where the loss itself moves in steps."""

    def doubt(self, kept: Sequence[Any]) -> str | None:
        """Say what is strange about the answers, if they are no better than a guess."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The deciding measure of a model, and its loss beside Keras with its confidence interval."""

    value: float
    drop: float
    interval: tuple[float, float]
    predicted: float
    """The loss as margins and noise predict it, for measures of decisions; else the loss itself."""
    kept: Sequence[Any] = field(default=(), compare=False, repr=False)
    """What was kept of the answers."""


def value_of(measure: Measure, kept: Sequence[Any]) -> float:
    """Compute the deciding measure, all images being equal."""
    return float(measure.values(kept, np.ones((1, len(kept))))[0])


def value_interval(measure: Measure, kept: Sequence[Any], confidence: float) -> tuple[float, float]:
    """Compute the confidence interval of the deciding measure."""
    drawn = measure.values(kept, _weights(measure, len(kept)))
    return interval_of(drawn, value_of(measure, kept), confidence)


def compare(
    measure: Measure, keras: Sequence[Any], other: Sequence[Any], confidence: float
) -> Measured:
    """Compare what was kept of other answers with what was kept of Keras', for the same images."""
    drop = float(measure.drops(keras, other, np.ones((1, len(keras))))[0])
    drawn = measure.drops(keras, other, _weights(measure, len(keras)))
    predicted = measure.predicted_drop(keras, other)
    return Measured(
        value_of(measure, other),
        drop,
        interval_of(drawn, drop, confidence),
        drop if predicted is None else predicted,
        other,
    )


def _weights(measure: Measure, images: int) -> Array:
    return draw_weights(images, measure.unseen, measure.draws)

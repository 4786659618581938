"""Measures of numbers: task regress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kexport.arrays import Array
from kexport.measures.resample import DRAWS
from kexport.runtime.regress import Numbers


@dataclass(frozen=True, slots=True)
class Errors:
    """Mean absolute error of each number, and their mean.

    Units may differ, so a loss is relative to each number's spread: the mean absolute deviation of
    its true values from their median, which is the error of the best constant. A loss is the mean
    growth of error / spread, the relative absolute error (I. Witten and E. Frank, "Data Mining",
    2005, section 5.8), and so has a scale like that of accuracy: 0 is perfect, and 1 knows nothing.
    """

    truths: Array
    """True numbers, float64 [images, numbers]."""
    names: tuple[str, ...]
    spreads: Array
    """The spread of each number, float64 [numbers], larger than 0."""

    name = "mae"
    unseen = 0
    draws = DRAWS

    def keep(self, answer: Numbers, row: int) -> Array:
        """Return the absolute error of each number."""
        found = np.array([number.value for number in answer.numbers])
        return np.asarray(np.abs(found - self.truths[row]))

    def values(self, kept: Sequence[Array], weights: Array) -> Array:
        """Compute the mean absolute error over all numbers for weights of the images, [draws]."""
        return np.asarray(_weighted(kept, weights).mean(axis=1))

    def drops(self, keras: Sequence[Array], other: Sequence[Array], weights: Array) -> Array:
        """Compute by how much of their spread the other's errors are larger than Keras'."""
        grown = _weighted(other, weights) - _weighted(keras, weights)
        return np.asarray((grown / self.spreads).mean(axis=1))

    def summary(self, kept: Sequence[Array]) -> dict[str, float]:
        """Compute the mean absolute error and, of several numbers, that of each by its name."""
        errors = np.mean(kept, axis=0)
        each = zip(self.names, errors.tolist(), strict=True) if len(errors) > 1 else ()
        return {"mae": float(errors.mean()), **{f"mae:{name}": value for name, value in each}}

    def predicted_drop(self, keras: Sequence[Array], other: Sequence[Array]) -> None:
        """Return nothing: the loss itself moves smoothly."""
        del keras, other

    def doubt(self, kept: Sequence[Array]) -> str | None:
        """Say that the best constant has smaller errors."""
        worse = np.mean(kept, axis=0) >= self.spreads
        named = ", ".join(name for name, bad in zip(self.names, worse, strict=True) if bad)
        return f"is further from {named} than their median" if named else None


def spreads_of(values: Array) -> Array:
    """Compute the mean absolute deviation from the median of each column, [columns]."""
    return np.asarray(np.abs(values - np.median(values, axis=0)).mean(axis=0))


def _weighted(kept: Sequence[Array], weights: Array) -> Array:
    return np.asarray(weights @ np.stack(kept) / weights.sum(axis=1, keepdims=True))

"""A histogram that needs no range beforehand: its bins grow with what they meet."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kexport.calibration.histogram import BINS, Histogram, Range, bins

Array = np.ndarray[Any, Any]

FINE = 4 * BINS
"""Bins that are counted in; at least half of them are in use, so that they are finer than those of
the histogram that is made of them."""

CHUNK = 1 << 16
"""Values that are binned at a time: their indices stay in the processor's cache."""

FINEST = -120
"""The exponent of the narrowest bin, so that float32 divides by its width."""


class Growing:
    """Counts values in bins that are a power of two wide, from one that holds the lowest value.

    Two neighbours become one where the values outgrow them, which loses nothing but width (as
    NVIDIA's pytorch-quantization does by adding bins, calib/histogram.py).
    """

    def __init__(self) -> None:
        self.range = Range(0.0, 0.0)
        self._exponent, self._first, self._zeros = FINEST, 0, 0
        self._counts = np.zeros(FINE, np.int64)

    def add(self, values: Array, within: Range) -> None:
        """Count float32 `values` of any shape, none of them outside of `within`."""
        self._widen(self.range.widened(within))
        flat = values.reshape(-1)
        scale = np.ldexp(np.float32(1), -self._exponent)
        for start in range(0, flat.size, CHUNK):
            part = flat[start : start + CHUNK]
            index = np.floor(part * scale).astype(np.intp) - self._first
            self._counts += np.bincount(index, minlength=FINE)
        zeros = flat.size - int(np.count_nonzero(flat))
        self._counts[-self._first] -= zeros
        self._zeros += zeros

    def histogram(self, extent: Range) -> Histogram:
        """What was counted, in `BINS` bins over a range that is wider than nothing.

        Values lie evenly in their bins, but for those that are exactly 0.
        """
        edges = np.ldexp(np.arange(self._first, self._first + FINE + 1.0), self._exponent)
        passed = np.concatenate([[0], np.cumsum(self._counts)])
        ends = np.interp(np.linspace(extent.low, extent.high, BINS + 1), edges, passed)
        ends[[0, -1]] = passed[[0, -1]]  # the outermost bins reach beyond
        counts = np.diff(np.rint(ends)).astype(np.int64)
        counts[bins(np.zeros(1, np.float32), extent)] += self._zeros
        return Histogram(extent, counts, self._zeros)

    def _widen(self, extent: Range) -> None:
        exponent = max(self._exponent, _exponent(extent))
        first = _bin(extent.low, exponent)
        if (exponent, first) != (self._exponent, self._first):
            into = np.zeros(FINE, np.int64)
            index = np.arange(self._first, self._first + FINE) >> (exponent - self._exponent)
            held = self._counts > 0
            np.add.at(into, index[held] - first, self._counts[held])
            self._exponent, self._first, self._counts = exponent, first, into
        self.range = extent


def _exponent(extent: Range) -> int:
    """That of the narrowest bins of which `FINE` cover a range."""
    span = extent.high - extent.low
    if span == 0:
        return FINEST
    exponent = max(FINEST, math.frexp(span / FINE)[1] - 1)
    while _bin(extent.high, exponent) - _bin(extent.low, exponent) >= FINE:
        exponent += 1
    return exponent


def _bin(value: float, exponent: int) -> int:
    return math.floor(math.ldexp(value, -exponent))

"""Ranges for INT8 from histograms: which values to keep apart, and which to clip."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kexport.arrays import Array

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

BINS = 2048
TAIL = 0.01
"""Per cent of the values that `percentile` cuts off at either end."""

FEWEST_BINS = 128
"""Levels of a magnitude in int8, and the fewest bins that `entropy` keeps."""

STEPS = 255
"""Steps between the 256 levels of 8 bits."""

FRACTIONS = 2.0 ** (-np.arange(0, 33) / 4)
"""The parts of an end that `mse` tries: 1 to 1/256, four to the octave."""

FINER = np.linspace(2**-0.25, 2**0.25, 17)
"""What it tries around the best of them."""


@dataclass(frozen=True, slots=True)
class Range:
    """The values that the levels of a grid cover; low <= 0 <= high."""

    low: float
    high: float

    def widened(self, other: Range) -> Range:
        """The smallest range that covers both."""
        return Range(min(self.low, other.low), max(self.high, other.high))

    def within(self, other: Range) -> Range:
        """The part of it that lies in the other."""
        return Range(max(self.low, other.low), min(self.high, other.high))


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values fell into each of `BINS` equal bins of a range.

    `counts` is int64 [BINS]. `zeros` of the values were exactly 0: ReLU makes them in masses, and
    they cost nothing, because every grid holds 0.
    """

    range: Range
    counts: Counts
    zeros: int

    @property
    def edges(self) -> Floats:
        """The ends of the bins, float64 [BINS + 1]."""
        return np.linspace(self.range.low, self.range.high, BINS + 1)

    @property
    def without_zeros(self) -> Counts:
        """`counts` less the values that are exactly 0."""
        counts = self.counts.copy()
        counts[bins(np.zeros(1, np.float32), self.range)] -= self.zeros
        return counts


def bins(values: Array, extent: Range) -> npt.NDArray[np.intp]:
    """The bin of each value, of the `BINS` that a range has; the outermost for what is outside."""
    scaled = values.astype(np.float64)
    scaled -= extent.low
    scaled *= BINS / (extent.high - extent.low)
    return np.clip(scaled, 0, BINS - 1, out=scaled).astype(np.intp)


def percentile(histogram: Histogram) -> Range:
    """The 0.01st to the 99.99th percentile, to within a bin, and 0.

    As in H. Wu et al., "Integer Quantization for Deep Learning Inference", 2020, section 5.3, but
    with each end for itself, because activations are seldom symmetric.
    """
    passed = np.concatenate([[0], np.cumsum(histogram.counts)])
    wanted = np.array([TAIL, 100 - TAIL]) / 100 * passed[-1]
    low, high = np.interp(wanted, passed, histogram.edges)
    return Range(min(float(low), 0.0), max(float(high), 0.0))


def entropy(histogram: Histogram) -> Range:
    """The symmetric range that loses the least information about the magnitudes.

    S. Migacz, "8-bit Inference with TensorRT", GTC 2017: of the first i bins, those beyond added to
    the last of them, against the same bins merged into 128 levels and spread out again over those
    that are not empty; the i with the smallest Kullback-Leibler divergence wins, and the threshold
    is (i + 0.5) bins. Three points are as in NVIDIA's pytorch-quantization (calib/histogram.py),
    since the slides leave them open: bin k goes to level floor(k * 128 / i), all bins may be kept
    (i = 2048), and zeros do not count.

    With p for the counts of P, the divergence is sum(p log p) - sum(p log q) and a constant; q is
    equal within a level, so that sums over levels give it for all i at once.

    Args:
        histogram: of magnitudes, so that its range begins at 0.
    """
    bins = histogram.without_zeros.astype(np.float64)
    kept = np.arange(FEWEST_BINS, BINS + 1)
    first = -(-np.arange(FEWEST_BINS + 1) * kept[:, None] // FEWEST_BINS)  # bin of each level
    passed, filled = (np.concatenate([[0], np.cumsum(row)]) for row in (bins, bins > 0))
    mass, occupied = np.diff(passed[first], axis=1), np.diff(filled[first], axis=1)
    beyond, last = passed[-1] - passed[kept], bins[kept - 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.log(mass / np.maximum(occupied, 1))
        spread = np.where(mass > 0, mass * level, 0).sum(axis=1)
        spread += np.where(beyond > 0, beyond * np.where(last > 0, level[:, -1], -np.inf), 0)
        itself = np.cumsum(_x_log_x(bins))[kept - 1] - _x_log_x(last) + _x_log_x(last + beyond)
        divergence = itself - spread + passed[-1] * np.log(passed[kept])
    divergence[np.isnan(divergence)] = np.inf
    threshold = (kept[np.argmin(divergence)] + 0.5) * histogram.range.high / BINS
    return Range(-float(threshold), float(threshold)).within(
        Range(-histogram.range.high, histogram.range.high)
    )


def _x_log_x(x: Floats) -> Floats:
    return np.where(x > 0, x * np.log(np.maximum(x, 1)), 0)


def mse(histogram: Histogram) -> Range:
    """The range whose 256 levels have the smallest expected squared error.

    The criterion of R. Banner et al., "Post training 4-bit quantization of convolutional networks
    for rapid-deployment", 2019, on the histogram in place of their Laplace distribution. Each end
    that is not 0 is searched on a geometric grid with the other held, in turns until neither moves,
    and then on a finer one.
    """
    best = histogram.range
    for fractions in (FRACTIONS, FINER):
        start, before = best, None
        while best != before:
            before = best
            best = _best(histogram, start.low * fractions, np.array([best.high]), best)
            best = _best(histogram, np.array([best.low]), start.high * fractions, best)
    return best


def _best(histogram: Histogram, lows: Floats, highs: Floats, current: Range) -> Range:
    """The best of some ranges within the histogram's, the current one unless another is better."""
    lows, highs = np.broadcast_arrays(
        np.append(np.broadcast_to(lows, max(lows.size, highs.size)), current.low),
        np.append(np.broadcast_to(highs, max(lows.size, highs.size)), current.high),
    )
    lows, highs = np.maximum(lows, histogram.range.low), np.minimum(highs, histogram.range.high)
    errors = expected_errors(histogram, lows, highs)
    index = int(np.argmin(errors))
    if not errors[index] < errors[-1]:
        return current
    return Range(float(lows[index]), float(highs[index]))


def expected_errors(histogram: Histogram, lows: Floats, highs: Floats) -> Floats:
    """The summed squared error of 8 bits over each of the ranges, float64 [K].

    Values lie evenly within their bin. The error of x is e = x - n s, with the step s and the level
    n that is nearest in the range; the integral of e^2 from 0 to x is n s^3 / 12 + e^3 / 3, clipped
    or not.

    Args:
        histogram: of the values.
        lows: lower ends, not positive, float64 [K].
        highs: upper ends, not negative; low and high differ.
    """
    step = ((highs - lows) / STEPS)[:, None]
    lowest = np.rint(lows[:, None] / step)
    edges = histogram.edges
    level = np.clip(np.rint(edges / step), lowest, lowest + STEPS)
    rest = edges - level * step
    integral = level * step**3 / 12 + rest * rest * rest / 3  # a power would take ten times as long
    errors: Floats = np.diff(integral, axis=1) @ histogram.without_zeros / (edges[1] - edges[0])
    return errors


FINE = 4 * BINS
"""Bins that are counted in; at least half of them are in use, so that they are finer than those of
the histogram that is made of them."""

CHUNK = 1 << 16
"""Values that are binned at a time: their indices stay in the processor's cache."""

FINEST = -120
"""The exponent of the narrowest bin, so that float32 divides by its width."""


class GrowingHistogram:
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

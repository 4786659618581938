"""Range estimators for 8 bits on histograms: percentile, entropy and MSE."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kexport.arrays import Array

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

BINS = 2048
"""Bins of a histogram, as in TensorRT's entropy calibration (S. Migacz, GTC 2017)."""

CLIPPED_PERCENT = 0.01
"""Per cent of the values that `percentile` clips at either end."""

MIN_BINS = 128
"""The int8 levels of a magnitude, and so the smallest number of bins that `entropy` keeps."""

STEPS = 255
"""Steps between the 256 levels of 8 bits."""

CLIPPING_RATIOS = 2.0 ** (-np.arange(0, 33) / 4)
"""Clipping ratios tried by the MSE search, four per octave from 1 to 1/256."""

FINE_RATIOS = np.linspace(2**-0.25, 2**0.25, 17)
"""Ratios tried around the best of `CLIPPING_RATIOS`, up to its neighbours."""


@dataclass(frozen=True, slots=True)
class Range:
    """The values that quantization levels cover; low <= 0 <= high."""

    low: float
    high: float

    def union(self, other: Range) -> Range:
        """Return the smallest range that covers both."""
        return Range(min(self.low, other.low), max(self.high, other.high))

    def intersection(self, other: Range) -> Range:
        """Return the range that both cover."""
        return Range(max(self.low, other.low), min(self.high, other.high))


@dataclass(frozen=True, slots=True)
class Histogram:
    """The numbers of values in `BINS` equal bins of a range.

    `counts` is int64 [BINS]. `zeros` of the values are exactly 0: ReLU outputs many of them, and
    they have no error, because 0 is always a quantization level.
    """

    range: Range
    counts: Counts
    zeros: int

    @property
    def edges(self) -> Floats:
        """The edges of the bins, float64 [BINS + 1]."""
        return np.linspace(self.range.low, self.range.high, BINS + 1)

    @property
    def without_zeros(self) -> Counts:
        """`counts` without the values that are exactly 0."""
        counts = self.counts.copy()
        counts[bin_indices(np.zeros(1, np.float32), self.range)] -= self.zeros
        return counts


def bin_indices(values: Array, extent: Range) -> npt.NDArray[np.intp]:
    """Return the bin of each value in a range; values outside belong to the outermost bins."""
    scaled = values.astype(np.float64)
    scaled -= extent.low
    scaled *= BINS / (extent.high - extent.low)
    return np.clip(scaled, 0, BINS - 1, out=scaled).astype(np.intp)


def percentile(histogram: Histogram) -> Range:
    """Estimate the range from the 0.01st to the 99.99th percentile and 0, to within a bin.

    As in H. Wu et al., "Integer Quantization for Deep Learning Inference", 2020, section 5.3, but
    separately for each end, because activations are seldom symmetric.
    """
    passed = np.concatenate([[0], np.cumsum(histogram.counts)])
    wanted = np.array([CLIPPED_PERCENT, 100 - CLIPPED_PERCENT]) / 100 * passed[-1]
    low, high = np.interp(wanted, passed, histogram.edges)
    return Range(min(float(low), 0.0), max(float(high), 0.0))


def entropy(histogram: Histogram) -> Range:
    """Estimate the symmetric range that loses the least information about the magnitudes.

    S. Migacz, "8-bit Inference with TensorRT", GTC 2017: P is the first i bins, with all bins after
    them added to the last; Q is the same bins merged into 128 levels, and each level spread evenly
    over its bins that are not empty. The i with the smallest Kullback-Leibler divergence gives the
    threshold, (i + 0.5) bins. The slides leave three points open, which follow NVIDIA's
    pytorch-quantization (calib/histogram.py): bin k belongs to level floor(k * 128 / i), all bins
    may be kept (i = 2048), and zeros are not counted.

    With the counts p and q, the divergence is sum(p log p) - sum(p log q) and a constant; q is
    constant within a level, so that sums over levels give the divergence for all i at once.

    Args:
        histogram: of magnitudes, so that its range starts at 0.
    """
    bins = histogram.without_zeros.astype(np.float64)
    kept = np.arange(MIN_BINS, BINS + 1)
    first = -(-np.arange(MIN_BINS + 1) * kept[:, None] // MIN_BINS)  # bin of each level
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
    return Range(-float(threshold), float(threshold)).intersection(
        Range(-histogram.range.high, histogram.range.high)
    )


def _x_log_x(x: Floats) -> Floats:
    return np.where(x > 0, x * np.log(np.maximum(x, 1)), 0)


def mse(histogram: Histogram) -> Range:
    """Estimate the range whose 256 levels have the smallest expected squared error.

    The criterion of R. Banner et al., "Post training 4-bit quantization of convolutional networks
    for rapid-deployment", 2019, on the histogram instead of their Laplace distribution. Each end
    that is not 0 is searched over geometric ratios with the other end fixed, alternately until
    neither changes, and then over finer ratios.
    """
    best = histogram.range
    for ratios in (CLIPPING_RATIOS, FINE_RATIOS):
        start, before = best, None
        while best != before:
            before = best
            best = _best(histogram, start.low * ratios, np.array([best.high]), best)
            best = _best(histogram, np.array([best.low]), start.high * ratios, best)
    return best


def _best(histogram: Histogram, lows: Floats, highs: Floats, current: Range) -> Range:
    """Return the range with the smallest error, and `current` unless another one is better."""
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
    """Compute the summed squared error of 8 bits for each of some ranges, float64 [K].

    Values are assumed uniform within their bin. The error of x is e = x - n s, with the step s and
    the nearest level n of the range; the integral of e^2 from 0 to x is n s^3 / 12 + e^3 / 3,
    clipped or not.

    Args:
        histogram: the histogram of the values.
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


GROWING_BINS = 4 * BINS
"""Bins of a growing histogram; at least half of them are in use, so that they are finer than those
of the final histogram."""

CHUNK = 1 << 16
"""Values that are binned at a time, so that their indices stay in the processor's cache."""

MIN_EXPONENT = -120
"""The exponent of the narrowest bin: its width and the reciprocal of it are normal float32."""


class GrowingHistogram:
    """A histogram of values whose range is not known in advance.

    The width of the bins is a power of two. Where values exceed the bins, pairs of neighbours are
    merged, which loses only resolution (NVIDIA's pytorch-quantization appends bins instead,
    calib/histogram.py).
    """

    def __init__(self) -> None:
        self.range = Range(0.0, 0.0)
        self._exponent, self._first, self._zeros = MIN_EXPONENT, 0, 0
        self._counts = np.zeros(GROWING_BINS, np.int64)

    def add(self, values: Array, within: Range) -> None:
        """Count float32 `values` of any shape, all of them in the range `within`."""
        self._widen(self.range.union(within))
        flat = values.reshape(-1)
        scale = np.ldexp(np.float32(1), -self._exponent)
        for start in range(0, flat.size, CHUNK):
            part = flat[start : start + CHUNK]
            index = np.floor(part * scale).astype(np.intp) - self._first
            self._counts += np.bincount(index, minlength=GROWING_BINS)
        zeros = flat.size - int(np.count_nonzero(flat))
        self._counts[-self._first] -= zeros
        self._zeros += zeros

    def histogram(self, extent: Range) -> Histogram:
        """Resample the counts to `BINS` bins over a range that is not empty.

        Values are assumed uniform within their bins, except for those that are exactly 0.
        """
        edges = np.ldexp(np.arange(self._first, self._first + GROWING_BINS + 1.0), self._exponent)
        passed = np.concatenate([[0], np.cumsum(self._counts)])
        ends = np.interp(np.linspace(extent.low, extent.high, BINS + 1), edges, passed)
        ends[[0, -1]] = passed[[0, -1]]  # the outermost bins extend further
        counts = np.diff(np.rint(ends)).astype(np.int64)
        counts[bin_indices(np.zeros(1, np.float32), extent)] += self._zeros
        return Histogram(extent, counts, self._zeros)

    def _widen(self, extent: Range) -> None:
        exponent = max(self._exponent, _exponent(extent))
        first = _bin(extent.low, exponent)
        if (exponent, first) != (self._exponent, self._first):
            into = np.zeros(GROWING_BINS, np.int64)
            index = np.arange(self._first, self._first + GROWING_BINS) >> (
                exponent - self._exponent
            )
            held = self._counts > 0
            np.add.at(into, index[held] - first, self._counts[held])
            self._exponent, self._first, self._counts = exponent, first, into
        self.range = extent


def _exponent(extent: Range) -> int:
    """Return the exponent of the narrowest bins of which `GROWING_BINS` cover a range."""
    span = extent.high - extent.low
    if span == 0:
        return MIN_EXPONENT
    exponent = max(MIN_EXPONENT, math.frexp(span / GROWING_BINS)[1] - 1)
    while _bin(extent.high, exponent) - _bin(extent.low, exponent) >= GROWING_BINS:
        exponent += 1
    return exponent


def _bin(value: float, exponent: int) -> int:
    return math.floor(math.ldexp(value, -exponent))

"""Channel statistics, from which the range of a tensor follows for any scales of its channels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kexport.arrays import Array
from kexport.calibration.statistics.histogram import Range

MAX_SAMPLES = 1 << 16
"""The largest number of values of a tensor that are kept, over all images."""

RETURN_PERIOD = 10_000
"""The number of images over which the largest value of a channel is extrapolated. A hundred images
do not show it, least of all for a channel that is rarely active: with channels scaled up to the
measured maxima, the digits of bench/int8.py lost up to 6 dB by clipping; twice the measured maximum
for all channels costs up to 2 dB."""


def expected_peaks(highest: Array, mean: Array, deviation: Array) -> Array:
    """Extrapolate the level that one image of `RETURN_PERIOD` exceeds on average; [C].

    The maxima of many values follow E. Gumbel's distribution ("Statistics of Extremes", 1958). With
    the mean and the deviation of the measured maxima, its return level is
    mean + deviation * sqrt(6) / pi * (ln RETURN_PERIOD - Euler's constant), to within
    1 / RETURN_PERIOD. The result is at least the largest measured maximum.

    Args:
        highest: the largest of the images' maxima, [C].
        mean: the mean of the maxima, [C].
        deviation: their standard deviation, [C].
    """
    reach = math.sqrt(6) / math.pi * (math.log(RETURN_PERIOD) - np.euler_gamma)
    return np.asarray(np.maximum(highest, mean + reach * deviation))


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """The minimum and maximum of each channel of a tensor, and a sample of its values."""

    lowest: Array
    highest: Array
    """float64 [C]."""
    peaks: Array
    """The expected largest magnitude of each channel, float64 [C]."""
    values: Array
    """Sampled values, float32 [K]."""
    channel_ids: Array
    """The channel of each sampled value, [K]."""

    @property
    def extent(self) -> Range:
        """The range of all measured values and 0."""
        return Range(min(float(self.lowest.min()), 0.0), max(float(self.highest.max()), 0.0))

    @property
    def middle(self) -> Array:
        """The middle between the minimum and the maximum of each channel, float64 [C]."""
        return np.asarray((self.lowest + self.highest) / 2)

    def shifted(self, shift: Array) -> ChannelStatistics:
        """Compute the statistics after subtracting `shift` [C] from the channels.

        A peak exceeds the new largest magnitude by as much as it exceeded the former one.
        """
        lowest, highest = (
            (ends - shift).astype(np.float32).astype(np.float64)
            for ends in (self.lowest, self.highest)
        )
        beyond = self.peaks - np.maximum(-self.lowest, self.highest)
        values = np.clip(self.values - shift[self.channel_ids], lowest.min(), highest.max())
        peaks = np.maximum(-lowest, highest) + beyond
        return ChannelStatistics(
            lowest, highest, peaks, values.astype(np.float32), self.channel_ids
        )

    def scaled(self, scale: Array) -> ChannelStatistics:
        """Compute the statistics after multiplying the channels by `scale` [C], positive."""
        lowest, highest = (
            (ends * scale).astype(np.float32).astype(np.float64)
            for ends in (self.lowest, self.highest)
        )
        values = np.clip(self.values * scale[self.channel_ids], lowest.min(), highest.max())
        peaks = self.peaks * scale
        return ChannelStatistics(
            lowest, highest, peaks, values.astype(np.float32), self.channel_ids
        )


class ChannelCollector:
    """Collects `ChannelStatistics` by batches; memory does not grow with the number of images."""

    def __init__(self, channels: int, plane: int, stride: int, each: int, images: int) -> None:
        """Prepare for the samples of all images.

        Args:
            channels: the number of channels.
            plane: the elements of a channel in one image, which are contiguous.
            stride: the distance of the sampled elements of an image.
            each: the sampled elements of an image.
            images: the number of images.
        """
        self._plane, self._stride = plane, stride
        self._every = max(1, -(-images * each // MAX_SAMPLES))
        while math.gcd(self._every, each) > 1:  # so that the positions differ from image to image
            self._every += 1
        kept = -(-images * each // self._every)
        self._values, self._channel_ids = np.empty(kept, np.float32), np.empty(kept, np.uint16)
        self._ends = np.full(channels, np.inf), np.full(channels, -np.inf)
        self._sums, self._squares = np.zeros(channels), np.zeros(channels)
        self._given = self._kept = self._images = 0

    def add(self, lowest: Array, highest: Array, sample: Array) -> None:
        """Add the minima and maxima of a batch [N, C], and its sampled values."""
        peaks = np.maximum(-lowest, highest).astype(np.float64)
        self._images += len(peaks)
        self._sums += peaks.sum(axis=0)
        self._squares += np.square(peaks).sum(axis=0)
        np.minimum(self._ends[0], lowest.min(axis=0), out=self._ends[0])
        np.maximum(self._ends[1], highest.max(axis=0), out=self._ends[1])
        chosen = np.arange(-self._given % self._every, len(sample), self._every)
        kept = slice(self._kept, self._kept + len(chosen))
        self._values[kept] = sample[chosen]
        self._channel_ids[kept] = chosen * self._stride // self._plane % len(self._ends[0])
        self._given, self._kept = self._given + len(sample), kept.stop

    def statistics(self) -> ChannelStatistics:
        """Compute the statistics of all images."""
        kept = slice(0, self._kept)
        lowest, highest = self._ends
        mean = self._sums / self._images
        deviation = np.sqrt(np.maximum(self._squares / self._images - np.square(mean), 0))
        peaks = expected_peaks(np.maximum(-lowest, highest), mean, deviation)
        values, channel_ids = self._values[kept], self._channel_ids[kept]
        return ChannelStatistics(lowest, highest, peaks, values, channel_ids)

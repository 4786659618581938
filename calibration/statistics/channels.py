"""What the channels of a tensor hold, so that its range is known for any scale of each of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kexport.arrays import Array
from kexport.calibration.statistics.histogram import Range

KEPT = 1 << 16
"""How many values of a tensor are kept, of all images together, at most."""

PICTURES = 10_000
"""Of how many images the largest value of a channel is foretold. Those of a hundred do not show
it, least of all where a channel is seldom at work: with channels scaled up to what was seen, the
digits of bench/int8.py lost up to 6 dB by clipping; twice as much room for all costs up to 2 dB."""


def foreseen(highest: Array, mean: Array, deviation: Array) -> Array:
    """The level that one of `PICTURES` exceeds in the mean, and none that was seen does; [C].

    The maxima of many values have E. Gumbel's distribution ("Statistics of Extremes", 1958), here
    with the mean and the deviation of those seen: its return level is
    mean + deviation * sqrt(6) / pi * (ln PICTURES - Euler's constant), to within 1 / PICTURES.

    Args:
        highest: the highest of the images' maxima, [C].
        mean: of them, [C].
        deviation: of them, [C].
    """
    reach = math.sqrt(6) / math.pi * (math.log(PICTURES) - np.euler_gamma)
    return np.asarray(np.maximum(highest, mean + reach * deviation))


@dataclass(frozen=True, slots=True)
class Channels:
    """The ends of each channel of a tensor, and some of its values."""

    lowest: Array
    highest: Array
    """float64 [C]."""
    peaks: Array
    """The largest magnitude of each that is foreseen, float64 [C]."""
    values: Array
    """float32 [K]."""
    owners: Array
    """The channel of each of them, [K]."""

    @property
    def extent(self) -> Range:
        """All values that were seen, and 0."""
        return Range(min(float(self.lowest.min()), 0.0), max(float(self.highest.max()), 0.0))

    def scaled(self, scale: Array) -> Channels:
        """The same of a tensor whose channels are multiplied by `scale` [C], positive."""
        lowest, highest = (
            (ends * scale).astype(np.float32).astype(np.float64)
            for ends in (self.lowest, self.highest)
        )
        values = np.clip(self.values * scale[self.owners], lowest.min(), highest.max())
        peaks = self.peaks * scale
        return Channels(lowest, highest, peaks, values.astype(np.float32), self.owners)


class ChannelCollector:
    """Collects `Channels` batch by batch; memory does not grow with the number of images."""

    def __init__(self, channels: int, plane: int, step: int, each: int, pictures: int) -> None:
        """`each` values of an image are given, `step` apart; `plane` of a channel lie together."""
        self._plane, self._step = plane, step
        self._every = max(1, -(-pictures * each // KEPT))
        while math.gcd(self._every, each) > 1:  # so that it is not the same places of each image
            self._every += 1
        kept = -(-pictures * each // self._every)
        self._values, self._owners = np.empty(kept, np.float32), np.empty(kept, np.uint16)
        self._ends = np.full(channels, np.inf), np.full(channels, -np.inf)
        self._sums, self._squares = np.zeros(channels), np.zeros(channels)
        self._given = self._kept = self._images = 0

    def add(self, lowest: Array, highest: Array, sample: Array) -> None:
        """Take the ends of a batch [N, C], and those of its values that were picked out."""
        peaks = np.maximum(-lowest, highest).astype(np.float64)
        self._images += len(peaks)
        self._sums += peaks.sum(axis=0)
        self._squares += np.square(peaks).sum(axis=0)
        np.minimum(self._ends[0], lowest.min(axis=0), out=self._ends[0])
        np.maximum(self._ends[1], highest.max(axis=0), out=self._ends[1])
        chosen = np.arange(-self._given % self._every, len(sample), self._every)
        place = slice(self._kept, self._kept + len(chosen))
        self._values[place] = sample[chosen]
        self._owners[place] = chosen * self._step // self._plane % len(self._ends[0])
        self._given, self._kept = self._given + len(sample), place.stop

    def channels(self) -> Channels:
        """Of all that was given."""
        kept = slice(0, self._kept)
        lowest, highest = self._ends
        mean = self._sums / self._images
        deviation = np.sqrt(np.maximum(self._squares / self._images - np.square(mean), 0))
        peaks = foreseen(np.maximum(-lowest, highest), mean, deviation)
        return Channels(lowest, highest, peaks, self._values[kept], self._owners[kept])

"""What one tensor of a graph holds on pictures, and the range that covers it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.calibration import histogram
from kexport.calibration.channels import Channels, Gathering
from kexport.calibration.growing import Growing
from kexport.calibration.histogram import Histogram, Range
from kexport.calibration.probes import add_extremes, add_sample, distance, find

Array = np.ndarray[Any, Any]

_SEARCHES: dict[str, Callable[[Histogram], Range]] = {
    "percentile": histogram.percentile,
    "entropy": histogram.entropy,
    "mse": histogram.mse,
}
_OF_MAGNITUDES = frozenset({"entropy"})
"""Methods whose histogram is one of |x|."""

METHODS = ("minmax", *_SEARCHES)
"""How a range is found: all values, or a part of them that serves better."""


class Tally:
    """Adds outputs to a graph that say what a tensor holds, and takes them batch by batch.

    Raises:
        ValueError: the name is that of no float32 tensor of the graph.
    """

    def __init__(
        self, graph: ir.Graph, name: str, method: str, pictures: int, *, watched: bool
    ) -> None:
        value = find(graph, name)
        self.name, self._method, step = name, method, distance(value, pictures)
        places = _places(value) if watched else None
        self._ends = add_extremes(graph, name, by_channel=places is not None)
        self._sample = None
        if method != "minmax":
            self._sample = add_sample(graph, name, step)
        self._extent, self._counted = Range(0.0, 0.0), Growing()
        self._gathering: Gathering | None = None
        if places is not None:
            channels, plane = places
            each = -(-channels * plane // step)
            self._gathering = Gathering(channels, plane, step, each, pictures)

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs that were added."""
        return [*self._ends, *([] if self._sample is None else [self._sample])]

    def add(self, found: Mapping[str, Array], part: float) -> bool:
        """Take the outputs of a batch, of which a part, from its beginning, counts.

        False where values are not finite; a maximum alone may pass over what is not a number, and a
        sum does not.
        """
        lowest, highest, total = (found[label] for label in self._ends)
        low, high = float(lowest.min()), float(highest.max())
        if not np.isfinite([low, high, float(total)]).all():
            return False
        extent = Range(min(low, 0.0), max(high, 0.0))
        self._extent = self._extent.widened(extent)
        few = np.empty(0, np.float32)
        if self._sample is not None:
            few = found[self._sample]
            few = few[: math.floor(few.size * part)]
            _count(self._counted, few, extent, self._method)
        if self._gathering is not None:
            count = round(len(lowest) * part)
            self._gathering.add(lowest[:count], highest[:count], few)
        return True

    def range(self) -> Range:
        """The range that the method finds."""
        return _searched(self._counted, self._extent, self._method)

    def channels(self) -> Channels | None:
        """What was watched; None where the tensor is not known to have channels and places."""
        return None if self._gathering is None else self._gathering.channels()


def range_of(channels: Channels, method: str) -> Range:
    """The range of a tensor by what is known of its channels."""
    counted, extent = Growing(), channels.extent
    if method != "minmax":
        _count(counted, channels.values, extent, method)
    return _searched(counted, extent, method)


def _places(value: ir.Value) -> tuple[int, int] | None:
    """The channels of a tensor [N, C, ...], and the places of each."""
    dims = [] if value.shape is None else list(value.shape)[1:]
    known = [dim for dim in dims if isinstance(dim, int)]
    if len(dims) < 2 or len(known) < len(dims):
        return None
    return known[0], math.prod(known[1:])


def _count(counted: Growing, values: Array, extent: Range, method: str) -> None:
    if method in _OF_MAGNITUDES:
        counted.add(np.abs(values), _of_magnitudes(extent))
    else:
        counted.add(values, extent)


def _searched(counted: Growing, measured: Range, method: str) -> Range:
    if method == "minmax" or measured.low == measured.high:
        return measured
    whole = _of_magnitudes(measured) if method in _OF_MAGNITUDES else measured
    return _SEARCHES[method](counted.histogram(whole)).within(measured)


def _of_magnitudes(extent: Range) -> Range:
    return Range(0.0, max(-extent.low, extent.high))

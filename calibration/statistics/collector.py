"""What one tensor of a graph holds on images, and the range that covers it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.statistics import histogram
from kexport.calibration.statistics.channels import ChannelCollector, Channels
from kexport.calibration.statistics.histogram import GrowingHistogram, Histogram, Range
from kexport.graph.edit import numbers

SAMPLE = 1 << 20
"""How many values of a tensor are picked out of all images together, about."""


def find(graph: ir.Graph, name: str) -> ir.Value:
    """The float32 tensor of that name: an input of the graph, or what a node makes.

    Raises:
        ValueError: there is none, or it holds something else than float32.
    """
    made = (value for node in graph for value in node.outputs)
    value = next((value for value in (*graph.inputs, *made) if value.name == name), None)
    if value is None or value.dtype != ir.DataType.FLOAT:
        raise ValueError(f"{name} is no float32 tensor of the graph")
    return value


def add_output(
    graph: ir.Graph, value: ir.Value, nodes: list[ir.Node], name: str, shape: ir.Shape | None
) -> str:
    """Put `nodes` right behind the producer of `value`; the last makes the new output `name`.

    Right behind, so that the engine can let go of the tensor early. Returns `name`.
    """
    result = nodes[-1].outputs[0]
    result.name, result.type, result.shape = name, ir.TensorType(ir.DataType.FLOAT), shape
    producer = value.producer()
    if producer is not None:
        graph.insert_after(producer, nodes)
    elif len(graph):
        graph.insert_before(graph[0], nodes)
    else:
        graph.extend(nodes)
    graph.outputs.append(result)
    return name


def add_extremes(graph: ir.Graph, name: str, *, by_channel: bool = False) -> list[str]:
    """Outputs: the least and the largest value, both [] or [N, C], and the sum []."""
    value, labels = find(graph, name), list[str]()
    rank = len(value.shape or ())
    for operator in ("ReduceMin", "ReduceMax", "ReduceSum"):
        label = f"{name}.{operator}"
        inputs, shape = [value], ir.Shape([])
        attributes: dict[str, int | list[int]] = {"keepdims": 0}
        if by_channel and operator != "ReduceSum":
            axes, shape = list(range(2, rank)), ir.Shape([None, None])
            if graph.opset_imports.get("", 18) < 18:
                attributes["axes"] = axes
            else:
                inputs.append(numbers(graph, f"{label}.axes", np.array(axes, np.int64)))
        node = ir.node(operator, inputs, attributes, name=label)
        labels.append(add_output(graph, value, [node], label, shape))
    return labels


def distance(value: ir.Value, pictures: int) -> int:
    """How far apart the values of a tensor [N, ...] lie that are picked out of so many images.

    It is odd, so that all columns are met.
    """
    dims = list(value.shape or [None])[1:]
    each = math.prod(dim if isinstance(dim, int) else 0 for dim in dims)
    wanted = max(1, SAMPLE // pictures)
    return each // wanted // 2 * 2 + 1 if each > 2 * wanted else 1


def add_sample(graph: ir.Graph, name: str, step: int) -> str:
    """An output [n] of every `step`-th value."""
    value, label = find(graph, name), f"{name}.sample"
    slots = {
        "shape": -1,
        "start": 0,
        "end": np.iinfo(np.int64).max,
        "axis": 0,
        "step": step,
    }
    shape, *slice_ = (numbers(graph, f"{label}.{key}", np.array([at])) for key, at in slots.items())
    flat = ir.node("Reshape", [value, shape], name=f"{label}.flat")
    taken = ir.node("Slice", [flat.outputs[0], *slice_], name=label)
    return add_output(graph, value, [flat, taken], label, None)


_SEARCHES: dict[str, Callable[[Histogram], Range]] = {
    "percentile": histogram.percentile,
    "entropy": histogram.entropy,
    "mse": histogram.mse,
}
_OF_MAGNITUDES = frozenset({"entropy"})
"""Methods whose histogram is one of |x|."""

METHODS = ("minmax", *_SEARCHES)
"""How a range is found: all values, or a part of them that serves better."""


class RangeCollector:
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
        self._extent, self._counted = Range(0.0, 0.0), GrowingHistogram()
        self._gathering: ChannelCollector | None = None
        if places is not None:
            channels, plane = places
            each = -(-channels * plane // step)
            self._gathering = ChannelCollector(channels, plane, step, each, pictures)

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
    counted, extent = GrowingHistogram(), channels.extent
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


def _count(counted: GrowingHistogram, values: Array, extent: Range, method: str) -> None:
    if method in _OF_MAGNITUDES:
        counted.add(np.abs(values), _of_magnitudes(extent))
    else:
        counted.add(values, extent)


def _searched(counted: GrowingHistogram, measured: Range, method: str) -> Range:
    if method == "minmax" or measured.low == measured.high:
        return measured
    whole = _of_magnitudes(measured) if method in _OF_MAGNITUDES else measured
    return _SEARCHES[method](counted.histogram(whole)).within(measured)


def _of_magnitudes(extent: Range) -> Range:
    return Range(0.0, max(-extent.low, extent.high))

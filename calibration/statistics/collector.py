"""Range collectors: reductions and samples of one tensor, added to the graph as outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.statistics import histogram
from kexport.calibration.statistics.channels import ChannelCollector, ChannelStatistics
from kexport.calibration.statistics.histogram import GrowingHistogram, Histogram, Range
from kexport.graph.edit import numbers

SAMPLES_PER_TENSOR = 1 << 20
"""The approximate number of values of a tensor that are sampled over all images."""


def find_tensor(graph: ir.Graph, name: str) -> ir.Value:
    """Find the float32 tensor of a name: an input of the graph, or an output of a node.

    Raises:
        ValueError: there is none, or its type is not float32.
    """
    made = (value for node in graph for value in node.outputs)
    value = next((value for value in (*graph.inputs, *made) if value.name == name), None)
    if value is None or value.dtype != ir.DataType.FLOAT:
        raise ValueError(f"{name} is not a float32 tensor of the graph")
    return value


def add_output(
    graph: ir.Graph, value: ir.Value, nodes: list[ir.Node], name: str, shape: ir.Shape | None
) -> str:
    """Insert `nodes` right after the producer of `value`; the last computes the new output `name`.

    Right after it, so that the engine can free the tensor early. Returns `name`.
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


def add_min_max_outputs(graph: ir.Graph, name: str, *, by_channel: bool = False) -> list[str]:
    """Add outputs of the minimum and the maximum, both [] or [N, C], and of the sum []."""
    value, labels = find_tensor(graph, name), list[str]()
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


def sampling_stride(value: ir.Value, images: int) -> int:
    """Compute the stride with which a tensor [N, ...] of each of `images` images is sampled.

    It is odd, so that all columns are sampled.
    """
    dims = list(value.shape or [None])[1:]
    each = math.prod(dim if isinstance(dim, int) else 0 for dim in dims)
    wanted = max(1, SAMPLES_PER_TENSOR // images)
    return each // wanted // 2 * 2 + 1 if each > 2 * wanted else 1


def add_sample_output(graph: ir.Graph, name: str, stride: int) -> str:
    """Add an output [n] of every `stride`-th value."""
    value, label = find_tensor(graph, name), f"{name}.sample"
    slots = {
        "shape": -1,
        "start": 0,
        "end": np.iinfo(np.int64).max,
        "axis": 0,
        "step": stride,
    }
    shape, *slice_ = (numbers(graph, f"{label}.{key}", np.array([at])) for key, at in slots.items())
    flat = ir.node("Reshape", [value, shape], name=f"{label}.flat")
    taken = ir.node("Slice", [flat.outputs[0], *slice_], name=label)
    return add_output(graph, value, [flat, taken], label, None)


ESTIMATORS: dict[str, Callable[[Histogram], Range]] = {
    "percentile": histogram.percentile,
    "entropy": histogram.entropy,
    "mse": histogram.mse,
}
"""The range estimators that need a histogram, by calibration method; "minmax" needs none."""

_OF_MAGNITUDES = frozenset({"entropy"})
"""Methods whose histogram is one of |x|."""


class RangeCollector:
    """Adds outputs about one tensor to a graph, and collects them batch by batch.

    Raises:
        ValueError: the graph has no float32 tensor of that name.
    """

    def __init__(
        self, graph: ir.Graph, name: str, method: str, images: int, *, per_channel: bool
    ) -> None:
        value = find_tensor(graph, name)
        self.name, self._method, stride = name, method, sampling_stride(value, images)
        layout = _channels_and_plane(value) if per_channel else None
        self._ends = add_min_max_outputs(graph, name, by_channel=layout is not None)
        self._sample = None
        if method != "minmax":
            self._sample = add_sample_output(graph, name, stride)
        self._extent, self._histogram = Range(0.0, 0.0), GrowingHistogram()
        self._channels: ChannelCollector | None = None
        if layout is not None:
            channels, plane = layout
            each = -(-channels * plane // stride)
            self._channels = ChannelCollector(channels, plane, stride, each, images)

    @property
    def outputs(self) -> list[str]:
        """The names of the added outputs."""
        return [*self._ends, *([] if self._sample is None else [self._sample])]

    def add(self, found: Mapping[str, Array], fraction: float) -> bool:
        """Add the outputs of a batch, of which only the first `fraction` counts.

        Returns False where values are not finite. A maximum may ignore NaN; the sum does not.
        """
        lowest, highest, total = (found[label] for label in self._ends)
        low, high = float(lowest.min()), float(highest.max())
        if not np.isfinite([low, high, float(total)]).all():
            return False
        extent = Range(min(low, 0.0), max(high, 0.0))
        self._extent = self._extent.union(extent)
        sample = np.empty(0, np.float32)
        if self._sample is not None:
            sample = found[self._sample]
            sample = sample[: math.floor(sample.size * fraction)]
            _add_to_histogram(self._histogram, sample, extent, self._method)
        if self._channels is not None:
            count = round(len(lowest) * fraction)
            self._channels.add(lowest[:count], highest[:count], sample)
        return True

    def range(self) -> Range:
        """Estimate the range of the tensor."""
        return _estimate(self._histogram, self._extent, self._method)

    def channels(self) -> ChannelStatistics | None:
        """Return the channel statistics; None where they were not collected."""
        return None if self._channels is None else self._channels.statistics()


def estimate_range(channels: ChannelStatistics, method: str) -> Range:
    """Estimate the range of a tensor from its channel statistics."""
    counted, extent = GrowingHistogram(), channels.extent
    if method != "minmax":
        _add_to_histogram(counted, channels.values, extent, method)
    return _estimate(counted, extent, method)


def _channels_and_plane(value: ir.Value) -> tuple[int, int] | None:
    """Return the channels of a tensor [N, C, ...] and the elements of each; None if unknown."""
    dims = [] if value.shape is None else list(value.shape)[1:]
    known = [dim for dim in dims if isinstance(dim, int)]
    if len(dims) < 2 or len(known) < len(dims):
        return None
    return known[0], math.prod(known[1:])


def _add_to_histogram(counted: GrowingHistogram, values: Array, extent: Range, method: str) -> None:
    if method in _OF_MAGNITUDES:
        counted.add(np.abs(values), _of_magnitudes(extent))
    else:
        counted.add(values, extent)


def _estimate(counted: GrowingHistogram, measured: Range, method: str) -> Range:
    if method == "minmax" or measured.low == measured.high:
        return measured
    whole = _of_magnitudes(measured) if method in _OF_MAGNITUDES else measured
    return ESTIMATORS[method](counted.histogram(whole)).intersection(measured)


def _of_magnitudes(extent: Range) -> Range:
    return Range(0.0, max(-extent.low, extent.high))

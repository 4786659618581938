"""Which range of values each tensor of a model takes on pictures, for INT8 to cover."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.calibration import histogram
from kexport.calibration.growing import Growing
from kexport.calibration.histogram import Histogram, Range
from kexport.calibration.probes import add_output, find
from kexport.calibration.progress import Progress
from kexport.calibration.running import open_session
from kexport.errors import BadArgument, UnsupportedModel, did_you_mean
from kexport.passes.edit import numbers

__all__ = ["METHODS", "Range", "measure_ranges"]

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

SAMPLE = 1 << 15
"""How many values of a tensor are counted, of each picture."""

_EXTREMES = ("ReduceMin", "ReduceMax", "ReduceSum")


def measure_ranges(
    model: ir.Model,
    names: Sequence[str],
    images: Array,
    *,
    batch: int,
    method: str,
    progress: Progress | None = None,
) -> dict[str, Range]:
    """Run `model` on pictures and find the range of each tensor in `names`.

    The smallest and the largest value are found inside the graph, and every method but minmax
    counts `SAMPLE` values of each tensor and picture, which the graph picks out. Memory is that of
    one batch, whatever the number of pictures.

    Args:
        model: a float32 model of one input, whose batch is fixed or open.
        names: float32 tensors: the input's, or made by nodes.
        images: what the input takes, [N, ...]; read a batch at a time.
        batch: pictures at a time where the model leaves the batch open. A fixed batch takes its own
            number, and its last one is filled up with the first pictures, which do not count twice.
        method: one of `METHODS`.
        progress: called after each batch, with the pictures done and to do.

    Returns:
        A range for each name; each covers 0, since padding and the grids' zero points need it, and
        none leaves what was measured.

    Raises:
        BadArgument: an unknown method.
        UnsupportedModel: a tensor takes values that are not numbers, or infinite.
        ValueError: a name that is no float32 tensor of the graph.
    """
    if method not in METHODS:
        raise BadArgument(
            f"there is no calibration method {method!r}",
            hint=did_you_mean(method, METHODS) or f"choose one of {', '.join(METHODS)}",
        )
    names = list(dict.fromkeys(names))
    if not names:
        return {}
    probed = model.clone()
    outputs = [label for name in names for label in _add_extremes(probed.graph, name)]
    if method != "minmax":
        outputs += [_add_sample(probed.graph, name) for name in names]
    measured = dict.fromkeys(names, Range(0.0, 0.0))
    counted = {name: Growing() for name in names}
    for found, part in _Feed(model, images, batch, progress).run(probed, outputs):
        ends, samples = found[: 3 * len(names)], found[3 * len(names) :]
        extents = _extents(model, names, np.array(ends, np.float64).reshape(-1, 3))
        measured = {name: measured[name].widened(extents[name]) for name in names}
        for name, values in zip(names, samples, strict=False):
            few = values[: math.floor(values.size * part)]
            if method in _OF_MAGNITUDES:
                counted[name].add(np.abs(few), _of_magnitudes(extents[name]))
            else:
                counted[name].add(few, extents[name])
    if method == "minmax":
        return measured
    return {name: _searched(counted[name], measured[name], method) for name in names}


def _searched(counted: Growing, measured: Range, method: str) -> Range:
    if measured.low == measured.high:
        return measured
    whole = _of_magnitudes(measured) if method in _OF_MAGNITUDES else measured
    return _SEARCHES[method](counted.histogram(whole)).within(measured)


def _of_magnitudes(extent: Range) -> Range:
    return Range(0.0, max(-extent.low, extent.high))


def _extents(model: ir.Model, names: Sequence[str], ends: Array) -> dict[str, Range]:
    """The ranges of one batch, and 0, from its least and largest values and its sums [K, 3]."""
    # a maximum alone may pass over what is not a number; a sum does not
    if not np.isfinite(ends).all():
        _refuse(model, {n for n, row in zip(names, ends, strict=True) if not np.isfinite(row[2])})
    lows, highs = np.minimum(ends[:, 0], 0).tolist(), np.maximum(ends[:, 1], 0).tolist()
    pairs = zip(lows, highs, strict=True)
    return {name: Range(low, high) for name, (low, high) in zip(names, pairs, strict=True)}


class _Feed:
    """Pictures batch by batch, and the progress."""

    def __init__(
        self, model: ir.Model, images: Array, batch: int, progress: Progress | None
    ) -> None:
        (given,) = model.graph.inputs
        first = given.shape[0] if given.shape is not None else None
        self._name, self._images = given.name, images
        self._fixed = first if isinstance(first, int) else None
        self._batch = self._fixed or batch
        self._progress = progress

    def run(self, model: ir.Model, outputs: Sequence[str]) -> Iterator[tuple[list[Array], float]]:
        """The outputs of each batch, and the part of it, from its beginning, that counts."""
        session, total = open_session(model), len(self._images)
        for start in range(0, total, self._batch):
            count = min(self._batch, total - start)
            rows = np.arange(start, start + (self._fixed or count)) % total
            found = session.run(list(outputs), {self._name: self._images[rows]})
            yield found, count / len(rows)
            if self._progress is not None:
                self._progress(start + count, total)


def _add_extremes(graph: ir.Graph, name: str) -> list[str]:
    value, labels = find(graph, name), []
    for operator in _EXTREMES:
        label = f"{name}.{operator}"
        node = ir.node(operator, [value], {"keepdims": 0}, name=label)
        labels.append(add_output(graph, value, [node], label, ir.Shape([])))
    return labels


def _add_sample(graph: ir.Graph, name: str) -> str:
    """An output [n] of values at regular distances, odd so that all columns are met."""
    value, label = find(graph, name), f"{name}.sample"
    dims = list(value.shape or [None])[1:]
    each = math.prod(dim if isinstance(dim, int) else 0 for dim in dims)
    step = each // SAMPLE // 2 * 2 + 1 if each > 2 * SAMPLE else 1
    slots = {"shape": -1, "start": 0, "end": np.iinfo(np.int64).max, "axis": 0, "step": step}
    shape, *slice_ = (numbers(graph, f"{label}.{key}", np.array([at])) for key, at in slots.items())
    flat = ir.node("Reshape", [value, shape], name=f"{label}.flat")
    taken = ir.node("Slice", [flat.outputs[0], *slice_], name=label)
    return add_output(graph, value, [flat, taken], label, None)


def _refuse(model: ir.Model, names: set[str]) -> None:
    """Name the first tensor of the graph that is not finite."""
    for node in model.graph:
        for value in node.outputs:
            if value.name in names:
                raise UnsupportedModel(
                    f"the values of {value.name}, which {node.op_type} {node.name!r} makes, are "
                    "not finite on the calibration pictures (NaN, infinity, or an infinite sum)",
                    hint="check the weights and the preprocessing of the model",
                )
    raise UnsupportedModel(
        f"the input {min(names)} is not finite", hint="calibrate on other inputs"
    )

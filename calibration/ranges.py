"""Which range of values each tensor of a model takes on pictures, for INT8 to cover."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.calibration import histogram
from kexport.calibration.histogram import Histogram, Range
from kexport.calibration.probes import add_output, find
from kexport.calibration.progress import Progress
from kexport.calibration.running import open_session
from kexport.errors import BadArgument, UnsupportedModel, did_you_mean

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

    The smallest and the largest value are found inside the graph. Every method but minmax runs the
    pictures a second time, for histograms of `histogram.SAMPLE` values of each tensor and picture.
    Memory is that of one batch, whatever the number of pictures.

    Args:
        model: a float32 model of one input, whose batch is fixed or open.
        names: float32 tensors: the input's, or made by nodes.
        images: what the input takes, [N, ...]; read a batch at a time.
        batch: pictures at a time where the model leaves the batch open. A fixed batch takes its own
            number, and its last one is filled up with the first pictures, which do not count twice.
        method: one of `METHODS`.
        progress: called after each batch, with the pictures done and to do over both runs.

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
    fed = _Feed(model, images, batch, 1 if method == "minmax" else 2, progress)
    measured = _extremes(model, names, fed)
    if method == "minmax":
        return measured
    wide = {name: extent for name, extent in measured.items() if extent.low < extent.high}
    search, magnitudes = _SEARCHES[method], method in _OF_MAGNITUDES
    found = {
        name: search(counted).within(measured[name])
        for name, counted in _histograms(model, wide, magnitudes, fed).items()
    }
    return {name: found.get(name, extent) for name, extent in measured.items()}


class _Feed:
    """Pictures batch by batch, and the progress over all runs."""

    def __init__(
        self, model: ir.Model, images: Array, batch: int, runs: int, progress: Progress | None
    ) -> None:
        (given,) = model.graph.inputs
        first = given.shape[0] if given.shape is not None else None
        self._name, self._images = given.name, images
        self._fixed = first if isinstance(first, int) else None
        self._batch = self._fixed or batch
        self._total, self._done, self._progress = runs * len(images), 0, progress

    def run(self, model: ir.Model, outputs: Sequence[str]) -> Iterator[tuple[list[Array], int]]:
        """The outputs of each batch, and how many pictures count in it."""
        session = open_session(model)
        for start in range(0, len(self._images), self._batch):
            count = min(self._batch, len(self._images) - start)
            rows = np.arange(start, start + (self._fixed or count)) % len(self._images)
            yield session.run(list(outputs), {self._name: self._images[rows]}), count
            self._done += count
            if self._progress is not None:
                self._progress(self._done, self._total)


def _extremes(model: ir.Model, names: Sequence[str], fed: _Feed) -> dict[str, Range]:
    probed = model.clone()
    outputs = []
    for name in names:
        value = find(probed.graph, name)
        for operator in _EXTREMES:
            label = f"{name}.{operator}"
            node = ir.node(operator, [value], {"keepdims": 0}, name=label)
            outputs.append(add_output(probed.graph, value, [node], label, ir.Shape([])))
    lows, highs = np.zeros(len(names)), np.zeros(len(names))
    if not names:
        return {}
    for found, _ in fed.run(probed, outputs):
        low, high, total = np.array(found, np.float64).reshape(-1, 3).T
        # a maximum alone may pass over what is not a number; a sum does not
        if not np.isfinite([low, high, total]).all():
            _refuse(model, {n for n, row in zip(names, total, strict=True) if not np.isfinite(row)})
        lows, highs = np.minimum(lows, low), np.maximum(highs, high)
    ends = zip(lows.tolist(), highs.tolist(), strict=True)
    return {name: Range(low, high) for name, (low, high) in zip(names, ends, strict=True)}


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


def _histograms(
    model: ir.Model, extents: Mapping[str, Range], magnitudes: bool, fed: _Feed
) -> dict[str, Histogram]:
    if not extents:
        return {}
    probed = model.clone()
    outputs = []
    for name in extents:
        value = find(probed.graph, name)
        label = f"{name}.observed"
        node = ir.node("Abs" if magnitudes else "Identity", [value], name=label)
        outputs.append(add_output(probed.graph, value, [node], label, value.shape))
    counted: dict[str, Histogram] = {}
    for found, count in fed.run(probed, outputs):
        for index, (name, extent) in enumerate(extents.items()):
            largest = max(-extent.low, extent.high)
            span = Range(0.0, largest) if magnitudes else extent
            values = histogram.sampled(found[index][:count], count * histogram.SAMPLE)
            more = histogram.count(values, span)
            counted[name] = counted[name].plus(more) if name in counted else more
        found.clear()
    return counted

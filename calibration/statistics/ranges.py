"""Calibration statistics of a model: the ranges of its tensors on images, and their channels."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.partitioned import run_partitioned
from kexport.calibration.execution.rows import Inputs, arrays_of
from kexport.calibration.execution.session import batches_of
from kexport.calibration.progress import CountProgress
from kexport.calibration.statistics.channels import ChannelStatistics
from kexport.calibration.statistics.collector import RangeCollector, estimate_range
from kexport.calibration.statistics.histogram import Range
from kexport.errors import UnsupportedModel
from kexport.graph.shapes import refine_outputs
from kexport.options.calibration import check_method

__all__ = [
    "CalibrationStatistics",
    "Range",
    "collect_statistics",
    "estimate_range",
    "measure_ranges",
]


@dataclass(frozen=True, slots=True)
class CalibrationStatistics:
    """The ranges of tensors and the statistics of their channels, by tensor name."""

    ranges: dict[str, Range]
    channels: dict[str, ChannelStatistics]


def measure_ranges(
    model: ir.Model,
    names: Sequence[str],
    images: Inputs,
    *,
    batch: int,
    method: str,
    progress: CountProgress | None = None,
) -> dict[str, Range]:
    """Estimate the range of each tensor in `names`; see `collect_statistics`."""
    found = collect_statistics(
        model, names, (), images, batch=batch, method=method, progress=progress
    )
    return found.ranges


def collect_statistics(
    model: ir.Model,
    names: Sequence[str],
    watched: Sequence[str],
    images: Inputs,
    *,
    batch: int,
    method: str,
    progress: CountProgress | None = None,
) -> CalibrationStatistics:
    """Run `model` on images, and collect the ranges of some tensors and the channels of others.

    The graph itself computes minima and maxima; every method except minmax also counts about
    `collector.SAMPLES_PER_TENSOR` values of each tensor, which the graph samples. It runs in
    partitions, so that memory is that of one batch and a few weights, whatever the number of
    images.

    Args:
        model: a float32 model of one input, whose batch is fixed or open.
        names: float32 tensors: the input, or outputs of nodes.
        watched: float32 tensors [N, C, ...] computed by nodes, whose channels may be scaled later.
        images: the input, [N, ...]; read a batch at a time.
        batch: the batch size where the model leaves it open. With a fixed size the last batch is
            filled up with the first images, which are not counted twice.
        method: the range estimator, one of `options.calibration.METHODS`.
        progress: called after each batch, with the images done and in total.

    Returns:
        A range for each name, which covers 0, because padding and zero points need it, and is
        within the measured values; and the channel statistics of the watched tensors whose size is
        known.

    Raises:
        BadArgument: an unknown method.
        UnsupportedModel: a tensor has values that are NaN or infinite.
        ValueError: the graph has no float32 tensor of a name.
        OutputFailed: the folder for temporary files cannot be written.
    """
    check_method(method)
    everything = list(dict.fromkeys([*names, *watched]))
    if not everything:
        return CalibrationStatistics({}, {})
    probed = _with_input_sizes(model, arrays_of(model, images))
    each = batches_of(model, images, batch)
    batches = next(iter(each.values()))
    collectors = [
        RangeCollector(probed.graph, name, method, len(images), per_channel=name in watched)
        for name in everything
    ]
    added = {value.name: value for value in probed.graph.outputs}
    probed.graph.outputs[:] = [added[name] for each in collectors for name in each.outputs]
    for done, partitions, index, found in run_partitioned(probed, each):
        present = [each for each in collectors if each.outputs[0] in found]
        fraction = batches.fraction(index)
        not_finite = {each.name for each in present if not each.add(found, fraction)}
        if not_finite:
            _refuse(model, not_finite)
        if progress is not None:
            images_done = index * batches.size + batches.count(index)
            progress((done * len(images) + images_done) // partitions, len(images))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ranges = dict(zip(everything, pool.map(RangeCollector.range, collectors), strict=True))
    channels = {each.name: each.channels() for each in collectors}
    return CalibrationStatistics(
        {name: ranges[name] for name in dict.fromkeys(names)},
        {name: found for name, found in channels.items() if found is not None},
    )


def _with_input_sizes(model: ir.Model, samples: Mapping[str, Array]) -> ir.Model:
    """Copy the model, and fix the open axes of its inputs to those of the samples."""
    sized, found = model.clone(), set[ir.Value]()
    for given in sized.graph.inputs:
        first = None if given.shape is None else given.shape[0]
        whole = ir.Shape([first, *samples[given.name or ""].shape[1:]])
        if given.shape != whole:
            given.shape = whole
            found.add(given)
    if found:
        for node in sized.graph:
            refine_outputs(node, sized.graph.opset_imports[""], found)
    return sized


def _refuse(model: ir.Model, names: set[str]) -> None:
    """Raise an error about the first of some tensors in the graph, which are not finite."""
    for node in model.graph:
        for value in node.outputs:
            if value.name in names:
                raise UnsupportedModel(
                    f"the values of {value.name}, which {node.op_type} {node.name!r} computes, are "
                    "not finite on the calibration images (NaN, infinity, or an infinite sum)",
                    hint="check the weights and the preprocessing of the model",
                )
    raise UnsupportedModel(
        f"the input {min(names)} is not finite", hint="calibrate on other inputs"
    )

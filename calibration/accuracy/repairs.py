"""Repairs of a quantization plan that cost nothing at run time: each returns a new plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import onnx_ir as ir

from kexport.calibration.accuracy.plan import QuantizationPlan
from kexport.calibration.algorithms.bias_correction import UpdateLayer, measure_shifts
from kexport.calibration.algorithms.cross_layer_equalization import (
    equalization_scales,
    equalize,
    find_regions,
    flatten_ranges,
)
from kexport.calibration.algorithms.layer_weights import quantize_layer_weights
from kexport.calibration.algorithms.stream_centring import centre_streams, stream_shifts
from kexport.calibration.execution.layerwise import Layer
from kexport.calibration.execution.rows import Inputs
from kexport.calibration.execution.session import release_memory
from kexport.calibration.progress import Say, percent_progress
from kexport.calibration.quantizer.qdq import is_depthwise
from kexport.calibration.quantizer.qparams import QuantizedWeights
from kexport.calibration.quantizer.scheme import Scheme
from kexport.calibration.statistics.channels import ChannelStatistics
from kexport.calibration.statistics.ranges import (
    CalibrationStatistics,
    collect_statistics,
    estimate_range,
)
from kexport.graph.edit import small

MIN_LAYERWISE_IMAGES = 32
"""Images on which GPTQ and bias correction run at least."""

LAYERWISE_BYTES = 1 << 27
"""Bytes of the largest tensor over all layerwise images, which bounds the time and the temporary
files of GPTQ and bias correction; `MIN_LAYERWISE_IMAGES` are used even so. 128 MiB is 41 images of
a tensor of 112 x 112 pixels and 64 channels."""


def collect(
    model: ir.Model, scheme: Scheme, images: Inputs, method: str, say: Say
) -> CalibrationStatistics:
    """Measure the ranges of all tensors that `scheme` may quantize, and the channels to equalize.

    Both come from one run over the calibration images.
    """
    return _collect(model, scheme.tensors(model), images, method, say, "measuring ranges")


def collect_channels(
    model: ir.Model, images: Inputs, method: str, say: Say
) -> dict[str, ChannelStatistics]:
    """Measure only the channels to equalize, by tensor name."""
    return _collect(model, [], images, method, say, "measuring channels").channels


def _collect(
    model: ir.Model, names: Sequence[str], images: Inputs, method: str, say: Say, step: str
) -> CalibrationStatistics:
    watched = [value.name or "" for region in find_regions(model) for value in region.tensors]
    progress = percent_progress(say, step)
    found = collect_statistics(
        model, names, watched, images, batch=4, method=method, progress=progress
    )
    release_memory()
    return found


def equalize_channels(
    plan: QuantizationPlan, channels: Mapping[str, ChannelStatistics], method: str
) -> QuantizationPlan:
    """Centre the streams, equalize the channels, and derive the new ranges from the statistics."""
    shifts = stream_shifts(plan.floating, channels)
    floating = centre_streams(shifts)(plan.floating)
    channels = {
        name: each.shifted(shifts[name]) if name in shifts else each
        for name, each in channels.items()
    }
    peaks = {name: each.peaks for name, each in channels.items()}
    changed = {
        name: estimate_range(channels[name].scaled(scale), method)
        for name, scale in equalization_scales(floating, peaks).items()
        if name in plan.ranges
    }
    ranges = {**plan.ranges, **flatten_ranges(floating, changed)}
    return replace(plan, floating=equalize(peaks)(floating), ranges=ranges)


def correct_biases(
    plan: QuantizationPlan, quantized: ir.Model, scheme: Scheme, images: Inputs, say: Say
) -> QuantizationPlan:
    """Measure the output shift of every layer, so that the biases remove it.

    Args:
        plan: the plan, whose own shifts are replaced.
        quantized: its quantized model with uncorrected biases.
        scheme: the quantization scheme.
        images: the calibration images; the first of them are used.
        say: called with the progress.
    """
    return _run_layerwise(plan, quantized, scheme, images, say, "correcting biases", None)


def round_weights(
    plan: QuantizationPlan, quantized: ir.Model, scheme: Scheme, images: Inputs, say: Say
) -> QuantizationPlan:
    """Round the weights of every layer by GPTQ on its quantized inputs, and correct the biases.

    Args:
        plan: the plan, whose own shifts and weights are replaced.
        quantized: its quantized model with uncorrected biases.
        scheme: the quantization scheme.
        images: the calibration images; the first of them are used.
        say: called with the progress.
    """
    found: dict[str, QuantizedWeights] = {}
    nodes = {node.name: node for node in plan.floating.graph}

    def update(layer: Layer, exact: Layer) -> None:
        name = layer.node.name or ""
        weights = small(nodes[name].inputs[1])
        if weights is None:
            return
        rounded = quantize_layer_weights(
            layer.node,
            weights,
            layer.inputs[0],
            exact.inputs[0],
            avoid_saturation=scheme.avoid_saturation and not is_depthwise(layer.node, weights),
            float16_scales=scheme.float16_scales,
        )
        if rounded is not None:
            found[name], layer.inputs[1] = rounded, [rounded.dequantized]

    changed = _run_layerwise(plan, quantized, scheme, images, say, "rounding weights", update)
    return replace(changed, weights=found)


def _run_layerwise(
    plan: QuantizationPlan,
    quantized: ir.Model,
    scheme: Scheme,
    images: Inputs,
    say: Say,
    step: str,
    update: UpdateLayer | None,
) -> QuantizationPlan:
    nodes = scheme.place(plan.floating, plan.floats).weights
    chosen = images[: layerwise_images(plan.floating)]
    progress = percent_progress(say, step)
    shifts = measure_shifts(plan.floating, quantized, nodes, chosen, progress, update)
    return replace(plan, shifts=tuple(shifts))


def layerwise_images(model: ir.Model) -> int:
    """Compute the number of images for layerwise repairs from the size of the largest tensor."""
    sizes = (
        math.prod(dim for dim in list(value.shape or ())[1:] if isinstance(dim, int))
        for node in model.graph
        for value in node.outputs
    )
    return max(MIN_LAYERWISE_IMAGES, LAYERWISE_BYTES // (4 * max(sizes, default=1)))

"""Centring of residual streams: shift channels to the middle of their ranges."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.algorithms.cross_layer_equalization import Region, find_regions
from kexport.calibration.statistics.channels import ChannelStatistics
from kexport.graph.edit import required, sole_user
from kexport.graph.passes import Pass
from kexport.graph.weights import add_to_bias, has_padding, response_to


def centre_streams(shifts: Mapping[str, Array]) -> Pass:
    """Build the pass that subtracts a shift [C] from tensors, and keeps the function.

    The biases of the convolutions that compute the tensors take the shifts up, and those of the
    convolutions that read them give them back. It is the absorption of high biases (Nagel et al.,
    "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.1.3),
    which is exact here, where no activation is between.

    Args:
        shifts: the result of `stream_shifts`, by tensor name.
    """

    @Pass
    def centre_streams(model: ir.Model) -> None:
        for node in [node for node in model.graph if node.op_type == "Conv"]:
            made = shifts.get(node.outputs[0].name or "")
            read = shifts.get(required(node, 0).name or "")
            if made is not None:
                add_to_bias(model.graph, node, -made)
            if read is not None:
                add_to_bias(model.graph, node, response_to(node, read))

    return centre_streams


def stream_shifts(model: ir.Model, channels: Mapping[str, ChannelStatistics]) -> dict[str, Array]:
    """Compute the shift of each channel [C] that centres the tensors of linear streams, by name.

    A stream is a region of cross-layer equalization with convolutions and Adds only, whose readers
    have no padding. A tensor that a convolution reads is centred. What only an Add reads is shifted
    so that the sum is centred, and the shift of a sum is the sum of those of its inputs.

    Without this the mean of a channel takes levels from its values, and a scale for each channel
    cannot give them back: the models that lose most are fine-tuned ones, whose batch normalizations
    have the statistics of other images.
    """
    shifts: dict[str, Array] = {}
    for region in find_regions(model):
        names = {tensor.name or "" for tensor in region.tensors}
        if names <= channels.keys() and _is_linear(region):
            shifts |= _region_shifts(model, names, channels)
    return shifts


def _is_linear(region: Region) -> bool:
    makers = {tensor.producer() for tensor in region.tensors}
    sums = {node for node in makers if node is not None and node.op_type == "Add"}
    inside = sums.union(region.readers)
    return (
        makers <= sums.union(region.producers)
        and all(use.node in inside for tensor in region.tensors for use in tensor.uses())
        and all(node.op_type == "Conv" and not has_padding(node) for node in region.readers)
        and all(value in region.tensors for node in sums for value in node.inputs)
    )


def _region_shifts(
    model: ir.Model, names: set[str], channels: Mapping[str, ChannelStatistics]
) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for node in model.graph:
        result = node.outputs[0]
        name = result.name or ""
        if name not in names:
            continue
        if node.op_type == "Conv":
            reader = sole_user(result)
            if reader is None or reader.op_type != "Add":
                found[name] = channels[name].middle
            continue
        one, other = (value.name or "" for value in node.inputs if value is not None)
        if one not in found and other not in found:
            found[one] = channels[one].middle
        known, unknown = (one, other) if one in found else (other, one)
        if unknown not in found:
            found[unknown] = channels[name].middle - found[known]
        found[name] = found[one] + found[other]
    return found

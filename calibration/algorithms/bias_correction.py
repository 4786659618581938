"""Bias correction: remove the mean shift that quantization adds to the output of each layer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.ahead import computed_ahead
from kexport.calibration.execution.blas_threads import single_blas_thread
from kexport.calibration.execution.layerwise import Layer, LayerwiseRun
from kexport.calibration.execution.rows import Inputs
from kexport.calibration.execution.session import BATCH_SIZE, batches_of
from kexport.calibration.metrics import decibels
from kexport.calibration.progress import CountProgress
from kexport.graph.passes import Pass
from kexport.graph.weights import add_to_bias

UpdateLayer = Callable[[Layer, Layer], None]
"""Called before a layer runs, with the quantized layer, whose constants may be replaced, and the
same layer of the float graph."""

HAS_BIAS = frozenset({"Conv", "Gemm"})

BATCH_BYTES = 1 << 22
"""Bytes of the largest tensor of a batch, so that images of few pixels run many at a time."""


@dataclass(frozen=True, slots=True)
class OutputShift:
    """What quantization does to the output of one Conv or Gemm."""

    node: str
    correction: Array
    """The mean of the float output minus that of the quantized one, float64 [C]."""
    sqnr: float
    """SQNR of the output after the correction, in decibels."""


def measure_shifts(
    floating: ir.Model,
    quantized: ir.Model,
    nodes: Collection[str],
    images: Inputs,
    progress: CountProgress | None = None,
    update: UpdateLayer | None = None,
) -> list[OutputShift]:
    """Measure the mean shift of every output channel, layer by layer.

    It is E[y] - E[y'] over all images and pixels (Nagel et al., "Data-Free Quantization Through
    Weight Equalization and Bias Correction", 2019, section 4.2, in the empirical form of its
    appendix D). Each layer y' reads the outputs of the layers before it, which are corrected.

    Args:
        floating: the float model.
        quantized: the quantized model; its nodes have kept their names.
        nodes: names of the Conv and Gemm to measure.
        images: the samples; intermediate tensors are kept in temporary files.
        progress: called after each layer.
        update: called before each quantized layer runs.
    """

    def is_layer(node: ir.Node) -> bool:
        return node.name in nodes and node.op_type in HAS_BIAS

    total = sum(is_layer(node) for node in floating.graph)
    batches = batches_of(floating, images, batch_size(floating), free=True)
    found: list[OutputShift] = []
    float_layers = computed_ahead(LayerwiseRun(floating, batches).layers(is_layer))
    quantized_layers = LayerwiseRun(quantized, batches).layers(is_layer)
    with single_blas_thread():
        for exact, rounded in zip(float_layers, quantized_layers, strict=True):
            if update is not None:
                update(rounded, exact)
            shift = _compare(exact, rounded)
            rounded.addend = shift.correction
            found.append(shift)
            if progress is not None:
                progress(len(found), total)
    return found


def batch_size(model: ir.Model) -> int:
    """Compute how many images fill `BATCH_BYTES` with the largest tensor of a graph."""
    values = [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]
    largest = max(
        math.prod(dim for dim in list(value.shape or ())[1:] if isinstance(dim, int))
        for value in values
    )
    return max(BATCH_SIZE, BATCH_BYTES // (4 * largest))


def correct_bias(corrections: Mapping[str, Array]) -> Pass:
    """Build the pass that adds a correction [C] to the bias of each named Conv and Gemm."""

    @Pass
    def correct_bias(model: ir.Model) -> None:
        for node in list(model.graph):
            if node.name is not None and node.name in corrections:
                add_to_bias(model.graph, node, corrections[node.name])

    return correct_bias


def _compare(exact: Layer, rounded: Layer) -> OutputShift:
    """Compare the outputs [N, C, ...] of a layer in the float and the quantized graph.

    A layer is linear, so that the mean of its outputs over all images is its output for their mean,
    and one run of it gives the correction. The noise is measured on the first batch.
    """
    (exact_mean, exact_part), (rounded_mean, rounded_part) = (
        layer.outputs(_means(layer), _first(layer)) for layer in (exact, rounded)
    )
    correction = _by_channel(exact_mean - rounded_mean)
    rest = exact_part - rounded_part
    rest -= correction.astype(np.float32).reshape(-1, *[1] * (rest.ndim - 2))
    sqnr = decibels(float(np.vdot(exact_part, exact_part)), float(np.vdot(rest, rest)))
    return OutputShift(rounded.node.name or "", correction, sqnr)


def _means(layer: Layer) -> list[Array]:
    """Compute the mean of each moving input over all images, [1, ...]."""
    return [_mean(parts) for parts in layer.moving()]


def _mean(parts: Sequence[Array]) -> Array:
    whole, count = parts[0].sum(axis=0, keepdims=True, dtype=np.float64), len(parts[0])
    for part in itertools.islice(parts, 1, None):
        whole += part.sum(axis=0)
        count += len(part)
    return np.asarray(whole / count, parts[0].dtype)


def _first(layer: Layer) -> list[Array]:
    return [parts[0] for parts in layer.moving()]


def _by_channel(outputs: Array) -> Array:
    """Compute the mean of outputs [N, C, ...] for each channel, float64 [C]."""
    return np.asarray(outputs.reshape(*outputs.shape[:2], -1).mean(axis=(0, 2), dtype=np.float64))

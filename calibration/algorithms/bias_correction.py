"""Bias correction: remove the mean shift that quantization adds to the output of each layer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.layerwise import Layer, LayerwiseRun
from kexport.calibration.execution.session import Batches
from kexport.calibration.metrics import decibels
from kexport.calibration.progress import CountProgress
from kexport.graph.passes import Pass
from kexport.graph.weights import add_to_bias

UpdateLayer = Callable[[ir.Node, list[Sequence[Array]], list[Sequence[Array]]], None]
"""Called before a layer runs, with the quantized node, its inputs, which may be replaced, and the
inputs of the same node in the float graph."""

HAS_BIAS = frozenset({"Conv", "Gemm"})


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
    images: Array,
    progress: CountProgress | None = None,
    update: UpdateLayer | None = None,
) -> list[OutputShift]:
    """Measure the mean shift of every output channel, layer by layer.

    It is E[y] - E[y'] over all images and pixels (Nagel et al., "Data-Free Quantization Through
    Weight Equalization and Bias Correction", 2019, section 4.2, in the empirical form of its
    appendix D). Each layer y' runs on the outputs of the layers before it, which are corrected.

    Args:
        floating: the float model.
        quantized: the quantized model; its nodes have kept their names.
        nodes: names of the Conv and Gemm to measure.
        images: the input; intermediate tensors are kept in temporary files.
        progress: called after each layer.
        update: called before each quantized layer runs.
    """

    def is_layer(node: ir.Node) -> bool:
        return node.name in nodes and node.op_type in HAS_BIAS

    total = sum(is_layer(node) for node in floating.graph)
    batches = Batches(floating, images, free=True)
    found: list[OutputShift] = []
    float_inputs: list[Sequence[Array]] = []

    def remember(node: ir.Node, inputs: list[Sequence[Array]]) -> None:
        float_inputs[:] = inputs

    def change(node: ir.Node, inputs: list[Sequence[Array]]) -> None:
        if update is not None:
            update(node, inputs, float_inputs)

    float_layers = LayerwiseRun(floating, batches).layers(is_layer, remember)
    quantized_layers = LayerwiseRun(quantized, batches).layers(is_layer, change)
    for exact, rounded in zip(float_layers, quantized_layers, strict=True):
        shift = _compare(exact, rounded)
        rounded.addend = shift.correction
        found.append(shift)
        if progress is not None:
            progress(len(found), total)
    return found


def correct_bias(corrections: Mapping[str, Array]) -> Pass:
    """Build the pass that adds a correction [C] to the bias of each named Conv and Gemm."""

    @Pass
    def correct_bias(model: ir.Model) -> None:
        for node in list(model.graph):
            if node.name is not None and node.name in corrections:
                add_to_bias(model.graph, node, corrections[node.name])

    return correct_bias


def _compare(exact_layer: Layer, rounded_layer: Layer) -> OutputShift:
    """Compare the outputs [N, C, ...] of a float layer and a quantized one, batch by batch.

    The noise that remains after the correction is the variance around the mean: the variance within
    each batch plus that of the batch means (T. Chan et al., "Algorithms for Computing the Sample
    Variance", 1983).
    """
    means, counts, signal, within = list[Array](), list[int](), 0.0, 0.0
    for exact, rounded in zip(exact_layer, rounded_layer, strict=True):
        rest = (exact - rounded).reshape(*exact.shape[:2], -1)
        means.append(rest.mean(axis=2).mean(axis=0, dtype=np.float64))
        counts.append(rest[:, 0].size)
        rest -= means[-1].astype(np.float32)[:, np.newaxis]
        signal += float(np.vdot(exact, exact))
        within += float(np.vdot(rest, rest))
    correction = np.average(means, axis=0, weights=counts)
    between = np.square(np.stack(means) - correction).sum(axis=1) @ counts
    sqnr = decibels(signal, within + float(between))
    return OutputShift(rounded_layer.node.name or "", correction, sqnr)

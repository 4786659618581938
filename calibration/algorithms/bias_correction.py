"""Bias correction: what quantisation moves on average is taken back in the bias."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.layerwise import Layer, LayerwiseRun
from kexport.calibration.execution.session import Batches
from kexport.calibration.metrics import decibels
from kexport.calibration.progress import Progress
from kexport.graph.passes import Pass
from kexport.graph.weights import add_to_bias

Repair = Callable[[ir.Node, list[Sequence[Array]], list[Sequence[Array]]], None]
"""What may be done to a layer before it runs: the quantised node, what it reads, which may be
changed, and what it reads in the float graph."""

HAS_BIAS = frozenset({"Conv", "Gemm"})


@dataclass(frozen=True, slots=True)
class Shift:
    """What quantisation did to the output of one Conv or Gemm."""

    node: str
    correction: Array
    """The mean of the float output less that of the quantised one, float64 [C]."""
    sqnr: float
    """Of the output, corrected, decibels."""


def shifts(
    floating: ir.Model,
    quantized: ir.Model,
    nodes: Collection[str],
    images: Array,
    progress: Progress | None = None,
    repair: Repair | None = None,
) -> list[Shift]:
    """How far the mean of every channel moves, layer by layer, each behind the corrected ones.

    E[y] - E[y'] over all images and pixels (Nagel et al., "Data-Free Quantization Through Weight
    Equalization and Bias Correction", 2019, section 4.2, in the empirical form of its appendix D),
    with y' computed from what the corrected layers before give.

    Args:
        floating: the model as it was.
        quantised: the same, quantised; its nodes have kept their names.
        nodes: names of the Conv and Gemm to look at.
        images: what the input takes; what the layers make of them is in temporary files.
        progress: called after each layer.
        repair: what is done to each quantised layer before it runs.
    """

    def stop(node: ir.Node) -> bool:
        return node.name in nodes and node.op_type in HAS_BIAS

    total = sum(stop(node) for node in floating.graph)
    batches = Batches(floating, images)
    found: list[Shift] = []
    met: list[Sequence[Array]] = []

    def note(node: ir.Node, inputs: list[Sequence[Array]]) -> None:
        met[:] = inputs

    def change(node: ir.Node, inputs: list[Sequence[Array]]) -> None:
        if repair is not None:
            repair(node, inputs, met)

    exact = LayerwiseRun(floating, batches).layers(stop, note)
    rounded = LayerwiseRun(quantized, batches).layers(stop, change)
    for wanted, given in zip(exact, rounded, strict=True):
        shift = _shift(wanted, given)
        given.addend = shift.correction
        found.append(shift)
        if progress is not None:
            progress(len(found), total)
    return found


def correct_bias(corrections: Mapping[str, Array]) -> Pass:
    """A pass that adds a correction [C] to the bias of each Conv and Gemm that it names."""

    @Pass
    def correct_bias(model: ir.Model) -> None:
        for node in list(model.graph):
            if node.name is not None and node.name in corrections:
                add_to_bias(model.graph, node, corrections[node.name])

    return correct_bias


def _shift(wanted: Layer, given: Layer) -> Shift:
    """Compare a layer with its quantised self, both [N, C, ...], batch by batch.

    The noise that a correction leaves is that around the mean, which is that around the mean of
    each batch and that of those means (T. Chan et al., "Algorithms for Computing the Sample
    Variance", 1983).
    """
    means, counts, signal, within = list[Array](), list[int](), 0.0, 0.0
    for exact, rounded in zip(wanted, given, strict=True):
        rest = (exact - rounded).reshape(*exact.shape[:2], -1)
        means.append(rest.mean(axis=2).mean(axis=0, dtype=np.float64))
        counts.append(rest[:, 0].size)
        rest -= means[-1].astype(np.float32)[:, np.newaxis]
        signal += float(np.vdot(exact, exact))
        within += float(np.vdot(rest, rest))
    correction = np.average(means, axis=0, weights=counts)
    between = np.square(np.stack(means) - correction).sum(axis=1) @ counts
    return Shift(given.node.name or "", correction, decibels(signal, within + float(between)))

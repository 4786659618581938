"""Bias correction: what quantisation moves on average is taken back in the bias."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.artifact import Pass
from kexport.calibration.progress import Progress
from kexport.calibration.quality import decibels
from kexport.calibration.running import batches_of
from kexport.calibration.stepwise import Parts, Stepwise
from kexport.passes.weighted import add_to_bias

Array = np.ndarray[Any, Any]

Repair = Callable[[ir.Node, Sequence[Parts], Sequence[Parts]], None]
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
    quantised: ir.Model,
    nodes: Collection[str],
    images: Array,
    progress: Progress | None = None,
    repair: Repair | None = None,
) -> list[Shift]:
    """How far the mean of every channel moves, layer by layer, each behind the corrected ones.

    E[y] - E[y'] over all pictures and pixels (Nagel et al., "Data-Free Quantization Through Weight
    Equalization and Bias Correction", 2019, section 4.2, in the empirical form of its appendix D),
    with y' computed from what the corrected layers before give.

    Args:
        floating: the model as it was.
        quantised: the same, quantised; its nodes have kept their names.
        nodes: names of the Conv and Gemm to look at.
        images: what the input takes; all their activations around one layer are in memory at once.
        progress: called after each layer.
        repair: what is done to each quantised layer before it runs.
    """

    def stop(node: ir.Node) -> bool:
        return node.name in nodes and node.op_type in HAS_BIAS

    total = sum(stop(node) for node in floating.graph)
    batches = list(batches_of(floating, images))
    found: list[Shift] = []
    met: list[Parts] = []

    def note(node: ir.Node, inputs: Sequence[Parts]) -> None:
        met[:] = inputs

    def change(node: ir.Node, inputs: Sequence[Parts]) -> None:
        if repair is not None:
            repair(node, inputs, met)

    exact = Stepwise(floating, batches).until(stop, note)
    rounded = Stepwise(quantised, batches).until(stop, change)
    for (node, wanted), (_, given) in zip(exact, rounded, strict=True):
        correction = _means(wanted) - _means(given)
        addend = correction.astype(np.float32).reshape(-1, *[1] * (wanted[0].ndim - 2))
        for index, part in enumerate(given):
            given[index] = part + addend
        found.append(Shift(node.name or "", correction, _ratio(wanted, given)))
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


def _means(parts: list[Array]) -> Array:
    """The mean of each channel [C] of [N, C, ...] tensors, in float64."""
    sums = [part.reshape(*part.shape[:2], -1).sum(axis=2).sum(axis=0) for part in parts]
    count = sum(part.size // part.shape[1] for part in parts)
    return np.asarray(np.sum(sums, axis=0, dtype=np.float64) / count)


def _ratio(wanted: list[Array], given: list[Array]) -> float:
    """Signal over noise of all parts together, decibels."""
    signal = noise = 0.0
    for exact, rounded in zip(wanted, given, strict=True):
        signal += float(np.vdot(exact, exact))
        rest = exact - rounded
        noise += float(np.vdot(rest, rest))
    return decibels(signal, noise)

"""The accuracy gate: quantise, compare with Keras, and repair until it holds or refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.calibration.bias_correction import correct_bias, corrections
from kexport.calibration.channels import channel_peaks
from kexport.calibration.equalize import equalize, pairs
from kexport.calibration.islands import by_sensitivity
from kexport.calibration.judge import Judge
from kexport.calibration.quality import Quality
from kexport.calibration.ranges import Range, measure_ranges
from kexport.calibration.scheme import Scheme

Array = np.ndarray[Any, Any]
Progress = Callable[[str], None]

FEW = 8
"""Pictures on which the sensitivity of every node is measured."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to quantise a model, and what came of it."""

    floating: ir.Model
    """The float32 model that is quantised: the given one, or its equalised twin."""
    ranges: Mapping[str, Range]
    corrections: Mapping[str, Array] = field(default_factory=dict)
    """What is added to each convolution's bias, [C] by node."""
    floats: frozenset[str] = frozenset()
    """Nodes that could be quantised and stay float."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the gate: what it is, what it brought, and whether it was kept."""

    name: str
    quality: Quality
    kept: bool


@dataclass(frozen=True, slots=True)
class Gated:
    """The best attempt, quantised, and the steps that led there."""

    model: ir.Model
    attempt: Attempt
    quality: Quality
    steps: tuple[Step, ...]
    holds: bool
    """Whether the quality is as asked for."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What decides, and on what."""

    scheme: Scheme
    images: Array
    """Pictures to measure on, uint8 [N, H, W, C]."""
    judge: Judge
    holds: Callable[[Quality], bool]
    method: str
    """How a range is found (`ranges.METHODS`)."""

    def scores(self, model: ir.Model) -> Array:
        """The scores of the first few pictures, for what has to be asked often."""
        return self.judge.scores(model, self.images[:FEW])

    def quantised(self, attempt: Attempt) -> ir.Model:
        """The model of an attempt, quantised."""
        model = self.scheme.quantise(attempt.floating, attempt.ranges, attempt.floats)
        return correct_bias(attempt.corrections)(model) if attempt.corrections else model

    def ranges(self, model: ir.Model) -> dict[str, Range]:
        """The ranges of every tensor that the scheme may quantise."""
        names = self.scheme.tensors(model)
        return measure_ranges(model, names, self.images, batch=4, method=self.method)


def quantise(model: ir.Model, gate: Gate, progress: Progress) -> Gated:
    """Quantise `model`, with the repairs that help, and with as many float islands as it needs.

    Equalisation and bias correction cost nothing at run time, so both are always tried, and kept
    where they bring the scores nearer to Keras'. Nodes go back to float only while the gate does
    not hold, the most sensitive for their multiply-adds first.
    """
    progress("measuring ranges")
    search = _Search(gate, progress, Attempt(model, gate.ranges(model)))
    search.equalise()
    search.correct()
    if not search.holds and search.islands():
        search.correct()
    return search.result()


class _Search:
    def __init__(self, gate: Gate, progress: Progress, first: Attempt) -> None:
        self._gate, self._progress = gate, progress
        self._best = first
        self._model = gate.quantised(first)
        self._quality = gate.judge(self._model)
        self._steps = [Step("quantised", self._quality, kept=True)]

    @property
    def holds(self) -> bool:
        return self._gate.holds(self._quality)

    def result(self) -> Gated:
        return Gated(self._model, self._best, self._quality, tuple(self._steps), self.holds)

    def equalise(self) -> None:
        floating = self._best.floating
        tensors = [pair.tensor.name or "" for pair in pairs(floating)]
        if not tensors:
            return
        self._progress("equalising channels")
        even = equalize(channel_peaks(floating, tensors, self._gate.images))(floating)
        self._try(
            "equalisation", replace(self._best, floating=even, ranges=self._gate.ranges(even))
        )

    def correct(self) -> None:
        self._progress("correcting biases")
        bare = self._gate.quantised(replace(self._best, corrections={}))
        found = corrections(self._best.floating, bare, self._gate.images)
        once = correct_bias(found)(bare)
        rest = corrections(self._best.floating, once, self._gate.images)
        both = {name: found[name] + rest[name] for name in found}
        self._try("bias correction", replace(self._best, corrections=both))

    def islands(self) -> bool:
        """Leave ever more nodes in float; whether any were."""
        self._progress("looking for what must stay float")
        best, gate = self._best, self._gate
        ranked = by_sensitivity(best.floating, gate.scheme, best.ranges, gate.scores)
        count = 1
        while not self.holds and count < 2 * len(ranked):
            floats = frozenset(ranked[:count])
            self._try(f"{len(floats)} nodes in float", replace(self._best, floats=floats))
            count *= 2
        return bool(self._best.floats)

    def _try(self, name: str, attempt: Attempt) -> None:
        model = self._gate.quantised(attempt)
        quality = self._gate.judge(model)
        kept = _key(quality) > _key(self._quality)
        self._steps.append(Step(name, quality, kept))
        if kept:
            self._best, self._model, self._quality = attempt, model, quality


def _key(quality: Quality) -> tuple[float, float]:
    """More decibels are better; but a picture that is right before counts first, with labels."""
    return (quality.top1 or 0.0, quality.sqnr)

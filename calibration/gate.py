"""The accuracy gate: quantise, compare with Keras, and repair until it holds or refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.calibration.bias_correction import Shift, correct_bias, shifts
from kexport.calibration.channels import channel_peaks
from kexport.calibration.equalize import equalize, pairs
from kexport.calibration.islands import by_sensitivity
from kexport.calibration.judge import Judge
from kexport.calibration.progress import Say, counted
from kexport.calibration.quality import Quality
from kexport.calibration.ranges import Range, measure_ranges
from kexport.calibration.scheme import Scheme

Array = np.ndarray[Any, Any]

FEW, SOME = 8, 32
"""Pictures on which the sensitivity of every node is measured, and biases are corrected."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to quantise a model."""

    floating: ir.Model
    """The float32 model that is quantised: the given one, or its equalised twin."""
    ranges: Mapping[str, Range]
    layers: tuple[Shift, ...] = ()
    """What bias correction found, and corrects."""
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
    """Pictures to measure on, as the model takes them, batch first."""
    judge: Judge
    holds: Callable[[Quality], bool]
    method: str
    """How a range is found (`ranges.METHODS`)."""
    say: Say

    def quantised(self, attempt: Attempt) -> ir.Model:
        """The model of an attempt, quantised."""
        corrections = {layer.node: layer.correction for layer in attempt.layers}
        floating = correct_bias(corrections)(attempt.floating)
        return self.scheme.quantise(floating, attempt.ranges, attempt.floats)

    def ranges(self, model: ir.Model) -> dict[str, Range]:
        """The ranges of every tensor that the scheme may quantise."""
        names = self.scheme.tensors(model)
        told = counted(self.say, "measuring ranges")
        return measure_ranges(model, names, self.images, batch=4, method=self.method, progress=told)

    def layers(self, attempt: Attempt) -> tuple[Shift, ...]:
        """What quantisation does to each layer with weights."""
        bare = replace(attempt, layers=())
        nodes = self.scheme.place(bare.floating, bare.floats).weights
        told = counted(self.say, "correcting biases")
        model, images = self.quantised(bare), self.images[:SOME]
        return tuple(shifts(bare.floating, model, nodes, images, told))

    def ranked(self, attempt: Attempt) -> list[str]:
        """The nodes with weights, first those whose float form buys most."""

        def scores(model: ir.Model) -> Array:
            return self.judge.scores(model, self.images[:FEW])

        told = counted(self.say, "measuring what each layer costs")
        return by_sensitivity(attempt.floating, self.scheme, attempt.ranges, scores, told)


def quantise(model: ir.Model, ranges: Mapping[str, Range], gate: Gate) -> Gated:
    """Quantise `model`, with the repairs that help, and with as many float islands as it needs.

    Equalisation and bias correction cost nothing at run time, so both are always tried, and kept
    where they bring the scores nearer to Keras'. Nodes go back to float only while the gate does
    not hold, the most sensitive for their multiply-adds first.

    Args:
        model: the float32 model that the gate's scheme has prepared.
        ranges: those of the tensors that the scheme asks for.
        gate: what decides.
    """
    search = _Search(gate, Attempt(model, ranges))
    search.equalise()
    search.correct()
    if not search.holds and search.islands():
        search.correct()
    return search.result()


class _Search:
    def __init__(self, gate: Gate, first: Attempt) -> None:
        self._gate, self._best = gate, first
        gate.say("quantising")
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
        self._gate.say("equalising channels")
        even = equalize(channel_peaks(floating, tensors, self._gate.images))(floating)
        ranges = self._gate.ranges(even)
        self._try("equalisation", replace(self._best, floating=even, ranges=ranges))

    def correct(self) -> None:
        layers = self._gate.layers(self._best)
        self._try("bias correction", replace(self._best, layers=layers))

    def islands(self) -> bool:
        """Leave ever more nodes in float until the gate holds; whether any were left."""
        best = self._best
        ranked = self._gate.ranked(best)
        count = 1
        while not self.holds and count < 2 * len(ranked):
            floats = frozenset(ranked[:count])
            self._gate.say(f"leaving {len(floats)} layers in float")
            self._try(f"{len(floats)} layers in float", replace(best, floats=floats))
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
    """More decibels are better; but a picture that is right counts first, where that is known."""
    return (quality.top1 or 0.0, quality.sqnr)

"""The accuracy gate: quantise, compare with Keras, and repair until it holds or refuse."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.calibration.bias_correction import Shift, correct_bias, shifts
from kexport.calibration.channels import Channels
from kexport.calibration.equalize import equalize, pairs, scales
from kexport.calibration.islands import by_sensitivity
from kexport.calibration.judge import Judge
from kexport.calibration.operations import share
from kexport.calibration.progress import Say, counted
from kexport.calibration.quality import Quality
from kexport.calibration.quantize import is_depthwise
from kexport.calibration.ranges import Measured, Range, measure, range_of
from kexport.calibration.rounded import Rounded, rounded
from kexport.calibration.scheme import Scheme
from kexport.calibration.stepwise import Change
from kexport.passes.edit import small

Array = np.ndarray[Any, Any]

FEW, SOME = 8, 32
"""Pictures on which the sensitivity of every node is measured, and at least as many on which
weights are rounded and biases are corrected."""

HELD = 1 << 27
"""Bytes of the largest tensor on all pictures that are worked on at a time, where it is more than
that of `SOME` of them."""

LEAST_INTEGERS = 0.5
"""The share of the multiply-adds that must be left in integers for a model to be called int8."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to quantise a model."""

    floating: ir.Model
    """The float32 model that is quantised: the given one, or its equalised twin."""
    ranges: Mapping[str, Range]
    layers: tuple[Shift, ...] = ()
    """What bias correction found, and corrects."""
    rounded: Mapping[str, Rounded] = field(default_factory=dict)
    """Weights that are rounded for what they meet, by the node's name."""
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
    layers: tuple[Shift, ...]
    """What quantisation does to each layer with weights, as it was last measured."""


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
        return self.scheme.quantise(floating, attempt.ranges, attempt.floats, attempt.rounded)

    def ranges(self, model: ir.Model) -> dict[str, Range]:
        """The ranges of every tensor that the scheme may quantise."""
        return self.measured(model).ranges

    def measured(self, model: ir.Model) -> Measured:
        """The same, and what the channels hold that may be equalised, in one run."""
        return self._measured(model, self.scheme.tensors(model), "measuring ranges")

    def channels(self, model: ir.Model) -> dict[str, Channels]:
        """What the channels hold that may be equalised, by the tensor's name."""
        return self._measured(model, [], "measuring channels").channels

    def _measured(self, model: ir.Model, names: Sequence[str], what: str) -> Measured:
        watched = [pair.tensor.name or "" for pair in pairs(model)]
        told, method = counted(self.say, what), self.method
        return measure(model, names, watched, self.images, batch=4, method=method, progress=told)

    def corrected(self, attempt: Attempt, bare: ir.Model) -> Attempt:
        """The attempt with its biases corrected; `bare` is it, quantised with its own biases."""
        return self._mended(attempt, bare, None, "correcting biases")

    def rounded(self, attempt: Attempt, bare: ir.Model) -> Attempt:
        """The attempt with every weight rounded for what it meets, and its biases corrected."""
        found: dict[str, Rounded] = {}
        nodes = {node.name: node for node in attempt.floating.graph}

        def change(node: ir.Node, inputs: list[Sequence[Array]]) -> None:
            name = node.name or ""
            exact = small(nodes[name].inputs[1])
            if exact is None:
                return
            paired = self.scheme.paired and not is_depthwise(node, exact)
            mended = rounded(node, exact, inputs[0], paired=paired)
            if mended is not None:
                found[name], inputs[1] = mended, [mended.numbers]

        return replace(self._mended(attempt, bare, change, "rounding weights"), rounded=found)

    def _mended(
        self, attempt: Attempt, bare: ir.Model, change: Change | None, what: str
    ) -> Attempt:
        floating = attempt.floating
        nodes = self.scheme.place(floating, attempt.floats).weights
        told, images = counted(self.say, what), self.images[: pictures_held(floating)]
        found = shifts(floating, bare, nodes, images, told, change)
        return replace(attempt, layers=tuple(found))

    def ranked(self, attempt: Attempt) -> list[str]:
        """The nodes with weights, first those whose float form buys most."""

        def scores(model: ir.Model) -> Array:
            return self.judge.scores(model, self.images[:FEW])

        told = counted(self.say, "measuring what each layer costs")
        return by_sensitivity(attempt.floating, self.scheme, attempt.ranges, scores, told)


def quantise(
    model: ir.Model,
    ranges: Mapping[str, Range],
    gate: Gate,
    channels: Mapping[str, Channels] | None = None,
) -> Gated:
    """Quantise `model`, with the repairs that help, and with as many float islands as it needs.

    Equalisation, rounding and bias correction cost nothing at run time, so they are always tried,
    and kept where they bring the scores nearer to Keras'. Nodes go back to float only while the
    gate does not hold, the most sensitive for their multiply-adds first, and at most so many that
    `LEAST_INTEGERS` stay.

    Args:
        model: the float32 model that the gate's scheme has prepared.
        ranges: those of the tensors that the scheme asks for.
        gate: what decides.
        channels: as `Gate.channels` has them, where they are known; else they are measured.
    """
    search = _Search(gate, Attempt(model, ranges), channels)
    search.equalise()
    search.mend()
    if not search.holds:
        search.islands()
    return search.result()


@dataclass(frozen=True, slots=True)
class _Candidate:
    attempt: Attempt
    model: ir.Model
    quality: Quality


class _Search:
    def __init__(self, gate: Gate, first: Attempt, channels: Mapping[str, Channels] | None) -> None:
        self._channels = channels
        self._gate, self._steps = gate, list[Step]()
        self._layers: tuple[Shift, ...] = ()
        gate.say("quantising")
        self._best = self._made(first)
        self._steps.append(Step("quantised", self._best.quality, kept=True))

    @property
    def holds(self) -> bool:
        return self._gate.holds(self._best.quality)

    def result(self) -> Gated:
        best = self._best
        layers = best.attempt.layers or self._layers
        return Gated(best.model, best.attempt, best.quality, tuple(self._steps), self.holds, layers)

    def equalise(self) -> None:
        floating = self._best.attempt.floating
        if not pairs(floating):
            return
        known = self._channels
        channels = self._gate.channels(floating) if known is None else known
        self._gate.say("equalising channels")
        peaks = {name: each.peaks for name, each in channels.items()}
        changed = {
            name: range_of(channels[name].scaled(scale), self._gate.method)
            for name, scale in scales(floating, peaks).items()
        }
        ranges = {**self._best.attempt.ranges, **changed}
        attempt = replace(self._best.attempt, floating=equalize(peaks)(floating), ranges=ranges)
        self._keep_better("equalisation", self._made(attempt))

    def mend(self) -> None:
        """Round the weights anew with biases to match, or only correct these."""
        start = self._best
        for name, repair in (
            ("rounding and bias correction", self._gate.rounded),
            ("bias correction", self._gate.corrected),
        ):
            attempt = repair(start.attempt, start.model)
            self._layers = attempt.layers
            if self._keep_better(name, self._made(attempt)):
                return

    def islands(self) -> None:
        """Leave ever more layers in float until the gate holds, and then as few as it takes."""
        start = self._best.attempt
        ranked = _affordable(start.floating, self._gate.ranked(start))

        def leave(count: int) -> tuple[str, _Candidate]:
            name = f"{count} layer{'s' if count > 1 else ''} in float"
            self._gate.say(f"leaving {name}")
            attempt = replace(start, floats=frozenset(ranked[:count]))
            bare = self._gate.quantised(replace(attempt, layers=()))
            attempt = self._gate.corrected(attempt, bare)
            self._layers = attempt.layers
            return name, self._made(attempt)

        few, many = 0, min(1, len(ranked))
        while not self.holds and few < many:
            self._keep_better(*leave(many))
            if not self.holds:
                few, many = many, min(2 * many, len(ranked))
        while self.holds and many - few > max(1, many // 8):
            middle = (few + many) // 2
            name, candidate = leave(middle)
            kept = self._gate.holds(candidate.quality)
            self._steps.append(Step(name, candidate.quality, kept))
            if kept:
                self._best, many = candidate, middle
            else:
                few = middle

    def _made(self, attempt: Attempt) -> _Candidate:
        model = self._gate.quantised(attempt)
        return _Candidate(attempt, model, self._gate.judge(model))

    def _keep_better(self, name: str, candidate: _Candidate) -> bool:
        kept = candidate.quality.sqnr > self._best.quality.sqnr
        self._steps.append(Step(name, candidate.quality, kept))
        if kept:
            self._best = candidate
        return kept


def pictures_held(model: ir.Model) -> int:
    """How many pictures a model is mended on, layer by layer."""
    sizes = (
        math.prod(dim for dim in list(value.shape or ())[1:] if isinstance(dim, int))
        for node in model.graph
        for value in node.outputs
    )
    return max(SOME, HELD // (4 * max(sizes, default=1)))


def _affordable(model: ir.Model, ranked: list[str]) -> list[str]:
    """The first of the ranked nodes, as many as may be float."""
    count = len(ranked)
    while share(model, ranked[:count]) > 1 - LEAST_INTEGERS:
        count -= 1
    return ranked[:count]

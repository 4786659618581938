"""The accuracy gate: quantise, compare with Keras, and repair until it holds or refuse."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.accuracy.evaluator import Evaluator
from kexport.calibration.accuracy.macs import multiply_adds, share
from kexport.calibration.accuracy.sensitivity import Island, by_worth
from kexport.calibration.algorithms.bias_correction import Repair, Shift, correct_bias, shifts
from kexport.calibration.algorithms.cross_layer_equalization import equalize, moved, regions, scales
from kexport.calibration.algorithms.layer_weights import rounded
from kexport.calibration.execution.session import give_back
from kexport.calibration.metrics import Quality
from kexport.calibration.progress import Say, counted
from kexport.calibration.quantizer.qdq import is_depthwise
from kexport.calibration.quantizer.qparams import QuantizedWeights
from kexport.calibration.quantizer.scheme import Scheme
from kexport.calibration.statistics.channels import Channels
from kexport.calibration.statistics.ranges import Measured, Range, measure, range_of
from kexport.graph.edit import small

FEW, SOME = 8, 32
"""Images on which the sensitivity of every node is measured, and at least as many on which
weights are rounded and biases are corrected."""

HELD = 1 << 27
"""Bytes of the largest tensor on all images that weights are rounded on, which bounds the time
and the temporary files that this takes; there are `SOME` images even so."""

LEAST_INTEGERS = 0.5
"""The share of the multiply-adds that must be left in integers for a model to be called int8."""

RESERVED_INTEGERS = 0.8
"""The share of them that is left where all that is missing is the reserve."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to quantise a model."""

    floating: ir.Model
    """The float32 model that is quantised: the given one, or its equalised twin."""
    ranges: Mapping[str, Range]
    layers: tuple[Shift, ...] = ()
    """What bias correction found, and corrects."""
    rounded: Mapping[str, QuantizedWeights] = field(default_factory=dict)
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
    """Images to measure on, as the model takes them, batch first."""
    judge: Evaluator
    holds: Callable[[Quality], bool]
    """Whether a quality is as asked for; what never is, is refused."""
    method: str
    """How a range is found (`ranges.METHODS`)."""
    say: Say
    ample: Callable[[Quality], bool] | None = None
    """Whether a quality is as asked for with a reserve, for which islands are sought too."""

    def quantized(self, attempt: Attempt) -> ir.Model:
        """The model of an attempt, quantised."""
        corrections = {layer.node: layer.correction for layer in attempt.layers}
        floating = correct_bias(corrections)(attempt.floating)
        return self.scheme.quantize(floating, attempt.ranges, attempt.floats, attempt.rounded)

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
        watched = [value.name or "" for region in regions(model) for value in region.tensors]
        told, method = counted(self.say, what), self.method
        found = measure(model, names, watched, self.images, batch=4, method=method, progress=told)
        give_back()
        return found

    def corrected(self, attempt: Attempt, bare: ir.Model) -> Attempt:
        """The attempt with its biases corrected; `bare` is it, quantised with its own biases."""
        return self._mended(attempt, bare, None, "correcting biases")

    def rounded(self, attempt: Attempt, bare: ir.Model) -> Attempt:
        """The attempt with every weight rounded for what it meets, and its biases corrected."""
        found: dict[str, QuantizedWeights] = {}
        nodes = {node.name: node for node in attempt.floating.graph}

        def repair(
            node: ir.Node, inputs: list[Sequence[Array]], wanted: list[Sequence[Array]]
        ) -> None:
            name = node.name or ""
            exact = small(nodes[name].inputs[1])
            if exact is None:
                return
            paired = self.scheme.paired and not is_depthwise(node, exact)
            half = self.scheme.half_scales
            mended = rounded(node, exact, inputs[0], wanted[0], paired=paired, half=half)
            if mended is not None:
                found[name], inputs[1] = mended, [mended.numbers]

        return replace(self._mended(attempt, bare, repair, "rounding weights"), rounded=found)

    def _mended(
        self, attempt: Attempt, bare: ir.Model, repair: Repair | None, what: str
    ) -> Attempt:
        floating = attempt.floating
        nodes = self.scheme.place(floating, attempt.floats).weights
        told, images = counted(self.say, what), self.images[: images_held(floating)]
        found = shifts(floating, bare, nodes, images, told, repair)
        return replace(attempt, layers=tuple(found))

    def islands(self, attempt: Attempt) -> list[Island]:
        """What may go back to float, first what gains most for its cost."""

        def scores(model: ir.Model) -> Array:
            return self.judge.scores(model, self.images[:FEW])

        told = counted(self.say, "measuring what each layer costs")
        ranges, integers = attempt.ranges, attempt.rounded
        return by_worth(attempt.floating, self.scheme, ranges, integers, scores, told)

    def share(self, attempt: Attempt) -> float:
        """The share of the multiply-adds that an attempt leaves in integers."""
        placement = self.scheme.place(attempt.floating, attempt.floats)
        return share(attempt.floating, placement.nodes)


def quantize(
    model: ir.Model,
    ranges: Mapping[str, Range],
    gate: Gate,
    channels: Mapping[str, Channels] | None = None,
) -> Gated:
    """Quantise `model`, with the repairs that help, and with as many float islands as it needs.

    Equalisation, rounding and bias correction cost nothing at run time, so they are always tried,
    and kept where they bring the scores nearer to Keras'. Nodes go back to float only while the
    gate does not hold, those first that gain most for the time they cost, and at most so many that
    `LEAST_INTEGERS` of the multiply-adds stay; or while it holds without a reserve, and
    `RESERVED_INTEGERS` stay.

    Args:
        model: the float32 model that the gate's scheme has prepared.
        ranges: those of the tensors that the scheme asks for.
        gate: what decides.
        channels: as `Gate.channels` has them, where they are known; else they are measured.
    """
    search = _Search(gate, Attempt(model, ranges), channels)
    search.equalise()
    search.mend()
    search.mend_otherwise()
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
        self._starts = [first]
        self._steps.append(Step("quantised", self._best.quality, kept=True))

    def result(self) -> Gated:
        best = self._best
        layers, holds = best.attempt.layers or self._layers, self._gate.holds(best.quality)
        return Gated(best.model, best.attempt, best.quality, tuple(self._steps), holds, layers)

    def equalise(self) -> None:
        floating = self._best.attempt.floating
        if not regions(floating):
            return
        known = self._channels
        channels = self._gate.channels(floating) if known is None else known
        self._gate.say("equalising channels")
        peaks = {name: each.peaks for name, each in channels.items()}
        changed = {
            name: range_of(channels[name].scaled(scale), self._gate.method)
            for name, scale in scales(floating, peaks).items()
            if name in self._best.attempt.ranges
        }
        ranges = {**self._best.attempt.ranges, **moved(floating, changed)}
        attempt = replace(self._best.attempt, floating=equalize(peaks)(floating), ranges=ranges)
        self._starts.append(attempt)
        self._keep_better("equalisation", self._made(attempt))

    def mend(self) -> None:
        """Round the weights anew with biases to match, or only correct these."""
        self._mend(self._best.attempt, self._best.model, "")

    def mend_otherwise(self) -> None:
        """The same from the start that was worse before it, where that is not enough."""
        used = self._best.attempt.floating
        for start, how in zip(self._starts, (" unequalised", " equalised"), strict=False):
            if start.floating is not used and not self._enough():
                self._mend(start, self._gate.quantized(start), how)

    def _enough(self) -> bool:
        return (self._gate.ample or self._gate.holds)(self._best.quality)

    def _mend(self, start: Attempt, bare: ir.Model, how: str) -> None:
        for name, repair in (
            ("rounding and bias correction", self._gate.rounded),
            ("bias correction", self._gate.corrected),
        ):
            attempt = repair(start, bare)
            self._layers = attempt.layers
            if self._keep_better(f"{name}{how}", self._made(attempt)):
                return

    def islands(self) -> None:
        """Leave ever more in float until the gate holds with a reserve, and then no more of it."""
        gate, start = self._gate, self._best.attempt
        wanted = [(gate.holds, LEAST_INTEGERS)]
        if gate.ample is not None:
            wanted.append((gate.ample, RESERVED_INTEGERS))
        ranked: list[Island] | None = None
        for enough, least in wanted:
            if not enough(self._best.quality):
                ranked = gate.islands(start) if ranked is None else ranked
                self._leave(start, ranked, enough, least)

    def _leave(
        self,
        start: Attempt,
        ranked: Sequence[Island],
        enough: Callable[[Quality], bool],
        least: float,
    ) -> None:
        gate = self._gate
        growing = [start]
        for island in ranked:
            grown = replace(start, floats=growing[-1].floats | island.nodes)
            if gate.share(grown) >= least:
                growing.append(grown)

        def leave(count: int) -> tuple[str, _Candidate]:
            name, attempt = _named(growing[count]), growing[count]
            gate.say(f"leaving {name}")
            attempt = gate.corrected(attempt, gate.quantized(replace(attempt, layers=())))
            self._layers = attempt.layers
            return name, self._made(attempt)

        few, many = 0, min(1, len(growing) - 1)
        while not enough(self._best.quality) and few < many:
            self._keep_better(*leave(many))
            if not enough(self._best.quality):
                few, many = many, min(2 * many, len(growing) - 1)
        while enough(self._best.quality) and many - few > max(1, many // 8):
            middle = (few + many) // 2
            name, candidate = leave(middle)
            kept = enough(candidate.quality)
            self._steps.append(Step(name, candidate.quality, kept))
            if kept:
                self._best, many = candidate, middle
            else:
                few = middle

    def _made(self, attempt: Attempt) -> _Candidate:
        model = self._gate.quantized(attempt)
        return _Candidate(attempt, model, self._gate.judge(model))

    def _keep_better(self, name: str, candidate: _Candidate) -> bool:
        holds, best, found = self._gate.holds, self._best.quality, candidate.quality
        kept = found.sqnr > best.sqnr and (holds(found) or not holds(best))
        self._steps.append(Step(name, candidate.quality, kept))
        if kept:
            self._best = candidate
        return kept


def images_held(model: ir.Model) -> int:
    """How many images a model is mended on, layer by layer."""
    sizes = (
        math.prod(dim for dim in list(value.shape or ())[1:] if isinstance(dim, int))
        for node in model.graph
        for value in node.outputs
    )
    return max(SOME, HELD // (4 * max(sizes, default=1)))


def _named(attempt: Attempt) -> str:
    """What an attempt leaves in float: "3 elementwise nodes and 1 layer in float"."""
    chosen = [node for node in attempt.floating.graph if node.name in attempt.floats]
    layers = sum(bool(multiply_adds(node)) for node in chosen)
    counts = (("elementwise node", len(chosen) - layers), ("layer", layers))
    said = [f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts if count]
    return f"{' and '.join(said)} in float"

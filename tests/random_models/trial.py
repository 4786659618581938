"""One trial of the proof: a random model, its right graph, and faults planted in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from planted_faults import FAULTS
from planted_faults.fault import Rng
from support import Array

from kexport.parity import samples
from random_models.draw import Drawn, draw
from random_models.judge import Subject, Verdict, answers, change, convert, judge

OTHERS = 4
"""Number of further sets of samples on which a fault that passed is looked for."""


@dataclass(frozen=True, slots=True)
class Planted:
    """What became of one fault: refused or accepted, or `changes nothing`."""

    name: str
    outcome: str
    verdict: Verdict
    visible: float
    """On further samples of the same distribution, the change that an accepted fault makes to the
    right graph, in tolerances; 0 where that was not asked."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A drawn model with the judgement of its graph, and of graphs with faults."""

    drawn: Drawn
    subject: Subject
    right: Verdict
    planted: tuple[Planted, ...]


def run(seed: int, faults: int) -> Trial:
    """Draw a model, judge its graph, and plant up to `faults` faults of different kinds.

    A fault that gives outputs of other shapes, or a graph that does not run, needs no proof to be
    refused, and does not count. One that the proof accepts counts as accepted if it changes the
    outputs by more than the tolerance on any of `OTHERS` further sets of samples; otherwise it is
    no fault, since it changes nothing: a moved window over zeros, a dead branch.
    """
    drawn = draw(seed)
    subject = convert(drawn.model, drawn.samples)
    right = judge(subject, answers(subject, subject.graph, subject.samples.raw))
    rng = np.random.default_rng((seed, 1 << 20))
    planted: list[Planted] = []
    for at in rng.permutation(len(FAULTS)):
        if sum(one.outcome != "changes nothing" for one in planted) == faults:
            break
        found = _planted(drawn, subject, int(at), rng)
        if found is not None:
            planted.append(found)
    return Trial(drawn, subject, right, tuple(planted))


def _planted(drawn: Drawn, subject: Subject, at: int, rng: Rng) -> Planted | None:
    fault = FAULTS[at]
    graph = fault.plant(subject.graph, rng)
    given = None if graph is None else _answers(subject, graph)
    if graph is None or given is None or not _same_shapes(given, subject.expected.outputs):
        return None
    judged = judge(subject, given)
    if not judged.passed:
        return Planted(fault.name, "refused", judged, 0.0)
    visible = _visible(drawn, subject, graph)
    return Planted(fault.name, "accepted" if visible > 1 else "changes nothing", judged, visible)


def _visible(drawn: Drawn, subject: Subject, graph: ir.Model) -> float:
    """Return the largest change that a fault makes to the graph's outputs, in tolerances."""
    largest = 0.0
    for at in range(OTHERS):
        shown = samples.make(drawn.model, subject.samples.mode, drawn.seed + (at + 2) * 10**8)
        right = answers(subject, subject.graph, shown.raw)
        changed = change(subject, answers(subject, graph, shown.raw), right)
        largest = max(largest, changed.ratio)
    return largest


def _answers(subject: Subject, graph: ir.Model) -> dict[str, Array] | None:
    """Run a graph on the samples; None if ONNX Runtime refuses it."""
    try:
        return answers(subject, graph, subject.samples.raw)
    except Exception:  # noqa: BLE001 - ONNX Runtime has no common class for what it refuses
        return None


def _same_shapes(given: Mapping[str, Array], expected: Mapping[str, Array]) -> bool:
    return all(given[name].shape == array.shape for name, array in expected.items())

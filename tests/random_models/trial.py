"""One trial of the proof: a random model, its right graph, and faults planted in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from planted_faults import FAULTS
from planted_faults.fault import Fault, Rng, forget_shapes
from support import Array

from kexport.parity import coverage, samples
from random_models.draw import Drawn, draw
from random_models.judge import Subject, Verdict, change, convert, judge, open_session, run

OTHERS = 2
"""Number of further sets of samples on which a fault that passed is looked for."""

FAR = 10**8
"""Distance between their seeds."""


@dataclass(frozen=True, slots=True)
class Planted:
    """What became of one fault: refused or accepted, or `changes nothing`."""

    name: str
    outcome: str
    verdict: Verdict
    moved: float
    """The largest change that the fault makes to what the right graph gives for the samples, in
    tolerances."""
    visible: float
    """The same on further samples of the same distribution; 0 for a fault that was refused."""
    unreached: int = 0
    """For a fault that was accepted, the branches of the right graph of which the proof says that
    no sample reaches them."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A drawn model with the judgement of its graph, and of graphs with faults."""

    drawn: Drawn
    subject: Subject
    right: Verdict
    planted: tuple[Planted, ...]


def try_seed(seed: int, faults: int) -> Trial:
    """Draw a model, judge its graph, and plant up to `faults` faults of different kinds.

    A fault that gives outputs of other shapes, or a graph that does not run, needs no proof to be
    refused, and does not count. One that the proof accepts counts as accepted if it changes the
    outputs by more than the tolerance on any of `OTHERS` further sets of samples; otherwise it is
    no fault, since it changes nothing: a moved window over zeros, a dead branch.
    """
    drawn = draw(seed)
    subject = convert(drawn.model, drawn.samples)
    session = open_session(subject.graph)
    given = run(session, subject.samples.raw)
    right = judge(subject, given)
    bench = _Bench(drawn, subject, session, given)
    rng = np.random.default_rng((seed, 1 << 20))
    planted: list[Planted] = []
    for at in rng.permutation(len(FAULTS)):
        if sum(one.outcome != "changes nothing" for one in planted) == faults:
            break
        found = bench.planted(FAULTS[at], rng)
        if found is not None:
            planted.append(found)
    return Trial(drawn, subject, right, tuple(planted))


class _Bench:
    """A converted model, with what the faults planted in it share."""

    def __init__(
        self, drawn: Drawn, subject: Subject, session: Any, right: Mapping[str, Array]
    ) -> None:
        self._subject, self._session, self._right = subject, session, right
        self._drawn = drawn
        self._copy = subject.graph.clone()

    def planted(self, fault: Fault, rng: Rng) -> Planted | None:
        """Plant one fault, and judge; None where it does not apply or the graph does not run."""
        graph, subject = self._copy, self._subject
        if not fault.mutate(graph, rng):
            return None
        self._copy = subject.graph.clone()
        forget_shapes(graph)
        try:
            session = open_session(graph)
            given = run(session, subject.samples.raw)
        except Exception:  # noqa: BLE001 - ONNX Runtime has no common class for what it refuses
            return None
        if any(given[n].shape != array.shape for n, array in subject.expected.outputs.items()):
            return None
        judged, moved = judge(subject, given), change(subject, given, self._right).ratio
        if not judged.passed:
            return Planted(fault.name, "refused", judged, moved, 0.0)
        visible = max(
            change(subject, run(session, inputs), before).ratio for inputs, before in self._others
        )
        if visible <= 1:
            return Planted(fault.name, "changes nothing", judged, moved, visible)
        unreached = coverage.of_samples(subject.graph, subject.samples).unreached
        return Planted(fault.name, "accepted", judged, moved, visible, len(unreached))

    @cached_property
    def _others(self) -> list[tuple[Mapping[str, Array], dict[str, Array]]]:
        """Further samples, and what the right graph gives for them."""
        model, image = self._drawn.model, self._subject.samples.only_image
        mode = "raw" if image is None else image.mode
        seeds = (self._drawn.seed + at * FAR for at in range(2, 2 + OTHERS))
        inputs = [samples.make(model, mode, seed).raw for seed in seeds]
        return [(given, run(self._session, given)) for given in inputs]

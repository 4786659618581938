"""Tolerance of int8 bundles, from the effect of rounding on the quantised graph.

An engine rounds as the graph says, but computes the values that it rounds with other kernels, so a
value near the middle between two integers may be rounded to the other one. That changes a tensor by
one quantisation step, which changes further values. After some layers two correct engines therefore
differ by noise as large as the effect of rounding itself. The graph is run with stochastic rounding
to measure that effect (M. Croci et al., "Stochastic rounding: implementation, error analysis and
applications", 2022). An engine that rounds to nearest stays nearer to the graph; saturated
integers, a wrong scale, or a bias in all roundings do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.rows import Rows
from kexport.calibration.execution.session import batches_of, feeds_of, open_session
from kexport.graph.edit import required
from kexport.graph.emit import Emitter
from kexport.outputs import Output
from kexport.parity.compare import UNMEASURED
from kexport.runtime.compare import differences

SAFETY_FACTOR = 2.0
"""Ratio of the tolerance to the measured error."""

MIN_TOLERANCE = 2e-2
"""Smallest tolerance against Keras; that of fp16."""

DRAWS = 4
"""Number of runs with stochastic rounding. The largest error of so few runs estimates the size of
the noise, not its maximum."""

SEEDS = 1 << 24
"""Integers below it are exact in float32, the type of ONNX's seed attributes."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The outputs of the unfused graph on the golden images, and the tolerances that follow.

    `from_keras` and `from_graph` are the largest errors allowed to an engine: against Keras'
    outputs, and against the graph's.
    """

    answers: dict[str, Array]
    from_keras: float
    from_graph: float


def prove(
    model: ir.Model,
    shown: Sequence[Output],
    raw: Mapping[str, Array],
    answers: Mapping[str, Array],
    *,
    least: float,
) -> Proof:
    """Run a quantised graph unfused, and derive the tolerances of an engine.

    Against Keras the tolerance is `SAFETY_FACTOR` times the graph's own error; against the graph it
    is `SAFETY_FACTOR` times the largest error of `DRAWS` runs with stochastic rounding.

    Args:
        model: the quantised graph; the part that is not integers is float32.
        shown: its outputs.
        raw: the golden inputs by name.
        answers: Keras' outputs by name.
        least: the tolerance of a graph without integers, as the floor against the graph.
    """
    inputs = Rows(raw)
    own = _answers(open_session(model, optimised=False), model, shown, inputs)
    drawn = open_session(_drawn(model), optimised=False)
    moved = max(_error(shown, _answers(drawn, model, shown, inputs), own) for _ in range(DRAWS))
    return Proof(
        own,
        max(MIN_TOLERANCE, SAFETY_FACTOR * _error(shown, own, answers)),
        min(max(least, SAFETY_FACTOR * moved), UNMEASURED),
    )


def unfused(
    model: ir.Model, shown: Sequence[Output]
) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
    """Return what computes a quantised graph, node by node without fusion, on raw inputs."""
    opened: list[Any] = []

    def run(raw: Mapping[str, Array]) -> dict[str, Array]:
        if not opened:
            opened.append(open_session(model, optimised=False))
        return _answers(opened[0], model, shown, Rows(raw))

    return run


def _answers(
    session: Any, model: ir.Model, shown: Sequence[Output], inputs: Rows
) -> dict[str, Array]:
    """Run a session with the inputs and outputs of `model` on samples; outputs by name."""
    names = [output.name for output in shown]
    feeds = feeds_of(batches_of(model, inputs))
    parts = zip(*(session.run(names, feed) for feed in feeds), strict=True)
    return {
        name: np.concatenate(arrays)[: len(inputs)]
        for name, arrays in zip(names, parts, strict=True)
    }


def _error(
    shown: Sequence[Output], candidate: Mapping[str, Array], reference: Mapping[str, Array]
) -> float:
    """Return the largest error of all outputs; for a softmax the error of its logits."""
    kinds = {output.name: output.kind for output in shown}
    softmaxes = {output.name for output in shown if output.kind == "probabilities"}
    rows = differences(kinds, candidate, reference)
    return max((row.error for row in rows if row.name not in softmaxes), default=0.0)


def _drawn(model: ir.Model) -> ir.Model:
    """Return the graph with stochastic rounding: noise of up to half a step before each."""
    model, rng = model.clone(), np.random.default_rng(0)
    for node in list(model.graph):
        if node.op_type != "QuantizeLinear":
            continue
        emit = Emitter.before(model.graph, node)
        value, step = required(node, 0), required(node, 1)
        seed = float(rng.integers(SEEDS))
        part = emit("RandomUniformLike", value, low=-0.5, high=0.5, seed=seed)
        node.replace_input_with(0, emit("Add", value, emit("Mul", part, step)))
    return model

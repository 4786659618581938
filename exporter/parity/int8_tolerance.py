"""What an int8 bundle is held to: what its graph gives, and how far a runtime may be from that.

An engine rounds as the graph says, but computes what it rounds with other kernels, so that a value
between two integers may go to the other one. That is a step of a tensor's grid, it moves others,
and more of them change sides: behind some layers two engines that are both right differ by noise of
the size that rounding itself makes. So the graph is asked how much that is: its roundings are drawn
by chance, up or down, the nearer integer the likelier (M. Croci et al., "Stochastic rounding:
implementation, error analysis and applications", 2022). An engine that rounds to nearest stays
nearer to the graph; integers that saturate, another scale, or roundings that all go one way do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.session import Batches, open_session
from kexport.graph.edit import required
from kexport.graph.emit import Emitter
from kexport.outputs import Shown
from kexport.parity.compare import UNMEASURED
from kexport.runtime.compare import differences

SLACK, LEAST = 2.0, 2e-2
"""How much further from Keras than the graph's own semantics an engine may be, and from the graph
than any draw was; and the least that it may be from Keras."""

DRAWS = 4
"""How often the roundings are drawn. The largest error of so few says how large their noise is, and
not where it ends."""

SEEDS = 1 << 24
"""Every integer below it is a float32, the type that ONNX has for seeds."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the graph gives on the golden images, by output, when each node is computed unfused.

    `from_keras` and `from_graph` are the largest errors that an engine may make against Keras'
    answers and against these.
    """

    answers: dict[str, Array]
    from_keras: float
    from_graph: float


def prove(
    model: ir.Model,
    shown: Sequence[Shown],
    raw: Mapping[str, Array],
    answers: Mapping[str, Array],
    *,
    least: float,
) -> Proof:
    """Find out what a quantised graph gives, and how far an engine may be from it and from Keras.

    Against Keras it is `SLACK` times the error that the graph itself makes; against the graph
    `SLACK` times the largest error of `DRAWS` graphs whose roundings are drawn by chance.

    Args:
        model: the quantised graph, in float32 where it is not in integers.
        shown: its outputs.
        raw: the golden images, under the name of the only input.
        answers: Keras' answers by output.
        least: what an engine may differ by that computes a graph without integers.
    """
    (images,) = raw.values()
    own = _answers(open_session(model, optimised=False), model, shown, images)
    drawn = open_session(_drawn(model), optimised=False)
    moved = max(_error(shown, _answers(drawn, model, shown, images), own) for _ in range(DRAWS))
    return Proof(
        own,
        max(LEAST, SLACK * _error(shown, own, answers)),
        min(max(least, SLACK * moved), UNMEASURED),
    )


def _answers(
    session: Any, model: ir.Model, shown: Sequence[Shown], images: Array
) -> dict[str, Array]:
    """What a session of a graph with the inputs and outputs of `model` gives, by output."""
    names = [output.name for output in shown]
    given = model.graph.inputs[0].name
    parts = zip(
        *(session.run(names, {given: batch}) for batch in Batches(model, images)), strict=True
    )
    return {
        name: np.concatenate(arrays)[: len(images)]
        for name, arrays in zip(names, parts, strict=True)
    }


def _error(
    shown: Sequence[Shown], candidate: Mapping[str, Array], reference: Mapping[str, Array]
) -> float:
    """The largest error of all outputs; of a softmax that of its logits."""
    kinds = {output.name: output.kind for output in shown}
    softmaxes = {output.name for output in shown if output.kind == "probabilities"}
    rows = differences(kinds, candidate, reference)
    return max((row.error for row in rows if row.name not in softmaxes), default=0.0)


def _drawn(model: ir.Model) -> ir.Model:
    """The same graph, with up to half a step added to whatever it rounds, another in each run."""
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

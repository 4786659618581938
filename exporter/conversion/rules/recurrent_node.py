"""Recurrent layers as one node of ONNX, masks included.

A masked step leaves the state as it is, so the steps that count are moved to the front, in order,
and their number is the node's `sequence_lens`. The outputs of the node are then moved back to the
steps that they belong to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kexport.conversion.builder import Graph
from kexport.conversion.rules import recurrent_cells, step_masks
from kexport.conversion.rules.recurrent_cells import Form
from kexport.conversion.rules.recurrent_result import Request, Result
from kexport.conversion.tensor import Tensor, as_keras

TIME_FIRST = (1, 0, 2)
"""Order in which ONNX stores a sequence: time, batch, features."""


def run(
    g: Graph, cell: Any, form: Form, request: Request, x: Tensor, states: Sequence[Tensor]
) -> Result:
    """Emit the node of a cell over `x`, [batch, time, features], around it what its mask needs."""
    steps, backwards = request.steps, request.backwards
    initial = [g.in_keras_order(state) for state in states]
    first = g.integers([0], "axis")
    lengths = None
    if steps is not None:
        x = Tensor(step_masks.to_front(g, steps, g.in_keras_order(x)), as_keras(3))
        lengths = steps.lengths
    node = g.node(
        form.op_type,
        [
            g.stored(x, TIME_FIRST),
            *recurrent_cells.weights(g, cell, form),
            lengths,
            *(g.op("Unsqueeze", state, first) for state in initial),
        ],
        {
            "hidden_size": int(cell.units),
            **({"direction": "reverse"} if backwards else {}),
            **form.attributes,
        },
        outputs=1 + form.states,
    )
    sequence, *final = node.outputs
    final = [g.op("Squeeze", state, first) for state in final]
    last = final[0]
    outputs = None
    if request.sequence:
        outputs = Tensor(g.op("Squeeze", sequence, g.integers([1], "axis")), TIME_FIRST)
    if steps is not None:
        zeroed = request.zeroed
        last = step_masks.last(g, steps, last, backwards=backwards, zeroed=zeroed)
        final = [
            step_masks.unless_empty(g, steps, state, initial[i] if initial else None)
            for i, state in enumerate(final)
        ]
        if outputs is not None:
            value = step_masks.back(
                g, steps, g.in_keras_order(outputs), backwards=backwards, zeroed=zeroed
            )
            outputs = Tensor(value, as_keras(3))
    vectors = [Tensor(value, as_keras(2)) for value in (last, *final)]
    return Result(outputs, vectors[0], vectors[1:])

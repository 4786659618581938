"""Rules for LSTM, GRU, SimpleRNN, RNN of one of their cells, and Bidirectional of these.

Each is one node of ONNX, masks included: a masked step leaves the state as it is, so the steps
that count are moved to the front, in order, and their number is the node's `sequence_lens`. The
outputs of the node are then moved back to the steps that they belong to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.rules import recurrent_cells, step_masks
from kexport.conversion.rules.recurrent_cells import Form
from kexport.conversion.rules.step_masks import Steps
from kexport.conversion.tensor import Tensor, as_keras
from kexport.conversion.unsupported import NoRule

TIME_FIRST = (1, 0, 2)
"""Order in which ONNX stores a sequence: time, batch, features."""

MERGES = {"concat": "Concat", "sum": "Add", "ave": "Add", "mul": "Mul"}
"""Operators of the merge modes of Bidirectional; `ave` is half of the sum."""


@dataclass(frozen=True, slots=True)
class _Result:
    """What a recurrent node gives, with masks applied."""

    sequence: Tensor | None
    """The output of each step, in the order of the input's steps; None if nothing reads it."""
    last: ir.Value
    """The output of the step that is processed last, [batch, units]."""
    states: list[ir.Value]


def recurrent(
    g: Graph, layer: Any, sequences: Tensor, initial_state: Any = None, mask: Any = None
) -> Any:
    """Convert LSTM, GRU, SimpleRNN or RNN; other cells and stateful layers have no rule."""
    form = _form(layer, sequences, mask)
    states = _states(initial_state)
    steps = step_masks.read(g, mask)
    result = _run(g, layer, form, sequences, states, steps)
    output = _output(g, layer, result, flip=layer.go_backwards)
    return (output, *_tensors(result.states)) if layer.return_state else output


def bidirectional(
    g: Graph, layer: Any, sequences: Tensor, initial_state: Any = None, mask: Any = None
) -> Any:
    """Convert Bidirectional of two layers that have a rule, in each of its merge modes."""
    inner = (layer.forward_layer, layer.backward_layer)
    forms = [_form(one, sequences, mask) for one in inner]
    states = _states(initial_state)
    half = len(states) // 2
    steps = step_masks.read(g, mask)
    results = []
    for one, form, state in zip(inner, forms, (states[:half], states[half:]), strict=True):
        with g.scope(one.name):
            results.append(_run(g, one, form, sequences, state, steps))
    ahead = _output(g, inner[0], results[0], flip=inner[0].go_backwards)
    back = _output(g, inner[1], results[1], flip=not inner[1].go_backwards)
    final = _tensors([*results[0].states, *results[1].states]) if layer.return_state else []
    if layer.merge_mode is None:
        return (ahead, back, *final)
    merged = _merge(g, layer.merge_mode, ahead, back)
    return (merged, *final) if layer.return_state else merged


def _form(layer: Any, sequences: Tensor, mask: Any) -> Form:
    """Return how the layer's cell is written, or raise NoRule before anything is emitted."""
    if type(layer) not in RECURRENT or layer.stateful or sequences.rank != 3:
        raise NoRule("stateful, or not a sequence of vectors")
    if mask is not None and (
        not isinstance(mask, Tensor) or mask.rank != 2 or mask.shape[0] != sequences.shape[0]
    ):
        raise NoRule("a mask that is not [batch, time]")
    form = recurrent_cells.form(layer.cell)
    dtype = sequences.value.dtype
    if dtype is None or any(v.dtype != str(dtype.numpy()) for v in layer.cell.weights):
        raise NoRule("inputs of another type than the weights")
    return form


def _states(initial_state: Any) -> list[Tensor]:
    states = [] if initial_state is None else keras.tree.flatten(initial_state)
    if not all(isinstance(state, Tensor) for state in states):
        raise NoRule("constant states")
    return states


def _run(
    g: Graph, layer: Any, form: Form, x: Tensor, states: Sequence[Tensor], steps: Steps | None
) -> _Result:
    """Emit the node of a layer, around it what its mask needs."""
    backwards = bool(layer.go_backwards)
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
            *recurrent_cells.weights(g, layer.cell, form),
            lengths,
            *(g.op("Unsqueeze", state, first) for state in initial),
        ],
        {
            "hidden_size": int(layer.cell.units),
            **({"direction": "reverse"} if backwards else {}),
            **form.attributes,
        },
        outputs=1 + form.states,
    )
    sequence, *final = node.outputs
    final = [g.op("Squeeze", state, first) for state in final]
    last = final[0]
    outputs = None
    if layer.return_sequences:
        outputs = Tensor(g.op("Squeeze", sequence, g.integers([1], "axis")), TIME_FIRST)
    if steps is not None:
        zeroed = bool(getattr(layer, "zero_output_for_mask", False))
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
    return _Result(outputs, last, final)


def _output(g: Graph, layer: Any, result: _Result, *, flip: bool) -> Tensor:
    """Return what a layer gives, its sequence turned round with `flip`."""
    sequence = result.sequence
    if sequence is None:
        return Tensor(result.last, as_keras(2))
    if not flip:
        return sequence
    turned = g.op(
        "Slice",
        sequence.value,
        g.integers([-1], "starts"),
        g.integers([-(2**31) + 1], "ends"),
        g.integers([sequence.axis(1)], "axes"),
        g.integers([-1], "steps"),
    )
    return Tensor(turned, sequence.order)


def _merge(g: Graph, mode: str, ahead: Tensor, back: Tensor) -> Tensor:
    values = (ahead.value, g.stored(back, ahead.order))
    if mode == "concat":
        return Tensor(g.op("Concat", *values, axis=ahead.axis(-1)), ahead.order)
    merged = g.op(MERGES[mode], *values)
    if mode == "ave":
        merged = g.op("Mul", merged, g.floats(0.5, "half", merged))
    return Tensor(merged, ahead.order)


def _tensors(values: Sequence[ir.Value]) -> list[Tensor]:
    return [Tensor(value, as_keras(2)) for value in values]


RECURRENT = frozenset(
    {keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN, keras.layers.RNN}
)
"""Classes of layers that step through a sequence with a cell."""

"""Rules for recurrent layers, and Bidirectional of these.

Each cell that ONNX has an operator for is one node (`recurrent_node`), any other a Scan
(`recurrent_scan`). Stacked cells are one layer after the other: the cells see a step at the same
time, but each one only needs what the one before it gives for that step and those before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import keras

from kexport.conversion.builder import Graph, graph_dtype
from kexport.conversion.rules import (
    recurrent_cells,
    recurrent_node,
    recurrent_scan,
    step_masks,
)
from kexport.conversion.rules.cell_steps import Stepwise, stepwise
from kexport.conversion.rules.recurrent_cells import Form
from kexport.conversion.rules.recurrent_result import Request, Result
from kexport.conversion.rules.step_masks import Steps
from kexport.conversion.tensor import Tensor
from kexport.conversion.unsupported import NoRule

Plan = list[tuple[Any, Form | Stepwise]]
"""The cells of a layer, first to last, and how each is written."""

MERGES = {"concat": "Concat", "sum": "Add", "ave": "Add", "mul": "Mul"}
"""Operators of the merge modes of Bidirectional; `ave` is half of the sum."""


def recurrent(
    g: Graph, layer: Any, sequences: Tensor, initial_state: Any = None, mask: Any = None
) -> Any:
    """Convert LSTM, GRU, SimpleRNN, ConvLSTM, and RNN of any cells whose states are vectors."""
    plan = _plan(layer, sequences, mask)
    states = _states(initial_state, plan)
    steps = _lengths(g, [plan], mask)
    result = _run(g, layer, plan, sequences, states, mask, steps)
    output = _output(g, layer, result, flip=layer.go_backwards)
    return (output, *result.states) if layer.return_state else output


def bidirectional(
    g: Graph, layer: Any, sequences: Tensor, initial_state: Any = None, mask: Any = None
) -> Any:
    """Convert Bidirectional of two layers that have a rule, in each of its merge modes."""
    inner = (layer.forward_layer, layer.backward_layer)
    plans = [_plan(one, sequences, mask) for one in inner]
    states = _states(initial_state, plans[0] + plans[1])
    half = len(states) // 2
    steps = _lengths(g, plans, mask)
    results = []
    for one, plan, state in zip(inner, plans, (states[:half], states[half:]), strict=True):
        with g.scope(one.name):
            results.append(_run(g, one, plan, sequences, state, mask, steps))
    ahead = _output(g, inner[0], results[0], flip=inner[0].go_backwards)
    back = _output(g, inner[1], results[1], flip=not inner[1].go_backwards)
    final = [*results[0].states, *results[1].states] if layer.return_state else []
    if layer.merge_mode is None:
        return (ahead, back, *final)
    merged = _merge(g, layer.merge_mode, ahead, back)
    return (merged, *final) if layer.return_state else merged


def _plan(layer: Any, sequences: Tensor, mask: Any) -> Plan:
    """Return how the layer's cells are written, or raise NoRule before anything is emitted."""
    if type(layer) not in RECURRENT or not isinstance(sequences, Tensor):
        raise NoRule("another class, or several sequences")
    if mask is not None and (
        not isinstance(mask, Tensor) or mask.rank != 2 or mask.shape[0] != sequences.shape[0]
    ):
        raise NoRule("a mask that is not [batch, time]")
    if mask is not None and layer.unroll and layer.go_backwards and layer.zero_output_for_mask:
        raise NoRule("the outputs of Keras are masked in the order of the input here")
    if any(graph_dtype(v.dtype) != sequences.value.dtype for v in layer.cell.weights):
        raise NoRule("inputs of another type than the weights")
    cells = list(_cells(layer.cell))
    return [(cell, _form(cell, sequences, alone=len(cells) == 1)) for cell in cells]


def _cells(cell: Any) -> list[Any]:
    """Return the cells of a stack, first to last; any other cell alone."""
    if type(cell) is not keras.layers.StackedRNNCells:
        return [cell]
    return [inner for one in cell.cells for inner in _cells(one)]


def _form(cell: Any, sequences: Tensor, *, alone: bool) -> Form | Stepwise:
    if sequences.rank == 3:
        with contextlib.suppress(NoRule):
            return recurrent_cells.form(cell)
    if sequences.rank != 3 and not alone:
        raise NoRule("a stack of cells that read more than vectors")
    return stepwise(cell, sequences)


def _states(initial_state: Any, plan: Plan) -> list[Tensor]:
    states = [] if initial_state is None else keras.tree.flatten(initial_state)
    if not all(isinstance(state, Tensor) for state in states):
        raise NoRule("constant states")
    if states and len(states) != sum(_count(form) for _, form in plan):
        raise NoRule("another number of states than the cells have")
    return states


def _count(form: Form | Stepwise) -> int:
    return form.states if isinstance(form, Form) else len(form.states)


def _lengths(g: Graph, plans: Sequence[Plan], mask: Tensor | None) -> Steps | None:
    """Emit what single nodes need of a mask; nothing where all cells are stepped through."""
    nodes = any(isinstance(form, Form) for plan in plans for _, form in plan)
    return step_masks.read(g, mask) if nodes else None


def _run(
    g: Graph,
    layer: Any,
    plan: Plan,
    x: Tensor,
    states: Sequence[Tensor],
    mask: Tensor | None,
    steps: Steps | None,
) -> Result:
    """Emit the cells of a layer one after the other, each on the outputs of the one before it."""
    left = list(states)
    final: list[Tensor] = []
    zeroed = bool(getattr(layer, "zero_output_for_mask", False))
    for place, (cell, form) in enumerate(plan):
        sequence = layer.return_sequences or place < len(plan) - 1
        request = Request(sequence, bool(layer.go_backwards), zeroed, mask, steps)
        given, left = left[: _count(form)], left[_count(form) :]
        with g.scope(cell.name) if len(plan) > 1 else contextlib.nullcontext():
            if isinstance(form, Form):
                result = recurrent_node.run(g, cell, form, request, x, given)
            else:
                result = recurrent_scan.run(g, cell, form, request, x, given)
        final += result.states
        x = result.sequence or x
    return Result(result.sequence, result.last, final)


def _output(g: Graph, layer: Any, result: Result, *, flip: bool) -> Tensor:
    """Return what a layer gives, its sequence turned round with `flip`."""
    sequence = result.sequence
    if sequence is None:
        return result.last
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


RECURRENT = frozenset(
    {
        keras.layers.ConvLSTM1D,
        keras.layers.ConvLSTM2D,
        keras.layers.ConvLSTM3D,
        keras.layers.GRU,
        keras.layers.LSTM,
        keras.layers.RNN,
        keras.layers.SimpleRNN,
    }
)
"""Classes of layers that step through a sequence with a cell."""

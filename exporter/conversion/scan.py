"""Scan of ONNX: a body that runs once for each step of sequences, and carries states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.tensor import Tensor

Step = Callable[[list[Tensor], list[Tensor]], tuple[Sequence[Tensor], Sequence[Tensor]]]
"""States and one step of each sequence -> the new states, and outputs of the step."""


def scan(
    g: Graph,
    step: Step,
    states: Sequence[Tensor],
    sequences: Sequence[Tensor],
    *,
    backwards: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """Emit a Scan over the second Keras axis of sequences [batch, time, ...].

    Args:
        g: the graph.
        step: emits the body.
        states: the states before the first step; the new ones have their shapes.
        sequences: the sequences.
        backwards: whether the last step comes first; the outputs are in the order of the sequences.

    Returns:
        The states after the last step, and a sequence for each output of `step`.
    """
    sources = [_time_first(g, x) for x in sequences]
    with g.body() as body:
        carried = [_enter(g, body, "state", x.value, x.order) for x in states]
        steps = [_enter(g, body, "step", x.value, _of_step(x.order), 1) for x in sources]
        after, made = step(carried, steps)
        for before, new in zip(states, after, strict=True):
            _leave(g, body, g.stored(new, before.order))
        for y in made:
            _leave(g, body, y.value)
    node = _node(g, body, [x.value for x in (*states, *sources)], len(sources), backwards)
    final, stacked = node.outputs[: len(states)], node.outputs[len(states) :]
    for value, before in zip(final, states, strict=True):
        value.type, value.shape = before.value.type, before.value.shape
    time = next(iter(sources[0].value.shape or ()))
    for value, y in zip(stacked, made, strict=True):
        value.type, value.shape = y.value.type, ir.Shape([time, *(y.value.shape or ())])
    return (
        [Tensor(value, x.order) for value, x in zip(final, states, strict=True)],
        [Tensor(value, _of_sequence(y.order)) for value, y in zip(stacked, made, strict=True)],
    )


def zeros(g: Graph, shape: Sequence[int], like: Tensor, order: tuple[int, ...]) -> Tensor:
    """Emit zeros [batch, *shape], stored in `order`, with the batch and dtype of `like`.

    `like` is a sequence [batch, time, ...] of fixed extents in all other axes.
    """
    extents = [0, *shape]
    stored = [extents[axis] for axis in order]
    dtype = (like.value.dtype or ir.DataType.FLOAT).numpy()
    first = g.op("Gather", like.value, g.integers([0], "first"), axis=like.axis(1))
    at = like.axis(0)
    batch = g.part_of_shape(first, at, at + 1)  # known where it is fixed, unlike the steps
    size = g.op("Concat", batch, g.integers(stored[1:], "extents"), axis=0)
    zero = ir.tensor(dtype.type(0).reshape(1))
    value = g.op("ConstantOfShape", size, value=zero)
    value.shape = ir.Shape([(like.value.shape or ())[at], *stored[1:]])
    return Tensor(value, order)


def _time_first(g: Graph, x: Tensor) -> Tensor:
    """Store the second Keras axis first, and all others as they are."""
    order = (1, *(axis for axis in x.order if axis != 1))
    return Tensor(g.stored(x, order), order)


def _of_step(order: tuple[int, ...]) -> tuple[int, ...]:
    """Return the order of one step of a sequence that is stored with the time first."""
    return tuple(axis - (axis > 1) for axis in order[1:])


def _of_sequence(order: tuple[int, ...]) -> tuple[int, ...]:
    """Return the order of a sequence of tensors, stored with the time first."""
    return (1, *(axis + (axis > 0) for axis in order))


def _enter(
    g: Graph, body: ir.Graph, leaf: str, source: ir.Value, order: tuple[int, ...], skip: int = 0
) -> Tensor:
    """Declare an input of the body, of the type of `source` without its first `skip` axes."""
    shape = ir.Shape(list(source.shape or ())[skip:])
    value = ir.Value(name=g.name(leaf), type=source.type, shape=shape)
    body.inputs.append(value)
    return Tensor(value, order)


def _leave(g: Graph, body: ir.Graph, value: ir.Value) -> None:
    """Declare an output of the body: a value that a node in it makes, and no output before."""
    made = value.producer()
    if made is None or made.graph is not body or value in body.outputs:
        value = g.op("Identity", value)
    body.outputs.append(value)


def _node(
    g: Graph, body: ir.Graph, inputs: Sequence[ir.Value], scanned: int, backwards: bool
) -> ir.Node:
    carried = len(inputs) - scanned
    stacked = len(body.outputs) - carried
    attributes: dict[str, Any] = {"body": body, "num_scan_inputs": scanned}
    if backwards:
        attributes["scan_input_directions"] = [1] * scanned
        if stacked:
            attributes["scan_output_directions"] = [1] * stacked
    name = g.name("Scan")
    node = ir.node("Scan", inputs, attributes, num_outputs=len(body.outputs), name=name)
    for index, value in enumerate(node.outputs):
        value.name = name if index == 0 else g.name(f"Scan.{index}")
    g.ir.append(node)
    return node

"""Masks of the steps of a sequence, for recurrent operators that only know lengths.

As in `keras.layers.RNN`, a masked step leaves the states as they are and repeats the output of the
step before it, or gives zeros; before the first step that counts the output is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of a batch of sequences that count."""

    mask: ir.Value
    """bool [batch, time]."""
    counted: ir.Value
    """int64 [batch, time]: how many steps count up to each one, itself included."""
    count: ir.Value
    """int64 [batch, 1]: how many steps count in each sequence."""
    some: ir.Value
    """bool [batch, 1]: whether any step counts."""
    lengths: ir.Value
    """int32 [batch]: the count, or 1 where none counts, for engines that take no 0."""
    order: ir.Value
    """int64 [batch, time, 1]: the steps that count, in order, then all others."""


def read(g: Graph, mask: Tensor | None) -> Steps | None:
    """Emit what the functions below need of a mask, [batch, time]; None without one."""
    if mask is None:
        return None
    value = g.in_keras_order(mask)
    if value.dtype != ir.DataType.BOOL:
        value = g.op("Cast", value, to=ir.DataType.BOOL)
    one = g.integers([1], "one")
    axis = g.integers([1], "axis")
    time = g.constant(np.asarray(1, np.int64), "time")
    along = g.op("Cast", value, to=ir.DataType.INT64)
    along_others = g.op("Sub", one, along)
    counted, others = (g.op("CumSum", x, time) for x in (along, along_others))
    count = g.op("ReduceSum", along, axis, keepdims=1)
    place = g.op("Sub", g.op("Where", value, counted, g.op("Add", count, others)), one)
    step = g.op("Sub", g.op("Add", counted, others), one)
    order = g.op("Unsqueeze", g.op("ScatterElements", step, place, step, axis=1), _last(g))
    length = g.op("Squeeze", g.op("Max", count, one), axis)
    lengths = g.op("Cast", length, to=ir.DataType.INT32)
    some = g.op("Greater", count, g.integers([0], "zero"))
    return Steps(value, counted, count, some, lengths, order)


def to_front(g: Graph, steps: Steps, x: ir.Value) -> ir.Value:
    """Move the steps of `x`, [batch, time, features], that count to the front."""
    return g.op("GatherND", x, steps.order, batch_dims=1)


def back(g: Graph, steps: Steps, y: ir.Value, *, backwards: bool, zeroed: bool) -> ir.Value:
    """Move outputs, [batch, time, units], from the front to their steps, and fill the others.

    A step that does not count gets the output of the one that was processed before it, in time or
    `backwards`, or zero: with `zeroed`, and where there is none.
    """
    one, zero = g.integers([1], "one"), g.integers([0], "zero")
    if backwards:
        place = g.op("Sub", steps.counted, g.op("Cast", steps.mask, to=ir.DataType.INT64))
        filled = g.op("Less", place, steps.count)
        place = g.op("Min", place, g.op("Max", g.op("Sub", steps.count, one), zero))
    else:
        place = g.op("Max", g.op("Sub", steps.counted, one), zero)
        filled = g.op("Greater", steps.counted, zero)
    moved = g.op("GatherND", y, g.op("Unsqueeze", place, _last(g)), batch_dims=1)
    kept = g.op("Unsqueeze", steps.mask if zeroed else filled, _last(g))
    return g.op("Where", kept, moved, g.floats(0.0, "zero", y))


def last(g: Graph, steps: Steps, y: ir.Value, *, backwards: bool, zeroed: bool) -> ir.Value:
    """Return the output of the step that is processed last, where `y` is that of the last to count.

    It is zero where none counts, and with `zeroed` where that step does not count.
    """
    kept = steps.some
    if zeroed:
        at = g.integers([0 if backwards else -1], "step")
        kept = g.op("Gather", steps.mask, at, axis=1)
    return g.op("Where", kept, y, g.floats(0.0, "zero", y))


def unless_empty(g: Graph, steps: Steps, state: ir.Value, initial: ir.Value | None) -> ir.Value:
    """Return the final state, or the initial one where no step counts."""
    before = g.floats(0.0, "zero", state) if initial is None else initial
    return g.op("Where", steps.some, state, before)


def _last(g: Graph) -> ir.Value:
    return g.integers([-1], "axis")

"""One step of recurrent cells, for the body of a Scan: cells that no operator of ONNX computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.padding import padding_of, windowed
from kexport.conversion.rules.activation import activate
from kexport.conversion.rules.convolution import channel_axis
from kexport.conversion.rules.kernel import outputs_first
from kexport.conversion.tensor import Tensor, as_keras, channels_second
from kexport.conversion.tf2onnx_fallback import trace_layer
from kexport.conversion.unsupported import NoRule
from kexport.keras_graph import private_name

CellStep = Callable[[Graph, Any, Tensor, Sequence[Tensor]], tuple[Tensor, Sequence[Tensor]]]
"""Graph, cell, input and states of one step -> output and new states."""


@dataclass(frozen=True, slots=True)
class Stepwise:
    """A cell that is written step by step."""

    step: CellStep
    states: tuple[tuple[int, ...], ...]
    """The shape of each state in Keras, without the batch."""
    output: tuple[int, ...]
    """The shape of the output in Keras, without the batch."""
    order: tuple[int, ...]
    """How inputs, states and output are stored."""


def stepwise(cell: Any, x: Tensor) -> Stepwise:
    """Return how a cell is written that reads the steps of `x`, [batch, time, ...].

    A cell of one's own is traced.

    Raises:
        NoRule: its states are not tensors of zeros at the start, or not vectors.
    """
    kind = private_name(type(cell))
    if kind == CONV_LSTM:
        shape = tuple(cell.compute_output_shape((x.shape[0], *x.shape[2:]))[0][1:])
        order = channels_second(x.rank - 1, channel_axis(cell))
        return Stepwise(_conv_lstm, (shape, shape), shape, order)
    sizes = keras.tree.flatten(cell.state_size)
    output = getattr(cell, "output_size", None) or sizes[0]
    first = getattr(type(cell), "get_initial_state", None)
    if first is not None and not str(first.__module__).startswith("keras."):
        raise NoRule("a cell with initial states of its own")
    if not isinstance(cell, keras.Layer) or not all(isinstance(n, int) for n in (*sizes, output)):
        raise NoRule("a cell that is no layer, or whose states are no vectors")
    states = tuple((size,) for size in sizes)
    return Stepwise(STEPS.get(type(cell), _traced), states, (output,), as_keras(x.rank - 1))


def _lstm(g: Graph, cell: Any, x: Tensor, states: Sequence[Tensor]) -> Any:
    """Emit the step of LSTMCell (Hochreiter and Schmidhuber, 1997, with forget gates)."""
    h, c = states
    z = _affine(g, cell, x, "kernel", cell.bias)
    z = g.op("Add", z, _affine(g, cell, h, "recurrent_kernel", None))
    return _gated(g, cell, _split(g, z, [cell.units] * 4), c)


def _conv_lstm(g: Graph, cell: Any, x: Tensor, states: Sequence[Tensor]) -> Any:
    """Emit the step of ConvLSTMCell (Shi et al., 2015, without peepholes)."""
    h, c = states
    window, once = cell.kernel_size, (1,) * cell.rank
    kernel = g.weight(cell.kernel, "kernel", outputs_first, form="OI*")
    recurrent = g.weight(cell.recurrent_kernel, "recurrent_kernel", outputs_first, form="OI*")
    source = g.stored(x, channels_second(x.rank, channel_axis(cell)))
    source, padding = windowed(g, source, cell.padding, window, cell.strides, cell.dilation_rate)
    z = g.op(
        "Conv",
        source,
        kernel,
        *([g.weight(cell.bias, "bias")] if cell.use_bias else []),
        kernel_shape=list(window),
        strides=list(cell.strides),
        dilations=list(cell.dilation_rate),
        **padding,
    )
    again = padding_of(h.value, "same", window, once, once)
    past = g.op("Conv", h.value, recurrent, kernel_shape=list(window), **again)
    return _gated(g, cell, _split(g, g.op("Add", z, past), [cell.filters] * 4), c)


def _gated(g: Graph, cell: Any, gates: Sequence[ir.Value], c: Tensor) -> Any:
    """Emit what LSTMCell and ConvLSTMCell do with their gates: input, forget, cell, output."""

    def apply(function: Any, value: ir.Value) -> ir.Value:
        return g.stored(activate(g, function, Tensor(value, c.order)), c.order)

    enter, keep, new, leave = gates
    kept = g.op("Mul", apply(cell.recurrent_activation, keep), c.value)
    added = g.op("Mul", apply(cell.recurrent_activation, enter), apply(cell.activation, new))
    carry = g.op("Add", kept, added)
    leaving = apply(cell.recurrent_activation, leave)
    h = Tensor(g.op("Mul", leaving, apply(cell.activation, carry)), c.order)
    return h, [h, Tensor(carry, c.order)]


def _gru(g: Graph, cell: Any, x: Tensor, states: Sequence[Tensor]) -> Any:
    """Emit the step of GRUCell (Cho et al., 2014), `reset_after` as cuDNN has it or before."""
    units, (h,) = cell.units, states

    def apply(function: Any, value: ir.Value) -> ir.Value:
        return g.in_keras_order(activate(g, function, Tensor(value, h.order)))

    bias = cell.bias if cell.use_bias and not cell.reset_after else None
    seen = _affine(g, cell, x, "kernel", bias)
    if cell.use_bias and cell.reset_after:
        seen = g.op("Add", seen, g.weight(cell.bias, "bias", lambda b: b[0], form="input"))
    new_z, new_r, new_h = _split(g, seen, [units] * 3)
    if cell.reset_after:
        past = _affine(g, cell, h, "recurrent_kernel", None)
        if cell.use_bias:
            past = g.op("Add", past, g.weight(cell.bias, "bias", lambda b: b[1], form="state"))
        old_z, old_r, old_h = _split(g, past, [units] * 3)
        reset = apply(cell.recurrent_activation, g.op("Add", new_r, old_r))
        inner = g.op("Mul", reset, old_h)
    else:
        gates, last = _parts_of(g, cell.recurrent_kernel, 2 * units)
        old_z, old_r = _split(g, g.op("MatMul", h.value, gates), [units] * 2)
        reset = apply(cell.recurrent_activation, g.op("Add", new_r, old_r))
        inner = g.op("MatMul", g.op("Mul", reset, h.value), last)
    update = apply(cell.recurrent_activation, g.op("Add", new_z, old_z))
    candidate = apply(cell.activation, g.op("Add", new_h, inner))
    rest = g.op("Sub", g.floats(1.0, "one", update), update)
    kept = g.op("Mul", update, h.value)
    y = Tensor(g.op("Add", kept, g.op("Mul", rest, candidate)), h.order)
    return y, [y]


def _simple(g: Graph, cell: Any, x: Tensor, states: Sequence[Tensor]) -> Any:
    """Emit the step of SimpleRNNCell."""
    z = _affine(g, cell, x, "kernel", cell.bias)
    z = g.op("Add", z, _affine(g, cell, states[0], "recurrent_kernel", None))
    y = activate(g, cell.activation, Tensor(z, as_keras(2)))
    return y, [y]


def _traced(g: Graph, cell: Any, x: Tensor, states: Sequence[Tensor]) -> Any:
    output, new = trace_layer(g, cell, (x, list(states)), {})
    return output, keras.tree.flatten(new)


def _affine(g: Graph, cell: Any, x: Tensor, name: str, bias: Any) -> ir.Value:
    product = g.op("MatMul", g.in_keras_order(x), g.weight(getattr(cell, name), name))
    return product if bias is None else g.op("Add", product, g.weight(bias, "bias"))


def _parts_of(g: Graph, kernel: Any, columns: int) -> tuple[ir.Value, ir.Value]:
    """Return the first columns of a kernel, and the others."""
    return (
        g.weight(kernel, "recurrent_kernel", lambda k: k[:, :columns], form="gates of state"),
        g.weight(kernel, "recurrent_kernel", lambda k: k[:, columns:], form="candidate"),
    )


def _split(g: Graph, value: ir.Value, sizes: list[int]) -> Sequence[ir.Value]:
    """Split the second stored axis."""
    split = g.integers(sizes, "split")
    return g.node("Split", [value, split], {"axis": 1}, outputs=len(sizes)).outputs


CONV_LSTM = "layers.rnn.conv_lstm.ConvLSTMCell"
"""The cell of ConvLSTM1D to 3D, which has no public name."""

STEPS: dict[type, CellStep] = {
    keras.layers.LSTMCell: _lstm,
    keras.layers.GRUCell: _gru,
    keras.layers.SimpleRNNCell: _simple,
}
"""Cells with an operator in ONNX, for activations that the operator does not know."""

"""Recurrent cells of Keras as the operators LSTM, GRU and RNN of ONNX: gates, biases, activations.

Keras keeps [inputs, gates * units] where ONNX wants [1, gates * units, inputs], and orders the
gates of LSTM as input, forget, cell, output, where ONNX has input, output, forget, cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.conversion.builder import Graph
from kexport.conversion.unsupported import NoRule
from kexport.keras_graph import function_name


@dataclass(frozen=True, slots=True)
class Form:
    """How a cell is written."""

    op_type: str
    gates: tuple[int, ...]
    """For each gate of ONNX, which gate of Keras it is."""
    states: int
    attributes: dict[str, Any] = field(default_factory=dict)


FORMS: dict[type, Form] = {
    keras.layers.LSTMCell: Form("LSTM", (0, 3, 1, 2), 2),
    keras.layers.GRUCell: Form("GRU", (0, 1, 2), 1),
    keras.layers.SimpleRNNCell: Form("RNN", (0,), 1),
}

ACTIVATIONS: dict[str, tuple[str, tuple[float, ...], tuple[float, ...]]] = {
    "elu": ("Elu", (1.0,), ()),
    "hard_sigmoid": ("HardSigmoid", (1 / 6,), (0.5,)),
    "keras2_hard_sigmoid": ("HardSigmoid", (0.2,), (0.5,)),
    "linear": ("Affine", (1.0,), (0.0,)),
    "relu": ("Relu", (), ()),
    "sigmoid": ("Sigmoid", (), ()),
    "softplus": ("Softplus", (), ()),
    "softsign": ("Softsign", (), ()),
    "tanh": ("Tanh", (), ()),
}
"""Activations of Keras that a recurrent operator knows: its name, alpha and beta."""


def form(cell: Any) -> Form:
    """Return how a cell is written.

    Raises:
        NoRule: the class of the cell or an activation is none that ONNX has.
    """
    found = FORMS.get(type(cell))
    if found is None:
        raise NoRule("another cell")
    functions = [cell.activation]
    if found.op_type == "LSTM":
        functions = [cell.recurrent_activation, cell.activation, cell.activation]
    elif found.op_type == "GRU":
        functions = [cell.recurrent_activation, cell.activation]
    rows = [_activation(function) for function in functions]
    attributes: dict[str, Any] = {
        "activations": [name for name, _, _ in rows],
        "activation_alpha": [value for _, alpha, _ in rows for value in alpha],
        "activation_beta": [value for _, _, beta in rows for value in beta],
    }
    if found.op_type == "GRU":
        attributes["linear_before_reset"] = int(cell.reset_after)
    attributes = {name: value for name, value in attributes.items() if value != []}
    return Form(found.op_type, found.gates, found.states, attributes)


def weights(g: Graph, cell: Any, form: Form) -> list[ir.Value | None]:
    """Add the weights of a cell in the order of the operator's inputs: kernels, then the biases."""

    def kernel(values: Array) -> Array:
        return _reordered(values, form.gates).T[None]

    def biases(values: Array) -> Array:
        """Put the biases of the state behind those of the input; most cells have none."""
        of_input, of_state = values if values.ndim == 2 else (values, np.zeros_like(values))
        rows = [_reordered(row, form.gates) for row in (of_input, of_state)]
        return np.concatenate(rows)[None]

    return [
        g.weight(cell.kernel, "kernel", kernel, form="gates"),
        g.weight(cell.recurrent_kernel, "recurrent_kernel", kernel, form="gates"),
        g.weight(cell.bias, "bias", biases, form="gates") if cell.use_bias else None,
    ]


def _activation(function: Any) -> tuple[str, tuple[float, ...], tuple[float, ...]]:
    found = ACTIVATIONS.get(function_name(function))
    if found is None:
        raise NoRule("another activation")
    return found


def _reordered(values: Array, gates: Sequence[int]) -> Array:
    """Put the gates, which divide the last axis, into another order."""
    parts = np.split(values, len(gates), axis=-1)
    return np.concatenate([parts[gate] for gate in gates], axis=-1)

"""Rules for Dense, for layers that merge tensors, and for two scales of Applications."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.rules.activation import activate
from kexport.conversion.rules.broadcast import parameter, together
from kexport.conversion.rules.kernel import kernel
from kexport.conversion.tensor import Tensor, as_keras
from kexport.conversion.unsupported import NoRule


def custom_scale(g: Graph, layer: Any, inputs: Sequence[Tensor]) -> Tensor:
    """Convert InceptionResNetV2's CustomScaleLayer: inputs[0] + inputs[1] * scale."""
    (base, residual), order = together(g, inputs)
    scaled = g.op("Mul", residual, g.floats(float(layer.scale), "scale", residual))
    return Tensor(g.op("Add", base, scaled), order)


def layer_scale(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert ConvNeXt's LayerScale (Touvron et al., 2021): x * gamma of each channel."""
    gamma = parameter(g, layer.gamma, "gamma", x, [-1])
    return Tensor(g.op("Mul", x.value, gamma), x.order)


def dense(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert Dense on the last axis of a tensor of any rank."""
    y = g.op("MatMul", g.in_keras_order(x), kernel(g, layer))
    if layer.use_bias:
        y = g.op("Add", y, g.weight(layer.bias, "bias"))
    return activate(g, layer.activation, Tensor(y, as_keras(x.rank)))


Rule = Callable[[Graph, Any, Sequence[Tensor]], Tensor]


def pairwise(op_type: str) -> Rule:
    """Make a rule that applies an ONNX operator to the inputs from left to right."""

    def rule(g: Graph, layer: Any, inputs: Sequence[Tensor]) -> Tensor:
        values, order = together(g, inputs)
        return Tensor(_fold(g, op_type, values), order)

    return rule


def average(g: Graph, layer: Any, inputs: Sequence[Tensor]) -> Tensor:
    """Convert Average: the sum of the inputs, divided by their number."""
    if not all(x.value.dtype is ir.DataType.FLOAT for x in inputs):
        raise NoRule("integers, whose average Keras computes in another type")
    values, order = together(g, inputs)
    total = _fold(g, "Add", values)
    return Tensor(g.op("Div", total, g.floats(float(len(values)), "count", total)), order)


def concatenate(g: Graph, layer: Any, inputs: Sequence[Tensor]) -> Tensor:
    """Convert Concatenate along one axis."""
    values, order = together(g, inputs)
    axis = order.index(layer.axis % len(order))
    return Tensor(g.op("Concat", *values, axis=axis), order)


def _fold(g: Graph, op_type: str, values: Sequence[ir.Value]) -> ir.Value:
    total = values[0]
    for value in values[1:]:
        total = g.op(op_type, total, value)
    return total

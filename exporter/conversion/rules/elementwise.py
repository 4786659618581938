"""Operations of keras.ops on every element of one tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from kexport.conversion.graph import Graph
from kexport.conversion.rules.activation import ELEMENTWISE, Elementwise
from kexport.conversion.rules.floats import Rule, on_floats
from kexport.conversion.tensor import Tensor
from kexport.conversion.unsupported import NoRule


def elementwise(function: Elementwise) -> Rule:
    """A rule that does the same to every element, in whatever order they are stored."""

    def rule(g: Graph, operation: Any, x: Tensor) -> Tensor:
        return Tensor(function(g, x.value), x.order)

    return on_floats(rule)


def operator(op_type: str) -> Rule:
    """A rule for an operation that is one ONNX operator without attributes."""
    return elementwise(lambda g, x: g.op(op_type, x))


def named(activation: str) -> Rule:
    """A rule for an operation that is one of Keras' activation functions with its defaults."""
    return elementwise(ELEMENTWISE[activation])


square = elementwise(lambda g, x: g.op("Mul", x, x))
"""keras.ops.square."""

rsqrt = elementwise(lambda g, x: g.op("Reciprocal", g.op("Sqrt", x)))
"""keras.ops.rsqrt."""


@on_floats
def clip(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """keras.ops.clip between two numbers."""
    limits = [operation.x_min, operation.x_max]
    if not all(np.ndim(limit) == 0 and np.isreal(limit) for limit in limits):
        raise NoRule("limits that are no numbers")
    low, high = (g.floats(float(limit), "limit", x.value) for limit in limits)
    return Tensor(g.op("Clip", x.value, low, high), x.order)


@on_floats
def leaky_relu(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """keras.ops.leaky_relu."""
    return Tensor(g.op("LeakyRelu", x.value, alpha=float(operation.negative_slope)), x.order)


@on_floats
def elu(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """keras.ops.elu."""
    return Tensor(g.op("Elu", x.value, alpha=float(operation.alpha)), x.order)


@on_floats
def gelu(g: Graph, operation: Any, x: Tensor) -> Tensor:
    """keras.ops.gelu, approximate (as it is unless told otherwise) or not."""
    form = "tanh" if operation.approximate else "none"
    return Tensor(g.op("Gelu", x.value, approximate=form), x.order)


def along_axis(op_type: str) -> Rule:
    """A rule for keras.ops.softmax and log_softmax along one axis."""

    def rule(g: Graph, operation: Any, x: Tensor) -> Tensor:
        if not isinstance(operation.axis, int):
            raise NoRule("several axes at once")
        return Tensor(g.op(op_type, x.value, axis=x.axis(operation.axis)), x.order)

    return on_floats(rule)

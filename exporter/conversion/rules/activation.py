"""Rules for activation functions, and for the layers that only apply one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir

from kexport.conversion.builder import Graph
from kexport.conversion.rules.broadcast import parameter
from kexport.conversion.tensor import Tensor
from kexport.conversion.tf2onnx_fallback import trace_function
from kexport.keras_graph import function_name

Elementwise = Callable[[Graph, ir.Value], ir.Value]


def activate(g: Graph, function: Any, x: Tensor) -> Tensor:
    """Apply a Keras activation function (None is linear); trace a function without a rule."""
    name = function_name(function)
    if name == "linear":
        return x
    if name in ELEMENTWISE:
        return Tensor(ELEMENTWISE[name](g, x.value), x.order)
    if name in ALONG_LAST_AXIS:
        return _along(g, ALONG_LAST_AXIS[name], x, -1)
    return trace_function(g, function, x)


def activation(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert Activation."""
    return activate(g, layer.activation, x)


def relu(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert ReLU with its `max_value`, `negative_slope` and `threshold`."""
    slope, top, threshold = (
        float(layer.negative_slope or 0),
        layer.max_value,
        float(layer.threshold or 0),
    )
    if threshold == 0:
        return Tensor(_relu(g, x.value, slope, top), x.order)
    return Tensor(_thresholded(g, x.value, slope, top, threshold), x.order)


def leaky_relu(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert LeakyReLU."""
    return Tensor(g.op("LeakyRelu", x.value, alpha=float(layer.negative_slope)), x.order)


def prelu(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert PReLU; its slope broadcasts over `shared_axes`."""
    slope = parameter(g, layer.alpha, "alpha", x, tuple(range(1, x.rank)))
    return Tensor(g.op("PRelu", x.value, slope), x.order)


def elu(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert ELU."""
    return Tensor(g.op("Elu", x.value, alpha=float(layer.alpha)), x.order)


def softmax(g: Graph, layer: Any, x: Tensor) -> Tensor:
    """Convert Softmax along one axis, or over several at once as exp(x - max) / sum."""
    if isinstance(layer.axis, int):
        return _along(g, "Softmax", x, layer.axis)
    axes = g.integers(sorted(x.axis(axis) for axis in layer.axis), "axes")
    powers = g.op("Exp", g.op("Sub", x.value, g.op("ReduceMax", x.value, axes)))
    return Tensor(g.op("Div", powers, g.op("ReduceSum", powers, axes)), x.order)


def _along(g: Graph, op_type: str, x: Tensor, axis: int) -> Tensor:
    return Tensor(g.op(op_type, x.value, axis=x.axis(axis)), x.order)


def _relu(g: Graph, x: ir.Value, slope: float, top: float | None) -> ir.Value:
    if top is None:
        return g.op("LeakyRelu", x, alpha=slope) if slope else g.op("Relu", x)
    if slope:
        capped = g.op("Clip", x, None, g.floats(top, "max", x))
        return g.op("LeakyRelu", capped, alpha=slope)
    return _clip(g, x, 0.0, float(top))


def _thresholded(
    g: Graph, x: ir.Value, slope: float, top: float | None, threshold: float
) -> ir.Value:
    """Emit min(x, top) where x > threshold, and slope * (x - threshold) elsewhere."""
    limit = g.floats(threshold, "threshold", x)
    kept = x if top is None else g.op("Clip", x, None, g.floats(top, "max", x))
    below = g.op("Mul", g.op("Sub", x, limit), g.floats(slope, "negative_slope", x))
    return g.op("Where", g.op("Greater", x, limit), kept, below)


def _clip(g: Graph, x: ir.Value, low: float, high: float) -> ir.Value:
    return g.op("Clip", x, g.floats(low, "min", x), g.floats(high, "max", x))


def _silu(g: Graph, x: ir.Value) -> ir.Value:
    return g.op("Mul", x, g.op("Sigmoid", x))


def _tanh_shrink(g: Graph, x: ir.Value) -> ir.Value:
    return g.op("Sub", x, g.op("Tanh", x))


def _squareplus(g: Graph, x: ir.Value) -> ir.Value:
    """Emit (x + sqrt(x^2 + 4)) / 2."""
    root = g.op("Sqrt", g.op("Add", g.op("Mul", x, x), g.floats(4.0, "b", x)))
    return g.op("Mul", g.op("Add", x, root), g.floats(0.5, "half", x))


def _log_sigmoid(g: Graph, x: ir.Value) -> ir.Value:
    return g.op("Neg", g.op("Softplus", g.op("Neg", x)))


def _sparse_plus(g: Graph, x: ir.Value) -> ir.Value:
    """Emit 0 below -1, (x + 1)^2 / 4 from -1 to 1, x above 1.

    That is (c + 1)^2 / 4 + max(x - 1, 0), where c is x clipped to -1..1.
    """
    one = g.floats(1.0, "one", x)
    root = g.op("Add", _clip(g, x, -1.0, 1.0), one)
    bend = g.op("Mul", g.op("Mul", root, root), g.floats(0.25, "quarter", x))
    return g.op("Add", bend, g.op("Relu", g.op("Sub", x, one)))


def _unary(op_type: str, **attributes: Any) -> Elementwise:
    return lambda g, x: g.op(op_type, x, **attributes)


SELU_SCALE = 1.05070098735548049342
SELU_ALPHA = 1.67326324235437728482
"""Constants of SELU (G. Klambauer et al., "Self-normalizing neural networks", 2017)."""

ELEMENTWISE: dict[str, Elementwise] = {
    "celu": _unary("Celu", alpha=1.0),
    "elu": _unary("Elu", alpha=1.0),
    "exponential": _unary("Exp"),
    "gelu": _unary("Gelu"),
    "hard_shrink": _unary("Shrink", lambd=0.5, bias=0.0),
    "hard_sigmoid": _unary("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hard_silu": _unary("HardSwish"),
    "hard_tanh": lambda g, x: _clip(g, x, -1.0, 1.0),
    "keras2_hard_sigmoid": _unary("HardSigmoid", alpha=0.2, beta=0.5),
    "leaky_relu": _unary("LeakyRelu", alpha=0.2),
    "log_sigmoid": _log_sigmoid,
    "mish": _unary("Mish"),
    "relu": _unary("Relu"),
    "relu6": lambda g, x: _clip(g, x, 0.0, 6.0),
    "selu": _unary("Selu", alpha=SELU_ALPHA, gamma=SELU_SCALE),
    "sigmoid": _unary("Sigmoid"),
    "silu": _silu,
    "soft_shrink": _unary("Shrink", lambd=0.5, bias=0.5),
    "softplus": _unary("Softplus"),
    "softsign": _unary("Softsign"),
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": lambda g, x: _clip(
        g,
        g.op("Mul", g.op("Add", x, g.floats(1.0, "one", x)), g.floats(0.5, "half", x)),
        0.0,
        1.0,
    ),
    "squareplus": _squareplus,
    "tanh": _unary("Tanh"),
    "tanh_shrink": _tanh_shrink,
}
"""Activation functions of keras.activations, and one of Keras 2, that act on each element."""

ALONG_LAST_AXIS = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}
"""Activation functions that act along the last Keras axis."""

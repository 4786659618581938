"""Faults in elementwise operators: activations, normalizations, merges."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.graph import edit
from planted_faults.fault import (
    Fault,
    Mutate,
    Rng,
    after,
    array,
    bypass,
    nodes,
    one,
    operator,
    put,
    set_number,
)

ACTIVATIONS = (
    *("Celu", "Elu", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu"),
    *("Relu", "Selu", "Shrink", "Sigmoid", "Softplus", "Softsign", "Tanh"),
)

NORMS = ("BatchNormalization", "InstanceNormalization", "LayerNormalization")


def becomes(wanted: str, new: str, **attributes: Any) -> Mutate:
    """Make a fault that replaces one operator by another of the same inputs."""

    def mutate(model: ir.Model, rng: Rng) -> bool:
        node = one(rng, nodes(model, wanted))
        return node is not None and operator(node, new, **attributes)

    return mutate


def left_out(*operators: str) -> Mutate:
    """Make a fault that leaves a node out."""

    def mutate(model: ir.Model, rng: Rng) -> bool:
        node = one(rng, nodes(model, *operators))
        return node is not None and bypass(node)

    return mutate


def number(wanted: str, name: str, factor: float, default: float) -> Mutate:
    """Make a fault that multiplies an attribute of one node."""

    def mutate(model: ir.Model, rng: Rng) -> bool:
        node = one(rng, nodes(model, wanted))
        if node is None:
            return False
        return set_number(node, name, float(edit.attribute(node, name, default)) * factor)

    return mutate


def capped(model: ir.Model, rng: Rng) -> bool:
    """End a Relu at 6."""
    node = one(rng, nodes(model, "Relu"))
    if node is None:
        return False
    low, high = (
        edit.numbers(model.graph, "planted", np.float32(v) * np.ones((), np.float32))
        for v in (0.0, 6.0)
    )
    return after(node, "Clip", low, high)


def uncapped(model: ir.Model, rng: Rng) -> bool:
    """Let a Clip have no upper end."""
    found = [n for n in nodes(model, "Clip") if len(n.inputs) > 2 and n.inputs[2] is not None]
    node = one(rng, found)
    if node is None:
        return False
    node.replace_input_with(2, None)
    return True


def bound_off(model: ir.Model, rng: Rng) -> bool:
    """Move the upper end of a Clip by a twentieth."""
    node = one(rng, [n for n in nodes(model, "Clip") if array(n, 2) is not None])
    if node is None:
        return False
    return put(model, node, 2, np.asarray(array(node, 2)) * np.float32(1.05))


def tanh_gelu(model: ir.Model, rng: Rng) -> bool:
    """Compute erf(u) as the approximation of GELU with tanh does.

    D. Hendrycks and K. Gimpel, "Gaussian error linear units", 2016: x = u * sqrt(2),
    erf(u) ~ tanh(sqrt(2 / pi) * (x + 0.044715 x^3)).
    """
    node = one(rng, nodes(model, "Erf"))
    if node is None or node.graph is None:
        return False
    graph, u = node.graph, node.inputs[0]
    outer, inner = np.float32(2 / np.sqrt(np.pi)), np.float32(0.044715 * 2)
    square = ir.node("Mul", [u, u])
    bend = ir.node("Mul", [square.outputs[0], _scalar(model, inner)])
    plus = ir.node("Add", [bend.outputs[0], _scalar(model, np.float32(1))])
    whole = ir.node("Mul", [plus.outputs[0], u])
    scaled = ir.node("Mul", [whole.outputs[0], _scalar(model, outer)])
    for at, new in enumerate((square, bend, plus, whole, scaled)):
        new.name = new.outputs[0].name = f"planted_{at}_{node.name}"
        graph.insert_before(node, new)
    node.replace_input_with(0, scaled.outputs[0])
    return operator(node, "Tanh")


def _scalar(model: ir.Model, value: Any) -> ir.Value:
    return edit.numbers(model.graph, "planted", np.asarray(value, np.float32))


def epsilon(model: ir.Model, rng: Rng) -> bool:
    """Take the epsilon of another layer: 1e-3 for a smaller one, or 1e-5."""
    node = one(rng, nodes(model, *NORMS))
    if node is None:
        return False
    now = float(edit.attribute(node, "epsilon", 1e-5))
    return set_number(node, "epsilon", 1e-3 if now < 9e-4 else 1e-5)


def parameter(index: int, value: float) -> Mutate:
    """Make a fault in the scale or shift of a normalization: neutral in one channel."""

    def mutate(model: ir.Model, rng: Rng) -> bool:
        node = one(rng, [n for n in nodes(model, *NORMS) if array(n, index) is not None])
        if node is None:
            return False
        values = np.array(array(node, index))
        at = int(rng.integers(values.size))
        if values.flat[at] == value:
            return False
        values.flat[at] = value
        return put(model, node, index, values)

    return mutate


def exchanged(*operators: str) -> Mutate:
    """Make a fault that exchanges the two inputs of a node."""

    def mutate(model: ir.Model, rng: Rng) -> bool:
        node = one(rng, nodes(model, *operators))
        if node is None:
            return False
        first, second = node.inputs[:2]
        node.replace_input_with(0, second)
        node.replace_input_with(1, first)
        return True

    return mutate


def dropped(model: ir.Model, rng: Rng) -> bool:
    """Add only one of two tensors that nodes compute."""
    found = [n for n in nodes(model, "Add") if all(v and v.producer() for v in n.inputs)]
    node = one(rng, found)
    return node is not None and bypass(node, int(rng.integers(2)))


def inverted(model: ir.Model, rng: Rng) -> bool:
    """Exchange what a Where takes where it is true and where it is false."""
    node = one(rng, nodes(model, "Where"))
    if node is None:
        return False
    true, false = node.inputs[1:]
    node.replace_input_with(1, false)
    node.replace_input_with(2, true)
    return True


def negated(model: ir.Model, rng: Rng) -> bool:
    """Negate a comparison, from which masks are made."""
    node = one(rng, nodes(model, "Equal", "Less", "Greater", "And", "Or", "Not"))
    return node is not None and after(node, "Not")


def constant_off(model: ir.Model, rng: Rng) -> bool:
    """Move a constant that is multiplied, divided by, added or subtracted by a hundredth."""
    found = [
        (n, i)
        for n in nodes(model, "Mul", "Div", "Add", "Sub", "Pow", "Max", "Min")
        for i in range(len(n.inputs))
        if array(n, i) is not None
    ]
    node, at = one(rng, found) or (None, 0)
    if node is None:
        return False
    values = np.array(array(node, at))
    return bool(values.any()) and put(model, node, at, values * np.float32(1.01))


FAULTS = (
    Fault("relu6 for relu", capped),
    Fault("relu for relu6", uncapped),
    Fault("bound of a clip off", bound_off),
    Fault("hard sigmoid of slope 0.2", becomes("HardSigmoid", "HardSigmoid", alpha=0.2, beta=0.5)),
    Fault("gelu by tanh for gelu by erf", tanh_gelu),
    Fault("activation left out", left_out(*ACTIVATIONS)),
    Fault("hard sigmoid for sigmoid", becomes("Sigmoid", "HardSigmoid", alpha=0.2, beta=0.5)),
    Fault("softsign for tanh", becomes("Tanh", "Softsign")),
    Fault("silu for hard silu", becomes("HardSwish", "Mish")),
    Fault("slope of leaky relu off", number("LeakyRelu", "alpha", 1.1, 0.01)),
    Fault("alpha of elu off", number("Elu", "alpha", 1.1, 1.0)),
    Fault("alpha of selu off", number("Selu", "alpha", 1.01, 1.67326)),
    Fault("gamma of selu off", number("Selu", "gamma", 1.01, 1.0507)),
    Fault("bias of a shrink off", number("Shrink", "lambd", 1.1, 0.5)),
    Fault("wrong epsilon", epsilon),
    Fault("scale of one channel forgotten", parameter(1, 1.0)),
    Fault("shift of one channel forgotten", parameter(2, 0.0)),
    Fault("mean of one channel forgotten", parameter(3, 0.0)),
    Fault("variance of one channel forgotten", parameter(4, 1.0)),
    Fault("inputs of a difference exchanged", exchanged("Sub", "Div", "Pow")),
    Fault("residual dropped", dropped),
    Fault("product for a sum", becomes("Add", "Mul")),
    Fault("sum for a product", becomes("Mul", "Add")),
    Fault("minimum for maximum", becomes("Max", "Min")),
    Fault("maximum for minimum", becomes("Min", "Max")),
    Fault("mask inverted", inverted),
    Fault("comparison negated", negated),
    Fault("constant 1 % off", constant_off),
)

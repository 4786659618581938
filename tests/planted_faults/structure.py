"""Faults in axes, orders, recurrences, inputs and outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from support import Array

from kexport.graph import edit
from planted_faults.fault import Fault, Mutate, Rng, bypass, nodes, one, put, set_number

LOGITS = "logits before "
"""What the name of an output that a proof adds to read logits begins with."""


def _rank(value: ir.Value | None) -> int:
    return 0 if value is None or value.shape is None else len(value.shape)


def other_axis(*operators: str) -> Mutate:
    """Make a fault that applies a node along another axis than the batch."""

    def mutate(model: ir.Model, rng: Rng) -> bool:
        found = [n for n in nodes(model, *operators) if _rank(n.inputs[0]) > 2]
        node = one(rng, found)
        if node is None:
            return False
        rank = _rank(node.inputs[0])
        now = int(edit.attribute(node, "axis", -1)) % rank
        axis = one(rng, [axis for axis in range(1, rank) if axis != now])
        return set_number(node, "axis", axis)

    return mutate


def other_order(model: ir.Model, rng: Rng) -> bool:
    """Concatenate in another order."""
    node = one(rng, [n for n in nodes(model, "Concat") if len(n.inputs) > 1 and _is_float(n)])
    if node is None:
        return False
    first, last = node.inputs[0], node.inputs[-1]
    node.replace_input_with(0, last)
    node.replace_input_with(len(node.inputs) - 1, first)
    return True


def _is_float(node: ir.Node) -> bool:
    value = node.outputs[0]
    return value.dtype is not None and value.dtype.is_floating_point()


def reduced_along_another(model: ir.Model, rng: Rng) -> bool:
    """Reduce another axis."""
    found = [
        (n, axes)
        for n in nodes(model, *_REDUCTIONS)
        if _rank(n.inputs[0]) > 2
        and len(n.inputs) > 1
        and (axes := edit.small(n.inputs[1])) is not None
        and axes.size == 1
    ]
    node, axes = one(rng, found) or (None, None)
    if node is None or axes is None:
        return False
    rank = _rank(node.inputs[0])
    other = one(rng, [axis for axis in range(1, rank) if axis != int(axes.flat[0]) % rank])
    return put(model, node, 1, np.array([other], np.int64))


_REDUCTIONS = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceProd")
_OTHERS = {
    "ReduceMean": "ReduceMax",
    "ReduceSum": "ReduceMean",
    "ReduceMax": "ReduceMean",
    "ReduceMin": "ReduceMean",
    "ReduceL2": "ReduceSum",
    "ReduceProd": "ReduceSum",
}


def other_reduction(model: ir.Model, rng: Rng) -> bool:
    """Reduce by another operator, whose axes are an input or, before opset 18, an attribute."""
    found = [(n, axes) for n in nodes(model, *_REDUCTIONS) if (axes := _axes(n)) is not None]
    node, axes = one(rng, found) or (None, None)
    if node is None or axes is None:
        return False
    node.op_type = _OTHERS[node.op_type]
    node.resize_inputs(1)
    node.attributes.pop("axes", None)
    if node.op_type == "ReduceSum" or model.opset_imports[""] >= 18:
        node.resize_inputs(2)
        node.replace_input_with(1, edit.numbers(model.graph, "planted", axes))
        return True
    return set_number(node, "axes", axes.tolist())


def _axes(node: ir.Node) -> Array | None:
    if len(node.inputs) > 1:
        return edit.small(node.inputs[1])
    axes = edit.attribute(node, "axes", None)
    return None if axes is None else np.array(axes, np.int64)


def transposed(model: ir.Model, rng: Rng) -> bool:
    """Exchange two axes of a transposition other than the batch."""
    found = [n for n in nodes(model, "Transpose") if len(edit.attribute(n, "perm", [])) > 2]
    node = one(rng, found)
    if node is None:
        return False
    perm = list(node.attributes["perm"].value)
    first, second = rng.choice(np.arange(1, len(perm)), 2, replace=False)
    perm[first], perm[second] = perm[second], perm[first]
    return set_number(node, "perm", perm)


def transposition_left_out(model: ir.Model, rng: Rng) -> bool:
    """Leave out a transposition before a Reshape or Flatten."""
    found = [
        n
        for n in nodes(model, "Transpose")
        if any(use.node.op_type in ("Reshape", "Flatten") for use in n.outputs[0].uses())
    ]
    node = one(rng, found)
    return node is not None and bypass(node)


def other_functions(model: ir.Model, rng: Rng) -> bool:
    """Give a recurrent operator another activation."""
    node = one(rng, nodes(model, "LSTM", "GRU", "RNN"))
    if node is None:
        return False
    defaults = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
    twice = 2 if edit.attribute(node, "direction", "forward") == "bidirectional" else 1
    now = list(edit.attribute(node, "activations", defaults[node.op_type] * twice))
    at = int(rng.integers(len(now)))
    now[at] = "Softsign" if now[at] == "Tanh" else "Tanh"
    return set_number(node, "activations", now)


def backwards(model: ir.Model, rng: Rng) -> bool:
    """Run a recurrent operator from the other end."""
    found = [
        n
        for n in nodes(model, "LSTM", "GRU", "RNN")
        if edit.attribute(n, "direction", "forward") != "bidirectional"
    ]
    node = one(rng, found)
    if node is None:
        return False
    reverse = edit.attribute(node, "direction", "forward") == "forward"
    return set_number(node, "direction", "reverse" if reverse else "forward")


def reset_elsewhere(model: ir.Model, rng: Rng) -> bool:
    """Reset a GRU on the other side of its product."""
    node = one(rng, nodes(model, "GRU"))
    if node is None:
        return False
    return set_number(
        node, "linear_before_reset", 1 - int(edit.attribute(node, "linear_before_reset", 0))
    )


def outputs_exchanged(model: ir.Model, rng: Rng) -> bool:
    """Exchange the names of two outputs of one rank."""
    outputs = [value for value in model.graph.outputs if not _is_of_proof(value)]
    if len(outputs) != 2 or _rank(outputs[0]) != _rank(outputs[1]):
        return False
    first, second = outputs
    one_name, other_name = first.name, second.name
    first.name = "exchanged"
    second.name, first.name = one_name, other_name
    return True


def _is_of_proof(value: ir.Value) -> bool:
    """Tell whether the proof added an output to read logits from."""
    return (value.name or "").startswith(LOGITS)


def inputs_exchanged(model: ir.Model, rng: Rng) -> bool:
    """Exchange the names of two inputs of one rank and type."""
    inputs = model.graph.inputs
    if len(inputs) != 2 or _rank(inputs[0]) != _rank(inputs[1]):
        return False
    first, second = inputs
    one_name, other_name = first.name, second.name
    first.name = "exchanged"
    second.name, first.name = one_name, other_name
    return True


def _image(model: ir.Model) -> ir.Value | None:
    """Return the input of colour images, [N, H, W, 3] as bytes."""
    value = model.graph.inputs[0]
    is_image = value.name == "image" and value.shape is not None and value.shape[-1] == 3
    return value if is_image else None


def other_colours(model: ir.Model, rng: Rng) -> bool:
    """Read BGR as RGB."""
    image = _image(model)
    if image is None:
        return False
    order = edit.numbers(model.graph, "planted", np.array([2, 1, 0], np.int64))
    return _insert(model, image, [ir.node("Gather", [image, order], {"axis": -1})])


def mean_missing(model: ir.Model, rng: Rng) -> bool:
    """Leave the mean of one channel out: its pixels are 103 to 124 too large, or those of 127."""
    image = _image(model)
    if image is None:
        return False
    shift = np.zeros(3, np.float32)
    shift[int(rng.integers(3))] = rng.choice([103.939, 116.779, 123.68, 127.5])
    cast = ir.node("Cast", [image], {"to": int(ir.DataType.FLOAT)})
    planted = edit.numbers(model.graph, "planted", shift)
    return _insert(model, image, [cast, ir.node("Add", [cast.outputs[0], planted])])


def _insert(model: ir.Model, image: ir.Value, new: list[Any]) -> bool:
    readers = list(image.uses())
    readers = [(user, at) for user, at in readers if user not in new]
    first = next(iter(model.graph))
    for at, node in enumerate(new):
        node.name = node.outputs[0].name = f"planted_input_{at}"
        model.graph.insert_before(first, node)
    for user, at in readers:
        user.replace_input_with(at, new[-1].outputs[0])
    return True


FAULTS = (
    Fault("softmax along another axis", other_axis("Softmax", "LogSoftmax")),
    Fault("concatenated along another axis", other_axis("Concat")),
    Fault("concatenated in another order", other_order),
    Fault("reduced along another axis", reduced_along_another),
    Fault("reduced by another operator", other_reduction),
    Fault("axes exchanged", transposed),
    Fault("transposition left out", transposition_left_out),
    Fault("another activation in a recurrence", other_functions),
    Fault("recurrence from the other end", backwards),
    Fault("reset on the other side of the product", reset_elsewhere),
    Fault("outputs exchanged", outputs_exchanged),
    Fault("inputs exchanged", inputs_exchanged),
    Fault("BGR for RGB", other_colours),
    Fault("a mean missing", mean_missing),
)

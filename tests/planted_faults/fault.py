"""What the tables of faults hold, and the edits that they are written with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from support import Array

from kexport.graph import edit

Rng = np.random.Generator
Mutate = Callable[[ir.Model, Rng], bool]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one kind.

    `mutate` changes a graph in place. Where it cannot, it returns False and changes nothing.
    """

    name: str
    mutate: Mutate


def forget_shapes(model: ir.Model) -> None:
    """Drop what is declared of values between nodes, which a fault may have changed."""
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if not value.is_graph_output():
                value.type = value.shape = None


def nodes(model: ir.Model, *operators: str) -> list[ir.Node]:
    """Return the nodes of some operators, those inside of loops included; all without a name."""
    return [n for n in model.graph.all_nodes() if not operators or n.op_type in operators]


def one(rng: Rng, options: list[Any]) -> Any:
    """Draw one of the options, None if there are none."""
    return options[int(rng.integers(len(options)))] if options else None


def array(node: ir.Node, index: int) -> Array | None:
    """Return a constant float input of at least one element; None for any other input."""
    found = edit.small(node.inputs[index]) if index < len(node.inputs) else None
    is_float = found is not None and np.issubdtype(found.dtype, np.floating)
    return found if is_float and found is not None and found.size else None


def put(model: ir.Model, node: ir.Node, index: int, values: Any) -> bool:
    """Give one node another constant in place of its input."""
    before = edit.small(node.inputs[index])
    dtype = np.float32 if before is None else before.dtype
    new = edit.numbers(model.graph, "planted", np.asarray(values, dtype))
    node.replace_input_with(index, new)
    return True


def set_number(node: ir.Node, name: str, value: Any) -> bool:
    """Set an attribute to an integer, a float, a string or a list of one of them."""
    (node.attributes[name],) = ir.convenience.convert_attributes({name: value})
    return True


def operator(node: ir.Node, op_type: str, **attributes: Any) -> bool:
    """Make a node another operator of its inputs, with only these attributes."""
    node.op_type = op_type
    node.attributes.clear()
    for name, value in attributes.items():
        set_number(node, name, value)
    return True


def bypass(node: ir.Node, index: int = 0) -> bool:
    """Leave a node out: its output is one of its inputs."""
    kept = node.inputs[index]
    if kept is None:
        return False
    for at in reversed(range(len(node.inputs))):
        if at != index:
            node.replace_input_with(at, None)
    node.resize_inputs(index + 1)
    node.replace_input_with(0, kept)
    node.resize_inputs(1)
    return operator(node, "Identity")


def after(node: ir.Node, op_type: str, *more: ir.Value, **attributes: Any) -> bool:
    """Put a node between the first output of a node and those that read it."""
    old = node.outputs[0]
    inner = ir.Value(name=f"{old.name}_unspoilt")
    extra = ir.node(op_type, [inner, *more], attributes, name=f"{node.name}_planted")
    readers = list(old.uses())
    graph = node.graph
    if graph is None:
        return False
    graph.insert_after(node, extra)
    extra.outputs[0].name = f"{old.name}_spoilt"
    if old.is_graph_output():
        old.name, extra.outputs[0].name = inner.name, old.name
        extra.outputs[0].type, extra.outputs[0].shape = old.type, old.shape
        for at, value in enumerate(graph.outputs):
            if value is old:
                graph.outputs[at] = extra.outputs[0]
    for user, at in readers:
        user.replace_input_with(at, extra.outputs[0])
    extra.replace_input_with(0, old)
    return True


def constants(model: ir.Model, operators: tuple[str, ...]) -> Iterator[tuple[ir.Node, int]]:
    """Yield every place where a node of these operators reads a constant of floats."""
    for node in nodes(model, *operators):
        for index in range(len(node.inputs)):
            if array(node, index) is not None:
                yield node, index

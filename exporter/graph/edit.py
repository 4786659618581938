"""Queries and edits of an `onnx_ir` graph that many passes need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.graph import names
from kexport.graph.roles import role_of, set_role


def constant(value: ir.Value | None) -> ir.TensorProtocol | None:
    """Return the tensor of an initializer; None for any other value."""
    return value.const_value if value is not None and value.is_initializer() else None


def small(value: ir.Value | None) -> Array | None:
    """Return the array of a constant such as a bias, scale or shape; None for any other value."""
    tensor = constant(value)
    return None if tensor is None else tensor.numpy()


def attribute(node: ir.Node, name: str, default: Any) -> Any:
    """Return the value of an attribute as a Python type, or `default` where it is missing."""
    found = node.attributes.get(name)
    return default if found is None else found.value


def sole_user(value: ir.Value) -> ir.Node | None:
    """Return the only node that reads `value`.

    None for several, for a graph output, and where it is read in a body of another node.
    """
    uses, maker = value.uses(), value.producer()
    if value.is_graph_output() or len(uses) != 1:
        return None
    reader = next(iter(uses)).node
    return reader if maker is None or maker.graph is reader.graph else None


def producer(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """Return the producer of `value` if it is one of `op_types` and `value` has one reader."""
    node = None if value is None else value.producer()
    if value is None or node is None or node.op_type not in op_types or sole_user(value) is None:
        return None
    return node


def initializer(
    graph: ir.Graph,
    name: str,
    compute: Callable[[], Array],
    dtype: ir.DataType,
    shape: Sequence[int],
) -> ir.Value:
    """Add an initializer whose array is computed when the model is written, not before."""
    name = free_name(graph, name)
    tensor = ir.LazyTensor(
        lambda: ir.Tensor(np.asarray(compute(), dtype=dtype.numpy())),
        dtype,
        ir.Shape(shape),
        name=name,
    )
    value = ir.Value(
        name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape), const_value=tensor
    )
    graph.register_initializer(value)
    return value


def numbers(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    """Add an initializer that holds `array`."""
    return initializer(graph, name, lambda: array, ir.DataType.from_numpy(array.dtype), array.shape)


def free_name(graph: ir.Graph, wanted: str) -> str:
    """Return `wanted`, with a number appended if an initializer of the graph has that name."""
    return names.free_name(wanted, graph.initializers)


def take_over(old: ir.Value, new: ir.Value) -> None:
    """Let `new` replace `old` in all its readers, and as a graph output under the same name."""
    if old.is_graph_output():
        old.name, new.name = f"{old.name}_before", old.name
    old.replace_all_uses_with(new, replace_graph_outputs=True)


def like(new: ir.Value, old: ir.Value) -> None:
    """Give `new` the dtype and shape of `old`."""
    new.type, new.shape = old.type, old.shape


def required(node: ir.Node, index: int) -> ir.Value:
    """Return an input that the operator requires.

    Raises:
        ValueError: the input is missing.
    """
    value = node.inputs[index]
    if value is None:
        raise ValueError(f"input {index} of {node.name} is missing")
    return value


def replace_node(graph: ir.Graph, old: ir.Node, new: ir.Node, result: str) -> None:
    """Put `new` in the place of `old`: it takes its dtype, shape, role and readers.

    Args:
        graph: the graph of `old`.
        old: a node with one output; it is removed.
        new: a node with one output that is in no graph yet.
        result: the name of the output of `new`.
    """
    new.outputs[0].name = result
    like(new.outputs[0], old.outputs[0])
    set_role(new, role_of(old))
    graph.insert_before(old, new)
    take_over(old.outputs[0], new.outputs[0])
    remove(graph, old)


def remove(graph: ir.Graph, *nodes: ir.Node) -> None:
    """Remove nodes whose outputs nothing reads."""
    graph.remove(nodes, safe=True)

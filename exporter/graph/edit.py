"""Small edits on an `onnx_ir` graph that every pass needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.graph import names


def constant(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor behind an initializer, or None for any other value."""
    return value.const_value if value is not None and value.is_initializer() else None


def small(value: ir.Value | None) -> Array | None:
    """The numbers of a constant such as a bias, a scale, a shape; None for anything else."""
    tensor = constant(value)
    return None if tensor is None else tensor.numpy()


def attribute(node: ir.Node, name: str, default: Any) -> Any:
    """The value of a node's attribute, as Python's own type."""
    found = node.attributes.get(name)
    return default if found is None else found.value


def sole_user(value: ir.Value) -> ir.Node | None:
    """The only node that reads `value`; None where there are several or it is a graph output."""
    uses = value.uses()
    if value.is_graph_output() or len(uses) != 1:
        return None
    return next(iter(uses)).node


def producer(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The node that makes `value` if it is one of `op_types` and nothing else reads `value`."""
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
    """A new initializer whose numbers are computed when the model is written, not before."""
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
    """A new initializer that holds `array`."""
    return initializer(graph, name, lambda: array, ir.DataType.from_numpy(array.dtype), array.shape)


def free_name(graph: ir.Graph, wanted: str) -> str:
    """`wanted`, or `wanted` with a number, so that no initializer of the graph has it yet."""
    return names.free_name(wanted, graph.initializers)


def take_over(old: ir.Value, new: ir.Value) -> None:
    """Let `new` stand wherever `old` stood, as a graph output too, under the same name there."""
    if old.is_graph_output():
        old.name, new.name = f"{old.name}_before", old.name
    old.replace_all_uses_with(new, replace_graph_outputs=True)


def like(new: ir.Value, old: ir.Value) -> None:
    """Give `new` the dtype and shape of `old`."""
    new.type, new.shape = old.type, old.shape


def remove(graph: ir.Graph, *nodes: ir.Node) -> None:
    """Remove nodes that nothing reads any more."""
    graph.remove(nodes, safe=True)

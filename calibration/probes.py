"""Extra outputs of a graph, through which statistics of its tensors leave it."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from kexport.passes.edit import numbers

SAMPLE = 1 << 20
"""How many values of a tensor are picked out of all pictures together, about."""


def find(graph: ir.Graph, name: str) -> ir.Value:
    """The float32 tensor of that name: an input of the graph, or what a node makes.

    Raises:
        ValueError: there is none, or it holds something else than float32.
    """
    made = (value for node in graph for value in node.outputs)
    value = next((value for value in (*graph.inputs, *made) if value.name == name), None)
    if value is None or value.dtype != ir.DataType.FLOAT:
        raise ValueError(f"{name} is no float32 tensor of the graph")
    return value


def add_output(
    graph: ir.Graph, value: ir.Value, nodes: list[ir.Node], name: str, shape: ir.Shape | None
) -> str:
    """Put `nodes` right behind the producer of `value`; the last makes the new output `name`.

    Right behind, so that the engine can let go of the tensor early. Returns `name`.
    """
    result = nodes[-1].outputs[0]
    result.name, result.type, result.shape = name, ir.TensorType(ir.DataType.FLOAT), shape
    producer = value.producer()
    if producer is not None:
        graph.insert_after(producer, nodes)
    elif len(graph):
        graph.insert_before(graph[0], nodes)
    else:
        graph.extend(nodes)
    graph.outputs.append(result)
    return name


def add_extremes(graph: ir.Graph, name: str, *, by_channel: bool = False) -> list[str]:
    """Outputs: the least and the largest value, both [] or [N, C], and the sum []."""
    value, labels = find(graph, name), list[str]()
    rank = len(value.shape or ())
    for operator in ("ReduceMin", "ReduceMax", "ReduceSum"):
        label = f"{name}.{operator}"
        inputs, shape = [value], ir.Shape([])
        attributes: dict[str, int | list[int]] = {"keepdims": 0}
        if by_channel and operator != "ReduceSum":
            axes, shape = list(range(2, rank)), ir.Shape([None, None])
            if graph.opset_imports.get("", 18) < 18:
                attributes["axes"] = axes
            else:
                inputs.append(numbers(graph, f"{label}.axes", np.array(axes, np.int64)))
        node = ir.node(operator, inputs, attributes, name=label)
        labels.append(add_output(graph, value, [node], label, shape))
    return labels


def distance(value: ir.Value, pictures: int) -> int:
    """How far apart the values of a tensor [N, ...] lie that are picked out of so many pictures.

    It is odd, so that all columns are met.
    """
    dims = list(value.shape or [None])[1:]
    each = math.prod(dim if isinstance(dim, int) else 0 for dim in dims)
    wanted = max(1, SAMPLE // pictures)
    return each // wanted // 2 * 2 + 1 if each > 2 * wanted else 1


def add_sample(graph: ir.Graph, name: str, step: int) -> str:
    """An output [n] of every `step`-th value."""
    value, label = find(graph, name), f"{name}.sample"
    slots = {
        "shape": -1,
        "start": 0,
        "end": np.iinfo(np.int64).max,
        "axis": 0,
        "step": step,
    }
    shape, *slice_ = (numbers(graph, f"{label}.{key}", np.array([at])) for key, at in slots.items())
    flat = ir.node("Reshape", [value, shape], name=f"{label}.flat")
    taken = ir.node("Slice", [flat.outputs[0], *slice_], name=label)
    return add_output(graph, value, [flat, taken], label, None)

"""Extra outputs of a graph, through which statistics of its tensors leave it."""

from __future__ import annotations

import onnx_ir as ir


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

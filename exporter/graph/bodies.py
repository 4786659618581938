"""Graphs within a graph: the bodies of Loop, Scan and If."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir


def bodies(node: ir.Node) -> list[ir.Graph]:
    """Return the graphs that a node contains itself."""
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found.extend(attribute.as_graphs())
    return found


def graphs(graph: ir.Graph) -> Iterator[ir.Graph]:
    """Yield a graph, then every body in it to any depth, outer ones before inner ones."""
    yield graph
    for node in list(graph):
        for body in bodies(node):
            yield from graphs(body)


def captured(node: ir.Node) -> list[ir.Value]:
    """Return the values that the bodies of a node read from the graph around it, each once."""
    inner = [part for body in bodies(node) for part in graphs(body)]
    own = {value for part in inner for value in (*part.inputs, *part.initializers.values())}
    own.update(value for part in inner for one in part for value in one.outputs)
    read = dict.fromkeys(value for part in inner for one in part for value in one.inputs)
    return [value for value in read if value is not None and value not in own]

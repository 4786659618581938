"""Subgraphs: extract some nodes of a graph as a model, and run it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from kexport.arrays import Array
from kexport.calibration.execution.session import open_session, run_parallel
from kexport.graph.bodies import captured
from kexport.graph.edit import constant


def constant_values(graph: ir.Graph) -> set[ir.Value]:
    """Find the constants, and the values computed from constants alone."""
    found: set[ir.Value] = set(graph.initializers.values())
    for node in graph:
        read = (*node.inputs, *captured(node))
        if all(value is None or value in found for value in read):
            found.update(node.outputs)
    return found


def constant_array(graph: ir.Graph, value: ir.Value) -> Array:
    """Compute the array of one of `constant_values`."""
    held, node = constant(value), value.producer()
    if held is not None:
        return np.asarray(held.numpy())
    if node is None:
        raise ValueError(f"{value.name} is neither constant nor computed")
    read = [each for each in node.inputs if each is not None]
    feeds = {each.name or "": constant_array(graph, each) for each in read}
    evaluator = ReferenceEvaluator(ir.to_proto(node), opsets=dict(graph.opset_imports))
    (found,) = evaluator.run([value.name or ""], feeds)
    return np.asarray(found)


def external_inputs(nodes: Sequence[ir.Node]) -> list[ir.Value]:
    """List the values that some nodes, or their bodies, read and none of them computes."""
    computed = {value for node in nodes for value in node.outputs}
    read = dict.fromkeys(value for node in nodes for value in (*node.inputs, *captured(node)))
    return [value for value in read if value is not None and value not in computed]


def external_outputs(nodes: Sequence[ir.Node]) -> list[ir.Value]:
    """List the values that some nodes compute and other nodes read."""
    within = set(nodes)
    return [
        value
        for node in nodes
        for value in node.outputs
        if any(use.node not in within for use in value.uses())
    ]


def partition(graph: ir.Graph, max_bytes: int) -> Iterator[list[ir.Node]]:
    """Split the nodes of a graph into parts of at most `max_bytes` of constants, or of one node."""
    part: list[ir.Node] = []
    held: dict[ir.Value, int] = {}
    for node in graph:
        read = (*node.inputs, *captured(node))
        tensors = {value: constant(value) for value in read if value is not None}
        more = {value: tensor.nbytes for value, tensor in tensors.items() if tensor is not None}
        if more and held and sum((held | more).values()) > max_bytes:
            yield part
            part, held = [], {}
        part.append(node)
        held |= more
    yield part


def extract_subgraph(
    graph: ir.Graph,
    nodes: Sequence[ir.Node],
    outputs: Sequence[ir.Value],
    examples: Mapping[ir.Value, Array],
    fixed: Mapping[ir.Value, Array | ir.TensorProtocol],
    biases: Mapping[ir.Node, Array] = MappingProxyType({}),
) -> ir.Model:
    """Build a model of some nodes of a graph.

    Args:
        graph: the graph of the nodes.
        nodes: the nodes in their order.
        outputs: the values to return.
        examples: the inputs, with arrays of their types and shapes; the first axis is left open.
        fixed: all other values that the nodes read.
        biases: biases that a Conv or Gemm has in place of its own, if it has one.
    """
    clones = {
        value: ir.Value(
            name=value.name,
            type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
            shape=ir.Shape([None, *array.shape[1:]][: array.ndim]),
        )
        for value, array in examples.items()
    }
    for value, held in fixed.items():
        clones[value] = _initializer(value.name, held)
    given = {node: _initializer(f"{node.name}.given_bias", bias) for node, bias in biases.items()}
    inside = []
    for node in nodes:
        inputs = [None if value is None else clones[value] for value in node.inputs]
        if node in given:
            inputs[2:] = [given[node]]
        clone = ir.Node(
            node.domain,
            node.op_type,
            inputs,
            node.attributes.values(),
            num_outputs=len(node.outputs),
            name=node.name,
        )
        for new, old in zip(clone.outputs, node.outputs, strict=True):
            new.name, new.type, clones[old] = old.name, old.type, new
        inside.append(clone)
    part = ir.Graph(
        [clones[value] for value in examples],
        [clones[value] for value in outputs],
        nodes=inside,
        initializers=[*(clones[value] for value in fixed), *given.values()],
        opset_imports=graph.opset_imports,
    )
    return ir.Model(part, ir_version=9)


def _initializer(name: str | None, held: Array | ir.TensorProtocol) -> ir.Value:
    tensor = ir.tensor(held, name=name) if isinstance(held, np.ndarray) else held
    return ir.Value(
        name=name,
        type=ir.TensorType(tensor.dtype),
        shape=ir.Shape(tensor.shape.numpy()),
        const_value=tensor,
    )


def open_subgraph(
    graph: ir.Graph,
    nodes: Sequence[ir.Node],
    outputs: Sequence[ir.Value],
    examples: Mapping[ir.Value, Array],
    fixed: Mapping[ir.Value, Array | ir.TensorProtocol],
    biases: Mapping[ir.Node, Array] = MappingProxyType({}),
) -> Any:
    """Open a session that runs some nodes once over the images; see `extract_subgraph`.

    QDQ pairs are computed as such.
    """
    model = extract_subgraph(graph, nodes, outputs, examples, fixed, biases)
    return open_session(model, fuse_qdq=False, short_lived=True)


def run_subgraph(
    graph: ir.Graph,
    nodes: Sequence[ir.Node],
    outputs: Sequence[ir.Value],
    feeds: Iterator[Mapping[ir.Value, Array]],
    fixed: Mapping[ir.Value, Array | ir.TensorProtocol],
    biases: Mapping[ir.Node, Array] = MappingProxyType({}),
) -> Iterator[list[Array]]:
    """Run some nodes, and yield their `outputs` for each batch; QDQ pairs are computed as such.

    Args:
        graph: the graph of the nodes.
        nodes: the nodes in their order.
        outputs: the values to return.
        feeds: the inputs of each batch; the first one determines types and shapes.
        fixed: all other values that the nodes read.
        biases: biases that a Conv or Gemm has in place of its own, if it has one.
    """
    first = next(feeds)
    session = open_subgraph(graph, nodes, outputs, first, fixed, biases)
    names = [value.name or "" for value in outputs]
    yield from run_parallel(session, names, map(by_name, itertools.chain([first], feeds)))


def by_name(feed: Mapping[ir.Value, Array]) -> dict[str, Array]:
    """Name the inputs of a session."""
    return {value.name or "": array for value, array in feed.items()}

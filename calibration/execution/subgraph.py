"""Some nodes of a graph as a model of their own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.session import open_session, run_abreast
from kexport.graph.edit import constant


def fixed_values(graph: ir.Graph) -> set[ir.Value]:
    """Constants, and what is computed from nothing else."""
    found: set[ir.Value] = set(graph.initializers.values())
    for node in graph:
        if all(value is None or value in found for value in node.inputs):
            found.update(node.outputs)
    return found


def entering(nodes: Sequence[ir.Node]) -> list[ir.Value]:
    """What some nodes read that none of them makes."""
    made = {value for node in nodes for value in node.outputs}
    read = dict.fromkeys(value for node in nodes for value in node.inputs if value is not None)
    return [value for value in read if value not in made]


def leaving(nodes: Sequence[ir.Node]) -> list[ir.Value]:
    """What some nodes make and others read."""
    within = set(nodes)
    return [
        value
        for node in nodes
        for value in node.outputs
        if any(use.node not in within for use in value.uses())
    ]


def pieces(graph: ir.Graph, most: int) -> Iterator[list[ir.Node]]:
    """The nodes of a graph in runs, each with at most `most` bytes of constants, or one node."""
    piece: list[ir.Node] = []
    held: dict[ir.Value, int] = {}
    for node in graph:
        tensors = {value: constant(value) for value in node.inputs if value is not None}
        more = {value: tensor.nbytes for value, tensor in tensors.items() if tensor is not None}
        if more and held and sum((held | more).values()) > most:
            yield piece
            piece, held = [], {}
        piece.append(node)
        held |= more
    yield piece


def subgraph(
    graph: ir.Graph,
    nodes: Sequence[ir.Node],
    outputs: Sequence[ir.Value],
    examples: Mapping[ir.Value, Array],
    fixed: Mapping[ir.Value, Array | ir.TensorProtocol],
) -> ir.Model:
    """A model of some nodes of a graph.

    Args:
        graph: where they are.
        nodes: in their order.
        outputs: values that they make, which are the outputs of the model.
        examples: its inputs, and arrays of their types and shapes, but for the first axis, which
            is open.
        fixed: what else the nodes read.
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
        tensor = ir.tensor(held, name=value.name) if isinstance(held, np.ndarray) else held
        clones[value] = ir.Value(
            name=value.name,
            type=ir.TensorType(tensor.dtype),
            shape=ir.Shape(tensor.shape.numpy()),
            const_value=tensor,
        )
    inside = []
    for node in nodes:
        inputs = [None if value is None else clones[value] for value in node.inputs]
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
        initializers=[clones[value] for value in fixed],
        opset_imports=graph.opset_imports,
    )
    return ir.Model(part, ir_version=9)


def run_part(
    graph: ir.Graph,
    nodes: Sequence[ir.Node],
    outputs: Sequence[ir.Value],
    feeds: Iterator[Mapping[ir.Value, Array]],
    fixed: Mapping[ir.Value, Array | ir.TensorProtocol],
    *,
    optimised: bool = True,
) -> Iterator[list[Array]]:
    """Run some nodes, and yield what `outputs` are of each batch.

    Args:
        graph: where the nodes are.
        nodes: in their order.
        outputs: values that they make.
        feeds: what they read, of each batch; the first says types and shapes.
        fixed: what else they read.
        optimised: whether ONNX Runtime may fuse.
    """
    first = next(feeds)
    model = subgraph(graph, nodes, outputs, first, fixed)
    session = open_session(model, optimised=optimised, brief=True)
    named = (
        {value.name or "": array for value, array in feed.items()}
        for feed in itertools.chain([first], feeds)
    )
    yield from run_abreast(session, [value.name or "" for value in outputs], named)

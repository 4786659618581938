"""Partitioned execution: run a graph part by part, so that few weights are in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.rows import BatchesByInput, by_value
from kexport.calibration.execution.session import release_memory
from kexport.calibration.execution.subgraph import (
    external_inputs,
    external_outputs,
    partition,
    run_subgraph,
)
from kexport.calibration.execution.tensor_file import TensorFile
from kexport.graph.edit import constant

PARTITION_BYTES = 1 << 23
"""Largest size of the weights of a partition; an engine holds up to four copies of them."""


def run_partitioned(
    model: ir.Model, batches: BatchesByInput
) -> Iterator[tuple[int, int, int, dict[str, Array]]]:
    """Run `model` on batches, and yield its outputs; tensors between partitions are in files.

    Args:
        model: a graph.
        batches: the inputs; each batch is read once for every partition that takes it.

    Yields:
        The number of partitions done and in total, the index of a batch, and the outputs of the
        graph that the next partition computes from it. Each output is yielded once for every batch,
        in order.
    """
    parts = list(partition(model.graph, PARTITION_BYTES))
    held = by_value(model.graph, batches)
    count = len(next(iter(held.values())))
    for order, nodes in enumerate(parts):
        shown = [value for node in nodes for value in node.outputs if value.is_graph_output()]
        kept = {value: TensorFile() for value in external_outputs(nodes)}
        values = list(dict.fromkeys([*shown, *kept]))
        if not values:
            continue
        for index, made in enumerate(_run(model.graph, nodes, values, held, count)):
            for value, file in kept.items():
                file.append(made[value])
            yield order, len(parts), index, {value.name or "": made[value] for value in shown}
        needed = {value for later in parts[order + 1 :] for value in external_inputs(later)}
        held = {value: file for value, file in (held | kept).items() if value in needed}


def _run(
    graph: ir.Graph,
    nodes: Sequence[ir.Node],
    outputs: Sequence[ir.Value],
    held: Mapping[ir.Value, Sequence[Array]],
    count: int,
) -> Iterator[dict[ir.Value, Array]]:
    read = external_inputs(nodes)
    tensors = {value: constant(value) for value in read}
    fixed = {value: tensor for value, tensor in tensors.items() if tensor is not None}
    moving = [value for value in read if value not in fixed]
    feeds = ({value: held[value][index] for value in moving} for index in range(count))
    release_memory()
    for found in run_subgraph(graph, nodes, outputs, feeds, fixed):
        yield dict(zip(outputs, found, strict=True))

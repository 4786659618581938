"""Runs a graph piece after piece over many images, so that few weights are held at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import onnx_ir as ir

from kexport.arrays import Array
from kexport.calibration.execution.subgraph import entering, leaving, pieces, run_part
from kexport.calibration.execution.tensor_file import TensorFile
from kexport.graph.edit import constant

PIECE = 1 << 23
"""Bytes of weights that a piece has at most; an engine holds them up to four times."""


def run_in_pieces(
    model: ir.Model, batches: Sequence[Array]
) -> Iterator[tuple[int, int, int, dict[str, Array]]]:
    """Run `model` on batches, and yield its outputs; what one piece makes for another is in files.

    Args:
        model: a graph of one input.
        batches: what the input takes; each is read once for every piece that takes it.

    Yields:
        The pieces that are done, their number, the index of a batch, and those of the graph's
        outputs that the next piece makes of it. Each output comes once for every batch, in order.
    """
    runs = list(pieces(model.graph, PIECE))
    held: dict[ir.Value, Sequence[Array]] = dict.fromkeys(model.graph.inputs, batches)
    for order, nodes in enumerate(runs):
        shown = [value for node in nodes for value in node.outputs if value.is_graph_output()]
        kept = {value: TensorFile() for value in leaving(nodes)}
        values = list(dict.fromkeys([*shown, *kept]))
        if not values:
            continue
        for index, made in enumerate(_run(model.graph, nodes, values, held, len(batches))):
            for value, parts in kept.items():
                parts.append(made[value])
            yield order, len(runs), index, {value.name or "": made[value] for value in shown}
        needed = {value for later in runs[order + 1 :] for value in entering(later)}
        held = {value: parts for value, parts in (held | kept).items() if value in needed}


def _run(
    graph: ir.Graph,
    nodes: Sequence[ir.Node],
    outputs: Sequence[ir.Value],
    held: Mapping[ir.Value, Sequence[Array]],
    count: int,
) -> Iterator[dict[ir.Value, Array]]:
    read = entering(nodes)
    tensors = {value: constant(value) for value in read}
    fixed = {value: tensor for value, tensor in tensors.items() if tensor is not None}
    moving = [value for value in read if value not in fixed]
    feeds = ({value: held[value][index] for value in moving} for index in range(count))
    for found in run_part(graph, nodes, outputs, feeds, fixed):
        yield dict(zip(outputs, found, strict=True))

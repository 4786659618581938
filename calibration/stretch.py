"""Runs some nodes of a graph on what they read, batch by batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from kexport.calibration.running import open_session, run_abreast
from kexport.calibration.subgraph import subgraph

Array = np.ndarray[Any, Any]


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

"""How much a node computes."""

from __future__ import annotations

import math
from collections.abc import Collection

import onnx_ir as ir

from kexport.graph.edit import constant
from kexport.graph.shapes import extents


def multiply_adds(node: ir.Node) -> int:
    """Multiply-adds of a Conv, Gemm or MatMul with constant weights for one sample; else 0.

    A Conv computes one for each output element and weight that leads there; axes that are open
    count as 1.
    """
    if node.op_type not in ("Conv", "Gemm", "MatMul") or len(node.inputs) < 2:
        return 0
    weights = constant(node.inputs[1])
    if weights is None:
        return 0
    size = math.prod(extents(weights))
    if node.op_type != "Conv":
        rows = list(node.inputs[0].shape or ())[1:-1] if node.inputs[0] is not None else []
        return size * math.prod(dim for dim in rows if isinstance(dim, int))
    pixels = list(node.outputs[0].shape or ())[2:]
    return size * math.prod(dim for dim in pixels if isinstance(dim, int))


def share(model: ir.Model, nodes: Collection[str]) -> float:
    """The share of all multiply-adds that the named nodes have; 1.0 where there are none at all."""
    counts = {node.name or "": multiply_adds(node) for node in model.graph}
    total = sum(counts.values())
    return sum(counts[name] for name in nodes if name in counts) / total if total else 1.0

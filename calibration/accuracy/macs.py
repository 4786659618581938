"""Multiply-accumulate operations (MACs) of nodes and graphs."""

from __future__ import annotations

import math
from collections.abc import Collection

import onnx_ir as ir

from kexport.graph.edit import constant
from kexport.graph.shapes import extents


def count_macs(node: ir.Node) -> int:
    """Count the MACs of a Conv, Gemm or MatMul with constant weights for one sample; else 0.

    A Conv computes each weight once for every pixel of its output; open axes count as 1.
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


def macs_share(model: ir.Model, nodes: Collection[str]) -> float:
    """Compute the share of a model's MACs in the named nodes; 1.0 for a model without MACs."""
    counts = {node.name or "": count_macs(node) for node in model.graph}
    total = sum(counts.values())
    return sum(counts[name] for name in nodes if name in counts) / total if total else 1.0

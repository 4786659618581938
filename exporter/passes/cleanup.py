"""Remove what is there twice, or for nothing."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from kexport.graph.passes import Pass

LARGEST = 1024
"""Elements up to which constants are compared: shapes, axes, scalars, biases."""


@Pass
def deduplicate_initializers(model: ir.Model) -> None:
    """Let every node that reads a small constant read the first one that is equal."""
    common.DeduplicateInitializersPass(size_limit=LARGEST)(model)


@Pass
def remove_unused(model: ir.Model) -> None:
    """Drop Identity nodes, equal nodes but one, and nodes and initializers that nothing reads."""
    for step in (
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.IdentityEliminationPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
    ):
        step(model)

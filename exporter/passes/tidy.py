"""Remove what is there twice, or for nothing."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common


def tidy(model: ir.Model) -> ir.Model:
    """Drop Identity nodes, equal nodes but one, and nodes and initializers that nothing reads."""
    model = model.clone()
    for step in (
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.IdentityEliminationPass(),
        common.CommonSubexpressionEliminationPass(),
        common.DeduplicateInitializersPass(size_limit=1024),
        common.RemoveUnusedNodesPass(),
    ):
        model = step(model).model
    return model

"""Remove what is there twice, or for nothing."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from kexport.artifact import Pass


@Pass
def tidy(model: ir.Model) -> None:
    """Drop Identity nodes, equal nodes but one, and nodes and initializers that nothing reads."""
    for step in (
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.IdentityEliminationPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
    ):
        step(model)

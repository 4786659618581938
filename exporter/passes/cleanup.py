"""Clean-up: unused nodes, common subexpressions, equal initializers."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from kexport.graph.passes import Pass

LARGEST = 1024
"""Elements up to which initializers are compared: enough for shapes, scalars and biases."""


@Pass
def deduplicate_initializers(model: ir.Model) -> None:
    """Replace equal small initializers by the first of them.

    Initializers a == b ==> a

    Applies to initializers of at most 1024 elements, so that no weights are read. It makes the
    file smaller. Exact.
    """
    common.DeduplicateInitializersPass(size_limit=LARGEST)(model)


@Pass
def remove_unused(model: ir.Model) -> None:
    """Remove unread nodes and initializers, Identity nodes and common subexpressions.

    Constant ==> initializer; Identity(x) ==> x; f(x), f(x) ==> f(x); unread f(x) ==> nothing

    Applies to all nodes, with the passes of onnx_ir. Other passes match the simpler graph. Exact.
    """
    for step in (
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.IdentityEliminationPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
    ):
        step(model)

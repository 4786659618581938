"""Clean-up: unused nodes, common subexpressions, equal initializers."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from kexport.graph.library_logs import collected
from kexport.graph.passes import Pass
from kexport.graph.shapes import merged

LARGEST = 1024
"""Elements up to which initializers are compared: enough for shapes, scalars and biases."""


@Pass
def deduplicate_initializers(model: ir.Model) -> None:
    """Replace equal small initializers by the first of them.

    Initializers a == b ==> a

    Applies to initializers of at most 1024 elements, so that no weights are read. It makes the
    file smaller. Exact.
    """
    with collected("onnx_ir"):
        common.DeduplicateInitializersPass(size_limit=LARGEST)(model)


@Pass
def remove_unused(model: ir.Model) -> None:
    """Remove unread nodes and initializers, Identity nodes and common subexpressions.

    Constant ==> initializer; Identity(x) ==> x; f(x), f(x) ==> f(x); unread f(x) ==> nothing

    Applies to all nodes, with the passes of onnx_ir. Other passes match the simpler graph. Exact.
    """
    for step in (
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        _remove_identities,
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
    ):
        step(model)


def _remove_identities(model: ir.Model) -> None:
    """Remove each Identity, except between an output and an input, an initializer or an output.

    onnx_ir's own pass gives two outputs with the same values one name. An output of a body must be
    made in it.
    """
    for node in list(model.graph.all_nodes()):
        x = node.inputs[0] if node.op_type == "Identity" and not node.domain else None
        if x is None or node.graph is None:
            continue
        y = node.outputs[0]
        is_output, name = y.is_graph_output(), y.name
        if is_output and (x.is_graph_output() or not _made_in(node.graph, x)):
            continue
        x.shape, x.type = merged(x.shape, y.shape), x.type or y.type
        y.replace_all_uses_with(x, replace_graph_outputs=True)
        if is_output:
            x.name = name
        node.graph.remove(node, safe=True)


def _made_in(graph: ir.Graph | ir.Function, value: ir.Value) -> bool:
    """Tell whether a node of this very graph makes a value."""
    node = value.producer()
    return node is not None and node.graph is graph
